"""Ends between which a value changes its sign, for many rows at once, by the Illinois rule.

A false position, where the value would vanish if it were linear between the ends, comes near to one
end again and again. Where the same end is moved a second time, the other end's value therefore
counts half (Dowell and Jarratt, "A modified regula falsi method for computing the root of an
equation", BIT 11, 1971). Where to look next, and when to stop, is for who searches to say.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

__all__ = ["Bracket"]


@dataclasses.dataclass
class Bracket:
    """The ends of each row, and the values there as they count; all of them floating [rows].

    Attributes:
        low: where the value is not positive.
        high: where it is.
        low_value: at `low`.
        high_value: at `high`.
        last: which end was moved last, 1 for high and -1 for low; 0 where none was.
    """

    low: Tensor
    high: Tensor
    low_value: Tensor
    high_value: Tensor
    last: Tensor

    @classmethod
    def between(cls, low: Tensor, high: Tensor, low_value: Tensor, high_value: Tensor) -> Bracket:
        """Return a bracket of which no end was moved yet; what it is given stays as it is."""
        last = torch.zeros_like(low, dtype=torch.int8)
        return cls(low.clone(), high.clone(), low_value.clone(), high_value.clone(), last)

    def move(self, rows: Tensor, points: Tensor, values: Tensor, above: Tensor) -> None:
        """Put in what was seen of some rows.

        Args:
            rows: int64 [seen].
            points: within the bracket, where it was looked, floating [seen].
            values: there, floating [seen].
            above: bool [seen], whether a point becomes the high end; else the low one.
        """
        up, down = rows[above], rows[~above]
        self.low_value[up[self.last[up] == 1]] /= 2
        self.high_value[down[self.last[down] == -1]] /= 2
        self.high[up], self.high_value[up] = points[above], values[above]
        self.low[down], self.low_value[down] = points[~above], values[~above]
        self.last[up], self.last[down] = 1, -1
