"""Radii by interval bounds alone, or by the network's stretch: bisected, as nothing is cheaper."""

from __future__ import annotations

import torch
from torch import Tensor

from nversion.certification.ball import LARGEST_RADIUS
from nversion.certification.bounds.interval_bounds import interval_margins
from nversion.certification.lipschitz.moves import Stretches
from nversion.certification.network.graph import Network
from nversion.certification.problem import Problem

__all__ = ["bisected_radii"]

STEPS = 40
FIRST = 0.05
"""Until a radius holds, the next one tried is this share of the last."""


def bisected_radii(network: Network, problem: Problem, stretches: Stretches) -> Tensor:
    """Return the largest radii, float64 [count], that interval bounds or the stretch certify.

    Args:
        network: in float64.
        problem: with images in float64.
        stretches: of the network's nodes.
    """
    low = problem.images.new_zeros(len(problem))
    high = torch.full_like(low, LARGEST_RADIUS[problem.ball.norm])
    for _ in range(STEPS):
        middle = torch.where(low > 0, (low * high).sqrt(), high * FIRST)
        bounds = interval_margins(network, problem.region(middle), problem.labels, stretches)
        holds = problem.least(bounds) > 0
        low, high = torch.where(holds, middle, low), torch.where(holds, high, middle)
    return low
