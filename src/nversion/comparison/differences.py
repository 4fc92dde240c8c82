"""The interval of a difference, from the intervals of its two parts.

The distances from each estimate to its own ends are squared and added (MOVER: Zou and Donner,
"Construction of confidence limits about effect measures: a general approach", Statistics in
Medicine 27, 2008). It takes no assumption about how the parts' intervals were found. It takes them
for independent; where two studies judged the same images, what they have in common is not taken
out, and the interval is too wide rather than too narrow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from nversion.evidence.record import Metric

__all__ = ["Difference", "difference"]


@dataclass(frozen=True)
class Difference:
    """What one number has over another.

    Attributes:
        value: the second minus the first.
        low: lower end of its interval; None where a part has none.
        high: upper end.
    """

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out zero."""
        below = self.high is not None and self.high < 0
        return below or (self.low is not None and self.low > 0)


def difference(first: Metric, second: Metric) -> Difference | None:
    """Return the second number minus the first; None where there is not one of both."""
    if first.value is None or second.value is None:
        return None
    value = second.value - first.value
    if first.interval is None or second.interval is None:
        return Difference(value)
    low = _end(second.value, second.interval.low, first.value, first.interval.high)
    high = _end(second.value, second.interval.high, first.value, first.interval.low)
    return Difference(
        value,
        None if low is None else value - low,
        None if high is None else value + high,
    )


def _end(value: float, end: float | None, other: float, other_end: float | None) -> float | None:
    """Return how far an end of the difference is from it."""
    if end is None or other_end is None:
        return None
    return math.hypot(value - end, other - other_end)
