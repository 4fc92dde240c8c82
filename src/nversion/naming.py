"""Names that were given, and those that there are: "did you mean", said in one way everywhere."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["closest", "did_you_mean"]


def closest(given: object, known: Iterable[str]) -> str | None:
    """Return the known name that was most likely meant by `given`; None if none is like it.

    Capitals do not matter, nor whether words are joined by hyphens, underscores or blanks.
    """
    names = {_plain(name): name for name in known}
    found = difflib.get_close_matches(_plain(str(given)), names, n=1)
    return names[found[0]] if found else None


def did_you_mean(given: object, known: Iterable[str]) -> str:
    """Return what to put after an unknown name: " (did you mean 'x'?)", or nothing."""
    name = closest(given, known)
    return "" if name is None else f" (did you mean {name!r}?)"


def _plain(name: str) -> str:
    return name.lower().replace("_", "-").replace(" ", "-")
