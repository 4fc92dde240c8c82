"""The norms of a change, and how they may be written: one spelling lesson for the whole package.

A norm is asked for as a number (``2``, ``float("inf")``), as that number in text (``"2"``, as the
command line has it) or by its name (``"l2"``, ``"Linf"``). Attacks keep the name, certificates
the number.
"""

from __future__ import annotations

from collections.abc import Sequence

from nversion.errors import InputError
from nversion.naming import did_you_mean

__all__ = ["NORMS", "norm_name", "norm_order"]

NORMS = ("l0", "l1", "l2", "linf")

_ORDERS = (0.0, 1.0, 2.0, float("inf"))


def norm_name(norm: object, among: Sequence[str] = NORMS) -> str:
    """Return the name of a norm: "l0", "l1", "l2" or "linf".

    Args:
        norm: a number, its text, or a name in small or capital letters.
        among: the names that will do.

    Raises:
        InputError: it is none of `among`.
    """
    spelt = f"{norm:g}" if isinstance(norm, int | float) else str(norm).strip().lower()
    name = spelt if spelt in NORMS else f"l{_plain(spelt)}"
    if isinstance(norm, bool) or name not in among:
        known = [one.removeprefix("l") for one in among]
        said = " or ".join(filter(None, (", ".join(known[:-1]), known[-1])))
        raise InputError(f"norm must be {said}, not {norm!r}{did_you_mean(norm, known)}")
    return name


def norm_order(norm: object, among: Sequence[str] = NORMS) -> float:
    """Return the order of a norm, 0 to infinity; the arguments are those of :func:`norm_name`.

    Raises:
        InputError: it is none of `among`.
    """
    return _ORDERS[NORMS.index(norm_name(norm, among))]


def _plain(text: str) -> str:
    """Return "2" for "2.0" and "inf" for "infinity"; what is no number, as it is."""
    try:
        return f"{float(text):g}"
    except ValueError:
        return text
