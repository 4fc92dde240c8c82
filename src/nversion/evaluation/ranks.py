"""Ranks and rank correlation.

Spearman, "The proof and measurement of association between two things", American Journal of
Psychology 15, 1904.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from scipy.stats import spearmanr

from nversion.errors import InputError

__all__ = ["Rank", "rank", "spearman"]


@dataclasses.dataclass(frozen=True)
class Rank:
    """A place among others.

    Attributes:
        rank: 1 for the best; one more than the others that are strictly better.
        of: how many were ranked, the others and this one.
        tied: how many others share the place.
    """

    rank: int
    of: int
    tied: int


def rank(value: float, others: Sequence[float], *, larger_is_better: bool = True) -> Rank:
    """Return the place of `value` among `others`, which do not include it.

    Raises:
        InputError: a value is NaN.
    """
    if any(math.isnan(number) for number in (value, *others)):
        raise InputError("values to rank must be numbers, not NaN")
    better = sum(other > value if larger_is_better else other < value for other in others)
    tied = sum(other == value for other in others)
    return Rank(better + 1, len(others) + 1, tied)


def spearman(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Return Spearman's rank correlation in [-1, 1]; ties get their mean rank.

    None where it is not defined: fewer than two pairs, or all values of one side alike.

    Raises:
        InputError: different lengths, or a value is NaN.
    """
    if len(x) != len(y):
        raise InputError(f"x and y must be of one length, not {len(x)} and {len(y)}")
    if any(math.isnan(number) for number in (*x, *y)):
        raise InputError("values to correlate must be numbers, not NaN")
    if len(x) < 2 or len(set(x)) < 2 or len(set(y)) < 2:
        return None
    return float(spearmanr(x, y).statistic)
