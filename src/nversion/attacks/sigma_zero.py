"""Sigma-zero: gradient descent on a smooth count of changed pixels (Cinà et al. 2025).

"sigma-zero: gradient-based optimization of l0-norm adversarial examples", ICLR 2025, algorithm 1.
Minimised is

    max(0, label's logit - largest other logit) + (1 / n) sum_i d_i^2 / (d_i^2 + sigma)

in the box, by Adam's steps (as in the authors' programs) for the gradient scaled to a largest
component of 1. After each step the components that are smaller than a threshold are set to zero;
the threshold rises by a share of the step while the point is adversarial, and falls while it is
not. Steps shrink by half a cosine to a tenth. Chosen here:

- What counts is pixels: d_i is the length of a pixel's change over its channels.
- The margin is taken relative to the label's lead on the original, so that the scale of the logits
  does not matter, times :data:`MARGIN_WEIGHT`, its size in customary networks.
- At the end, pixels are chosen anew by linear models of the margin, and those are set back that
  are not needed (:mod:`nversion.attacks.pixels`); `refinements=0` leaves what the algorithm found.
"""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import torch
from torch import Tensor

from nversion.attacks.ball import columns, norms
from nversion.attacks.base import Attack, check_count, check_option
from nversion.attacks.goal import Goal
from nversion.attacks.noise import Noise
from nversion.attacks.oracle import Oracle
from nversion.attacks.polish import polish
from nversion.attacks.record import Record
from nversion.attacks.registry import register

__all__ = ["SigmaZero"]

MARGIN_WEIGHT = 10.0

LAST_STEP = 0.1
"""The last step's share of the first."""

BETA1, BETA2, STABILISER = 0.9, 0.999, 1e-8

TINY = 1e-30


@register
@dataclasses.dataclass(frozen=True)
class SigmaZero(Attack):
    """Sigma-zero.

    Attributes:
        steps: iterations.
        step: the first step: the largest change of a value, in units of the pixel range.
        sigma: how small changes must be, squared, to count as none.
        threshold: the first threshold.
        threshold_rate: by which share of the step it moves.
        refinements: linear models solved at the end (module docstring).
    """

    steps: int = 100
    step: float = 1.0
    sigma: float = 1e-3
    threshold: float = 0.3
    threshold_rate: float = 0.01
    refinements: int = 30

    name: ClassVar[str] = "sigma-zero"
    norm: ClassVar[str] = "l0"
    paper: ClassVar[str] = "Cinà et al. 2025"

    def __post_init__(self) -> None:
        check_count("steps", self.steps)
        for option in ("step", "sigma", "threshold", "threshold_rate"):
            check_option(option, getattr(self, option))
        check_count("refinements", self.refinements, low=0)

    def propose(self, oracle: Oracle, images: Tensor, labels: Tensor, noise: Noise) -> Tensor:
        """Return the adversarial image with the fewest changed pixels met."""
        goal, record = Goal(oracle, images, labels), Record(images, self.norm)
        self.descend(goal, record)
        polish(goal, record, self.refinements)
        return record.points

    def descend(self, goal: Goal, record: Record) -> None:
        """Take all steps, and show `record` the points met."""
        originals = record.originals
        rows = torch.arange(len(originals), device=originals.device)
        changes, adam = torch.zeros_like(originals), _Adam(originals)
        thresholds = torch.full_like(record.sizes, self.threshold)
        weights = MARGIN_WEIGHT / goal.leads.clamp(min=TINY)
        for number in range(self.steps):
            annealed = (1.0 + math.cos(math.pi * number / self.steps)) / 2
            step = self.step * (LAST_STEP + (1.0 - LAST_STEP) * annealed)
            points = (originals + changes).clamp(0.0, 1.0)
            lacks, gradients = goal.slope(points, rows)
            held = lacks < 0
            record.keep(rows, points, held)
            uphill = columns(torch.where(held, 0.0, weights)) * gradients
            downhill = uphill - self._counting(changes)
            size = norms(downhill, "linf").clamp(min=TINY)
            changes = changes + step * adam.direction(downhill / columns(size))
            changes = (originals + changes).clamp(0.0, 1.0) - originals
            move = self.threshold_rate * step
            thresholds = torch.where(held, thresholds + move, thresholds - move).clamp(0.0, 1.0)
            small = changes.square().sum(dim=1, keepdim=True).sqrt() < columns(thresholds)
            changes = torch.where(small, 0.0, changes)

    def _counting(self, changes: Tensor) -> Tensor:
        """Return the gradient of the smooth share of pixels that are changed, like `changes`."""
        squares = changes.square().sum(dim=1, keepdim=True)
        slopes = 2.0 * self.sigma * changes / (squares + self.sigma).square()
        return slopes / changes[0, 0].numel()


class _Adam:
    """Adam's running means, with its usual constants (Kingma & Ba 2015)."""

    def __init__(self, like: Tensor) -> None:
        self._first, self._second = torch.zeros_like(like), torch.zeros_like(like)
        self._power1 = self._power2 = 1.0

    def direction(self, gradients: Tensor) -> Tensor:
        """Return the step for a rate of 1, after taking in the newest gradients."""
        self._power1, self._power2 = BETA1 * self._power1, BETA2 * self._power2
        self._first = BETA1 * self._first + (1.0 - BETA1) * gradients
        self._second = BETA2 * self._second + (1.0 - BETA2) * gradients.square()
        root = (self._second / (1.0 - self._power2)).sqrt() + STABILISER
        return self._first / (1.0 - self._power1) / root
