"""What the results say of the run itself: where, with what and how long, version by version."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

import nversion
from nversion.files import read_object
from nversion.formats.reference import read_reference
from nversion.study.config import without_folders
from nversion.study.context import Study
from nversion.study.sections import Failure, Section, StudyFacts, VersionOrigin, VersionRow

__all__ = ["TIMES", "study_section", "version_rows", "without_times"]

TIMES = frozenset({"wall_seconds", "discarded_seconds", "seconds", "one_seconds", "batch_seconds"})
"""The keys of results.json that differ from run to run."""

UNKNOWN: Mapping[str, None] = MappingProxyType(
    {
        "adversarial_accuracy": None,
        "adversarial_accuracy_own": None,
        "adversarial_accuracy_others": None,
    }
)
"""The accuracies of a version that failed."""


def study_section(study: Study, versions: int) -> StudyFacts:
    """Return what was run, with what, where, and how long each stage took.

    Args:
        study: that ran.
        versions: how many of its versions were trained.
    """
    config, data, units = study.config, study.data, study.units
    stages = units.wall_seconds()
    return StudyFacts(
        name=config.name,
        dataset=without_folders(config.dataset),
        train_images=len(data.train),
        test_images=len(data.test),
        shape=list(data.shape),
        class_names=list(data.class_names),
        seed=config.seed,
        versions=versions,
        recipe=without_folders(config.versions.recipe),
        voter=config.program.voter,
        commit=commit(),
        nversion=nversion.__version__,
        torch=str(torch.__version__),
        python=platform.python_version(),
        device=study.device.type,
        workers=units.workers,
        wall_seconds={**stages, "total": sum(stages.values())},
        discarded_seconds=units.discarded_seconds(),
        failures=[Failure(unit=unit, error=_told(study, error)) for unit, error in units.failures],
        config=without_folders(config.model_dump(mode="json", exclude={"run", "data_dir"})),
    )


def _told(study: Study, error: str) -> str:
    """Return an error without the folders of this machine."""
    places = [str(source.path.parent) for source in study.sources.values()]
    places += [str(study.folder.root), str(study.folder.root.parent)]
    places += [study.config.data_dir, str(Path.home())]
    for place in sorted(places, key=len, reverse=True):
        if len(place) > 1:
            error = error.replace(place.rstrip("/") + "/", "")
    return error


def commit() -> str | None:
    """Return the commit of the source tree that runs, with "+" if it is changed; None outside git.

    Only a checkout of nversion itself counts, not a repository that merely holds its installation.
    """
    tree = Path(__file__).resolve().parents[3]
    if not (tree / ".git").exists() or not (tree / "src" / "nversion").is_dir():
        return None
    try:
        head = _git(tree, "rev-parse", "--short=12", "HEAD")
        return head + ("+" if _git(tree, "status", "--porcelain", "--", "src") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(tree: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(tree), *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def version_rows(
    study: Study, accuracies: Mapping[str, Mapping[str, float | None]]
) -> list[VersionRow]:
    """Return one row per version, trained or from a file, those that failed included.

    Args:
        study: that ran.
        accuracies: by name: adversarial_accuracy, adversarial_accuracy_own and _others.
    """
    data = study.data
    errors = {unit: _told(study, error) for unit, error in study.units.failures}
    rows = []
    for architecture in study.architectures:
        name = str(architecture.name)
        error = errors.get(f"versions/{name}")
        record = {} if error else read_object(study.folder.version(name) / "record.json")
        rows.append(
            VersionRow(
                name=name,
                architecture=architecture.to_text(),
                kind=architecture.kind,
                parameters=architecture.parameters(data.shape, data.classes),
                status="failed" if error else "trained",
                error=error,
                train_accuracy=record.get("train_accuracy"),
                test_accuracy=record.get("test_accuracy"),
                precision=record.get("precision"),
                seconds=record.get("seconds"),
            ).model_copy(update={**UNKNOWN, **accuracies.get(name, {})})
        )
    return [*rows, *(_loaded_row(study, name, accuracies) for name in study.sources)]


def _loaded_row(
    study: Study, name: str, accuracies: Mapping[str, Mapping[str, float | None]]
) -> VersionRow:
    """Return the row of a version from a file."""
    error = dict(study.units.failures).get(f"versions/{name}")
    if error is not None:
        file, said = study.sources[name].path.name, _told(study, error)
        return VersionRow(name=name, status="failed", error=said, origin=VersionOrigin(file=file))
    found = read_reference(study.folder.version(name))
    origin = VersionOrigin(
        file=found.file, format=found.format, sha256=found.sha256, doubts=found.doubts
    )
    row = VersionRow(
        name=name,
        kind=found.kind,
        parameters=found.parameters,
        status="loaded",
        test_accuracy=found.test_accuracy,
        origin=origin,
    )
    return row.model_copy(update={**UNKNOWN, **accuracies.get(name, {})})


def without_times(results: Any) -> Any:
    """Return results without the numbers that differ from run to run, to compare two of them."""
    if isinstance(results, Section):
        return without_times(results.to_json())
    if isinstance(results, dict):
        return {key: without_times(value) for key, value in results.items() if key not in TIMES}
    if isinstance(results, list):
        return [without_times(value) for value in results]
    return results
