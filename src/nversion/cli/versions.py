"""Versions that a command names: found, loaded, and held against the images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from nversion.cli import choices
from nversion.cli.places import is_study, study_versions
from nversion.cli.programs import at_place, sources_at
from nversion.errors import InputError
from nversion.naming import did_you_mean

if TYPE_CHECKING:
    from nversion.datasets import Dataset, TestImages
    from nversion.formats import Source
    from nversion.versions import Version

__all__ = [
    "check_version",
    "confirmed",
    "load_versions",
    "sources_of",
    "with_their_classes",
]


def check_version(path: Path) -> None:
    """Raise unless there may be a version, or several, at a place; nothing is loaded.

    Raises:
        InputError: there is no such file or folder, or it is not a version's.
    """
    if any((path / mark).is_file() for mark in choices.MODEL_FOLDER_MARKS):
        return
    if is_study(path):
        study_versions(path)
        return
    if path.is_file() and path.suffix.lower() in choices.MODEL_ENDINGS:
        return
    if path.is_file():
        # Of a file that is there, the library knows best why it is not read.
        from nversion.formats import format_of

        format_of(path)
    inside = sorted(place.parent for place in path.glob("*/record.json"))
    hint = f"name one of the versions in it, such as {inside[0]}" if inside else ""
    if is_study(path.absolute().parent):
        hint = hint or f"name the study's folder, {path.absolute().parent}"
    hint = hint or (
        "make one with `nversion train`, name one in a study's versions/, or a file that ends in "
        f"{', '.join(choices.MODEL_ENDINGS)}"
    )
    what = "not a version's folder" if path.is_dir() else "no such folder or file"
    raise InputError(f"{path}: {what}; {hint}")


def load_versions(
    paths: Sequence[Path], inputs: Sequence[str] | None = None, *, trust: bool = False
) -> dict[str, Version]:
    """Return the versions at some places by name; by place where two have the same name.

    The file of a program stands for its versions, and so does the folder of a study.

    Args:
        paths: folders of versions, or files that other libraries wrote.
        inputs: what was said with ``--input``.
        trust: whether code that comes with them may run.

    Raises:
        InputError: one is named twice, does not exist or is not a version's.
        ArtefactError: one cannot be read.
    """
    places = [path.resolve() for path in paths]
    for path, place in zip(paths, places, strict=True):
        if places.count(place) > 1:
            raise InputError(f"{path} is named twice")
        check_version(path)
    names_of_files = {path.name for path in paths}
    for text in inputs or ():
        name, colon, _ = text.partition(":")
        if colon and "=" not in name and Path(name).name not in names_of_files:
            hint = did_you_mean(name, sorted(names_of_files))
            raise InputError(f"--input {text}: {name} is not among the versions{hint}")
    found = [one for path in paths for one in at_place(path, inputs, trust=trust)]
    names = [version.name for _, version in found]
    return {
        version.name if names.count(version.name) == 1 else place: version
        for place, version in found
    }


def confirmed(versions: Mapping[str, Version], data: TestImages | Dataset) -> dict[str, Version]:
    """Return versions with the classes of the images; doubt aloud those from elsewhere.

    What is odd about one (right no more often than by chance, classes in another order, ...) is
    said on standard error.
    """
    from nversion.datasets import oddities
    from nversion.formats import doubts_of

    names = data.class_names or tuple(map(str, range(data.classes)))
    for odd in oddities(data.test.labels, names):
        typer.echo(f"note: {data.name}: {odd}", err=True)
    found = with_their_classes(versions, data)
    for version in found.values():
        if version.record.origin is not None:
            test = data.test
            for doubt in doubts_of(version, test.images, test.labels, data.class_names):
                typer.echo(f"doubt: {doubt}", err=True)
    return found


def with_their_classes(
    versions: Mapping[str, Version], data: TestImages | Dataset
) -> dict[str, Version]:
    """Return versions whose outputs are the classes of the images, where these have names."""
    from nversion.formats import with_classes

    names = data.class_names
    return {
        name: with_classes(version, names) if names else version
        for name, version in versions.items()
    }


def sources_of(
    paths: Sequence[Path], inputs: Sequence[str] | None, trust: bool, data: Dataset
) -> list[Source]:
    """Return what tasks of other processes load the versions from."""
    return [one for path in paths for one in sources_at(path, inputs, trust, data.class_names)]
