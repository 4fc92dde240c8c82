"""Certified radii in numbers, some of which may be infinite.

A network that answers alike on every image, such as a constant one, keeps its class whatever is
changed: its certified radius is infinite. One such radius would make a mean infinite and say
nothing of the others, and JSON has no infinity. So infinite radii are counted apart: means and
medians are those of the finite radii, beside the number of infinite ones, and in JSON an infinite
radius is null.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["count_infinite", "finite_radii", "mean_radius", "middle_radii", "radii_as_json"]


def finite_radii(radii: Tensor) -> Tensor:
    """Return the finite ones of radii [count], float64."""
    return radii[radii.isfinite()].double()


def count_infinite(radii: Tensor) -> int:
    """Return how many of the radii are infinite."""
    return int(radii.isinf().sum())


def mean_radius(radii: Tensor) -> float | None:
    """Return the mean of the finite radii; None if there are none."""
    known = finite_radii(radii)
    return float(known.mean()) if len(known) else None


def middle_radii(radii: Tensor) -> Tensor:
    """Return the median over several networks on each image, float64 [count].

    Args:
        radii: [networks, count]; it is infinite where more than half of the networks' are, or half
            of them and the median lies between.
    """
    radii = radii.double()
    ordered, count = radii.sort(dim=0).values, len(radii)
    # Between two infinite ones, which the quantile makes no number of.
    upper = ordered[count // 2]
    return torch.where(upper.isinf(), upper, radii.quantile(0.5, dim=0))


def radii_as_json(radii: Tensor) -> list[float | None]:
    """Return radii [count] as JSON values, null where they are infinite."""
    return [None if math.isinf(radius) else float(radius) for radius in radii]
