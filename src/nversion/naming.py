"""Names that were given, and those that there are: "did you mean", said in one way everywhere."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

__all__ = ["closest", "did_you_mean", "split_size"]


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


def split_size(text: str) -> tuple[str, tuple[int, int] | None]:
    """Return a data set's name or path, and the (height, width) that ``NAME@28x28`` asks for."""
    found = re.fullmatch(r"(.+)@([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if found is None:
        return text, None
    return found[1], (int(found[2]), int(found[3]))
