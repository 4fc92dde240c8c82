"""Files and folders that a command names: a study, its versions, a picture or a file to write."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nversion.errors import ArtefactError, InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "check_place",
    "check_study",
    "is_study",
    "picture_file",
    "save_picture",
    "study_versions",
]

PICTURES = (".png", ".svg", ".pdf")


def check_study(folder: Path) -> None:
    """Raise unless a folder holds a study's results; before anything that takes time is imported.

    Raises:
        ArtefactError: it does not.
    """
    source = folder / "results.json"
    if not source.is_file():
        raise ArtefactError(
            f"{source}: no such file; give the folder of a finished study, or make one with "
            f"`nversion study --out {folder}`"
        )


def is_study(path: Path) -> bool:
    """Return whether a folder is a study's."""
    return (path / "study.toml").is_file()


def study_versions(study: Path) -> list[Path]:
    """Return the folders of the versions in a study's folder, by name.

    Raises:
        InputError: there are none yet.
    """
    marks = ("record.json", "foreign.json")
    found = {path.parent for path in study.glob("versions/*/*.json") if path.name in marks}
    if not found:
        raise InputError(f"{study}: the study has no versions yet; run it first")
    return sorted(found)


def picture_file(path: Path, option: str) -> Path:
    """Return the path of a picture to be written.

    Raises:
        InputError: it is a folder, or its ending is not one of a picture's.
    """
    if path.suffix.lower() not in PICTURES:
        raise InputError(f"{option} {path}: must end in {', '.join(PICTURES)}")
    if path.is_dir():
        raise InputError(f"{option} {path}: is a folder; name a file")
    check_place(path, option)
    return path


def check_place(path: Path, option: str) -> None:
    """Raise unless the folder of a file that is to be written is there or can be made.

    Raises:
        InputError: there is a file in its way.
    """
    there = next(parent for parent in path.absolute().parents if parent.exists())
    if not there.is_dir():
        raise InputError(f"{option} {path}: {there} is a file; name another place")


def save_picture(figure: Figure, path: Path) -> None:
    """Write a picture in the format that its ending names, atomically."""
    from nversion.files import replacing

    with replacing(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:].lower())
