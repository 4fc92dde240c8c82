"""The median of values of which some have no bound, and where it lies.

The interval goes from one order statistic to another: of n independent values the k-th smallest
lies below the median unless fewer than k of them do, which has the probability of at most k - 1
heads in n tosses (Conover, Practical Nonparametric Statistics, 3rd ed., 1999, section 3.2). It
assumes nothing of the distribution, and holds with at least its level.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy.stats import binom

__all__ = ["median_with_interval"]


def median_with_interval(
    values: Sequence[float | None], level: float = 0.95
) -> tuple[float | None, float | None, float | None]:
    """Return a median and the ends of its interval, each None where it is infinite or unknown.

    Args:
        values: None stands for an infinite one.
        level: how often the interval holds the median.
    """
    ordered = sorted(math.inf if value is None else value for value in values)
    count = len(ordered)
    if not count:
        return None, None, None
    # Of an even number the lower of the two in the middle: it is a value that was there.
    median = ordered[(count - 1) // 2]
    # The largest k at which fewer than k values below the median are unlikely enough.
    place = int(binom.ppf((1 - level) / 2, count, 0.5))
    while place > 0 and binom.cdf(place - 1, count, 0.5) > (1 - level) / 2:
        place -= 1
    if place == 0:
        return _finite(median), None, None
    return _finite(median), _finite(ordered[place - 1]), _finite(ordered[count - place])


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
