"""A reference: a version in a study's folder whose network stays where it is, in its own file.

The folder has a ``foreign.json`` in place of weights: where the file is, its SHA-256, how it is
fed, which classes its outputs become, and what was measured. A file that has changed since is
refused.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

from nversion.errors import ArtefactError, InputError
from nversion.files import read_object, write_json
from nversion.formats.feed import Feed, feed_from
from nversion.reading import check_name, checked

__all__ = ["REFERENCE", "Reference", "path_from", "read_reference", "write_reference"]

REFERENCE = "foreign.json"

FORMAT = 1


@dataclasses.dataclass(frozen=True)
class Reference:
    """Where a version is from; all of it JSON values.

    Attributes:
        name: of the version.
        path: of its file or folder, as seen from the version's folder, so that a study can be moved
            together with what it refers to.
        file: the last part of that.
        format: of the file; "nversion" for a version's folder of ours.
        sha256: of the file; of a folder, of the file that holds its weights.
        feed: how it is fed, as ``version.toml`` would say it.
        classes: the names that its outputs become; empty where they stay as they are.
        kind: "convolutional" or "dense".
        parameters: how many it has.
        test_accuracy: share of the test images classified correctly, in [0, 1].
        doubts: what was odd about it, each in a sentence.
    """

    name: str
    path: str
    file: str
    format: str
    sha256: str
    feed: dict[str, Any]
    classes: list[str]
    kind: str
    parameters: int
    test_accuracy: float
    doubts: list[str]

    def feed_of(self) -> Feed:
        """Return how it is fed."""
        return feed_from(self.feed, self.file)

    def found_from(self, folder: Path) -> Path:
        """Return where its file is: at its path, else beside the reference, or in the study.

        Args:
            folder: of the version; the study's is two above.

        Raises:
            InputError: it is nowhere there.
        """
        folder = folder.resolve()
        there = Path(os.path.normpath(folder / self.path))
        for place in (there, folder / self.file, folder.parent.parent / self.file):
            if place.exists():
                return place
        raise InputError(
            f"{folder}: refers to {there}, which is not there; put {self.file} (SHA-256 "
            f"{self.sha256[:12]}...) there, or into the folder that refers to it"
        )


def path_from(folder: Path, path: Path) -> str:
    """Return the path of a file as seen from a folder; whole where no way leads there."""
    try:
        return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    except ValueError:  # another drive of Windows'
        return str(path)


def write_reference(folder: Path, reference: Reference) -> None:
    """Write a reference into a version's folder, atomically."""
    write_json(folder / REFERENCE, {"form": FORMAT, **dataclasses.asdict(reference)})


def read_reference(folder: Path) -> Reference:
    """Return the reference in a version's folder.

    Raises:
        ArtefactError: it cannot be read.
    """
    place = folder / REFERENCE
    values = read_object(place)
    if values.pop("form", None) != FORMAT:
        raise ArtefactError(f"{place}: not a reference to a version of form {FORMAT}")
    reference = checked(Reference, values, f"{place}: not a reference to a version")
    check_name(reference.name, f"{place}: name")
    return reference
