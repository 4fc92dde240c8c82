"""The versions of a program that was written as one file, read back one by one."""

from __future__ import annotations

from pathlib import Path

from nversion.errors import InputError
from nversion.formats.exported import EXPORTED, exported_facts
from nversion.formats.facts import ProgramFacts
from nversion.formats.feed import Feed, parse_feed
from nversion.formats.loading import load_version
from nversion.formats.onnx_files import ONNX, onnx_facts
from nversion.versions import Version

__all__ = ["program_facts", "versions_in"]


def program_facts(path: str | Path) -> ProgramFacts | None:
    """Return how the versions of a program in a file vote; None where there is no program in it.

    Raises:
        MissingExtraError: the package that reads the file is not installed.
        ArtefactError: it is damaged.
    """
    path = Path(path)
    if not path.is_file():
        return None
    if path.suffix.lower() in ONNX.endings:
        return onnx_facts(path)
    return exported_facts(path) if path.suffix.lower() in EXPORTED.endings else None


def versions_in(path: str | Path, feed: Feed | str | None = None) -> dict[str, Version]:
    """Return the versions of a program in a file, by name.

    Args:
        path: an ONNX file or one of ``torch.export`` that :func:`nversion.export` wrote.
        feed: how they are fed, as :func:`nversion.load_version` has it.

    Raises:
        InputError: there is no such file, or no program in it.
        ArtefactError: it is damaged.
    """
    facts = program_facts(path)
    if facts is None:
        there = Path(path).exists()
        raise InputError(
            f"{path}: holds no program that nversion wrote; "
            + ("nv.load_version reads a network" if there else "there is no such file")
        )
    given = parse_feed(feed) if isinstance(feed, str) else feed or Feed()
    return {name: load_version(path, Feed(key=name).over(given)) for name in facts.versions}
