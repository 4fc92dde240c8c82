"""Numbers and verdicts in the words of the answers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from nversion.evaluation.clustered import FEWEST

__all__ = ["join", "p_value", "percent", "significant", "too_few", "verdict", "with_minus"]


def percent(share: float) -> str:
    """Return a share as text, with two decimals."""
    return f"{100 * share:.2f} %"


def significant(value: float, sign: str = "") -> str:
    """Return a number as text, to three digits; with `sign` "+" a positive one has its sign."""
    return f"{value:{sign}#.3g}".rstrip(".")


def with_minus(written: str) -> str:
    """Return text with the sign of minus in place of hyphens before digits."""
    return re.sub(r"-(?=\d)", "\u2212", written)


def p_value(value: float) -> str:
    """Return a p-value as text."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def verdict(outcomes: Sequence[str]) -> str:
    """Return the word for what all comparisons ("better", "worse", "level") say together."""
    if all(outcome == "better" for outcome in outcomes):
        return "Yes"
    if "better" in outcomes:
        return "In part"
    return "No" if "worse" in outcomes else "No difference can be told from chance"


def too_few(images: int) -> str:
    """Return what is said of so few test images."""
    return f"Too few to say ({images} test images; the least is {FEWEST})"


def join(words: Iterable[str]) -> str:
    """Join words as in a sentence: a, b and c."""
    listed = list(words)
    if len(listed) < 2:
        return "".join(listed)
    return f"{', '.join(listed[:-1])} and {listed[-1]}"
