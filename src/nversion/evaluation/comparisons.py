"""When two numbers differ by more than chance: intervals, paired differences, correlation.

One thing is said to beat another only where the data support it. These are for images that are
independent of each other, such as test images; for adversarial images, many of which come from one
test image, there is :mod:`nversion.evaluation.clustered`. Shares are compared by whether their 95 %
Wilson intervals overlap, which is cautious: two intervals that just touch belong to a difference
that is significant at well under 1 %, and for shares of the same images the difference is known
better still. Radii are compared image by image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from nversion.adversarial import wilson_of_share
from nversion.evaluation.ranks import spearman

__all__ = ["Correlation", "distinguishable", "paired_difference", "rank_correlation", "wilson"]

_LEVEL = 0.95
_EXACT = 8  # Up to so many pairs, all orders are counted: 8! is 40,320.


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation, its two-sided p-value, and the number of pairs."""

    rho: float
    p: float
    pairs: int


def wilson(share: float, tries: float) -> tuple[float, float]:
    """Return the 95 % Wilson interval of a share of `tries` independent tries.

    Args:
        share: successes by tries, in [0, 1].
        tries: how many there were; at least 1.
    """
    return wilson_of_share(share, tries, _LEVEL)


def distinguishable(first: float, second: float, tries: float) -> bool:
    """Return whether the 95 % intervals of two shares of `tries` images lie apart."""
    low, high = wilson(max(first, second), tries)[0], wilson(min(first, second), tries)[1]
    return low > high


def paired_difference(
    first: Sequence[float], second: Sequence[float]
) -> tuple[float, float, float] | None:
    """Return the mean of first minus second, and its 95 % interval by Student's t.

    None if the two differ in length or have fewer than two values.
    """
    if len(first) != len(second) or len(first) < 2:
        return None
    differences = np.subtract(first, second, dtype=np.float64)
    mean, error = float(differences.mean()), float(stats.sem(differences))
    # Not scipy's ttest_rel, which has no interval where all differences are the same.
    half = float(stats.t.ppf((1 + _LEVEL) / 2, len(differences) - 1)) * error
    return mean, mean - half, mean + half


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> Correlation | None:
    """Return Spearman's rank correlation of two sequences of the same length.

    The p-value is exact for up to eight pairs (every order of one side is counted) and by
    Student's t beyond. None for fewer than three pairs, or if one side has only one value.
    """
    rho = spearman(x, y) if len(x) >= 3 else None
    if rho is None:
        return None
    p = _exact(x, y) if len(x) <= _EXACT else stats.spearmanr(x, y).pvalue
    return Correlation(rho, float(p), len(x))


def _exact(x: Sequence[float], y: Sequence[float]) -> float:
    """Return the share of all orders of x whose correlation with y is at least as far from 0."""
    # Differences of ranks from their mean are halves, of which the sums have no rounding: orders
    # of the same correlation have the same statistic.
    first, second = (ranks - ranks.mean() for ranks in map(stats.rankdata, (x, y)))
    found = stats.permutation_test(
        (first,),
        lambda order, axis: np.abs(order @ second),
        permutation_type="pairings",
        alternative="greater",
        n_resamples=math.factorial(len(x)),
        vectorized=True,
    )
    return float(found.pvalue)
