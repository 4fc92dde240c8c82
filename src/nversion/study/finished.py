"""A study that ended, opened for those who judge it: its results as values, and as attributes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nversion.errors import ArtefactError
from nversion.files import read_object
from nversion.reading import cleaned
from nversion.study.folder import StudyFolder
from nversion.study.sections import Replicated, Results

__all__ = ["FinishedStudy", "open_study", "with_replication"]


@dataclass(frozen=True)
class FinishedStudy:
    """What is known of a study that ended.

    Attributes:
        folder: where it lies. A folder that holds ``results.json`` alone will do.
        values: the JSON values of ``results.json``, every text in them fit to be written.
        results: the same as attributes, as far as this version of nversion knows the keys.
    """

    folder: StudyFolder
    values: dict[str, Any]
    results: Results


def open_study(folder: str | Path) -> FinishedStudy:
    """Open the study that a folder holds.

    Args:
        folder: a study's, a published one, or a former report's.

    Raises:
        ArtefactError: it holds no ``results.json``, or one that cannot be read.
    """
    place = StudyFolder(Path(folder))
    # Named as it was given, which is how the reader knows it.
    source = Path(folder) / place.results.name
    if not source.is_file():
        raise ArtefactError(
            f"{source}: no such file; give the folder of a finished study, or make one with "
            f"`nversion study --out {folder}`"
        )
    values = cleaned(read_object(source))
    return FinishedStudy(place, values, Results.of(values, source))


def with_replication(results: Results, place: StudyFolder) -> Results:
    """Return results with the replication that the study's folder holds, the newest there is.

    Args:
        results: of the study.
        place: its folder.

    Raises:
        ArtefactError: the replication's files are damaged.
    """
    found = Replicated.found(place.replication)
    return results if found is None else results.model_copy(update={"replication": found})
