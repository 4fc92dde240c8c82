"""The largest radius at which a lower bound stays positive, for many images at once.

The search trusts nothing but its probes: what it returns is a radius at which the bound was
positive, or 0. The bound need not fall with the radius for that.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["search_radius"]

PROBES = 16
TOLERANCE = 2e-3
SMALLEST_GROWTH = 1.05
LARGEST_GROWTH = 2.0


def search_radius(
    lead: Callable[[Tensor, Tensor], Tensor],
    at_zero: Tensor,
    start: Tensor,
    limit: Tensor,
    *,
    proven: Tensor | None = None,
) -> Tensor:
    """Return radii with a positive lead, float64 [count]; 0 where `at_zero` is not positive.

    The bracket is cut where the straight line through its ends is zero, kept away from the ends;
    until it has an upper end, the line from the lead at radius 0 says how far to go on. An end
    that stays has its value halved (the Illinois rule: Dowell and Jarratt, "A modified regula
    falsi method for computing the root of an equation", BIT 11, 1971).

    Args:
        lead: takes row numbers int64 [rows] and radii float64 [rows], and gives lower bounds of
            the lead, [rows].
        at_zero: the lead at radius 0, [count].
        start: the first radius to try, float64 [count], positive.
        limit: no radius above this is tried, float64 [count]; finite.
        proven: radii known to be certified, [count].
    """
    low = torch.zeros_like(start) if proven is None else proven.to(start)
    low = torch.minimum(torch.where(at_zero > 0, low, 0.0), limit)
    high = limit.to(start).clone()
    low_lead, high_lead = at_zero.to(start).clone(), torch.full_like(start, -torch.inf)
    side = torch.zeros_like(start)
    radii = torch.minimum(torch.maximum(start, low * (1 + TOLERANCE)), limit)
    rows = (at_zero > 0).nonzero().squeeze(1)
    for _ in range(PROBES):
        rows = rows[high[rows] - low[rows] > TOLERANCE * high[rows]]
        if len(rows) == 0:
            break
        tried = radii[rows]
        found = lead(rows, tried).to(start)
        won, lost = rows[found > 0], rows[~(found > 0)]
        high_lead[won] = torch.where(side[won] > 0, high_lead[won] / 2, high_lead[won])
        low_lead[lost] = torch.where(side[lost] < 0, low_lead[lost] / 2, low_lead[lost])
        low[won], low_lead[won], side[won] = tried[found > 0], found[found > 0], 1.0
        high[lost], high_lead[lost], side[lost] = tried[~(found > 0)], found[~(found > 0)], -1.0
        radii = _next(low, high, low_lead, high_lead, at_zero)
    return low


def _next(
    low: Tensor, high: Tensor, low_lead: Tensor, high_lead: Tensor, at_zero: Tensor
) -> Tensor:
    share = (low_lead / (low_lead - high_lead)).nan_to_num(0.5).clamp(0.1, 0.9)
    growth = (at_zero / (at_zero - low_lead)).nan_to_num(LARGEST_GROWTH)
    growth = torch.where(growth > 0, growth, LARGEST_GROWTH).clamp(SMALLEST_GROWTH, LARGEST_GROWTH)
    beyond = torch.minimum(low * growth, high)
    return torch.where(high_lead.isinf(), beyond, low + (high - low) * share)
