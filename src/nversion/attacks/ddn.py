"""DDN, decoupled direction and norm (Rony, Hafemann, Oliveira, Ben Ayed, Sabourin & Granger 2019).

"Decoupling direction and norm for efficient gradient-based L2 adversarial attacks and defenses",
CVPR 2019, algorithm 1. A step along the gradient of the cross-entropy sets the direction of the
change; its length is then set to a radius, which shrinks by the share gamma where the point is
adversarial and grows by it where it is not. The step falls from 1 to 0.01 by half a cosine.
Chosen here:

- Steps are measured in radii, so that they suit images near and far from the boundary; the authors
  measure them in units of the pixels' range. The first radius is one and a half times the distance
  to the boundary that the gradient at the original says, at most the one that is given.
- Gamma falls with the steps, from the one that is given to a twentieth of it: the last radii differ
  by less, and so the search ends nearer to the boundary.
- Nothing is rounded to 8 bits; `storable=True` asks for that.
- The result is improved by linear models of the margin (:mod:`nversion.attacks.polish`);
  `refinements=0` leaves what the algorithm found.
"""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import torch
from torch import Tensor

from nversion.attacks.ball import columns, norms
from nversion.attacks.base import Attack, check_count, check_option
from nversion.attacks.criteria import log_odds
from nversion.attacks.goal import Goal
from nversion.attacks.noise import Noise
from nversion.attacks.oracle import Oracle
from nversion.attacks.polish import polish
from nversion.attacks.record import Record
from nversion.attacks.registry import register

__all__ = ["DecoupledDirectionNorm"]

TINY = 1e-30

FIRST = 1.5
"""The first radius, in distances to the linearised boundary."""

LAST_STEP, LAST_GAMMA = 0.01, 0.05
"""What the step and gamma have come down to at the end, in shares of the first."""


@register
@dataclasses.dataclass(frozen=True)
class DecoupledDirectionNorm(Attack):
    """DDN: steps along the gradient on a sphere that closes in on the boundary.

    Attributes:
        steps: iterations.
        gamma: relative change of the radius.
        initial_norm: the first radius, at the most.
        refinements: steps on the linearised margin at the end.
    """

    steps: int = 100
    gamma: float = 0.2
    initial_norm: float = 10.0
    refinements: int = 20

    name: ClassVar[str] = "ddn"
    norm: ClassVar[str] = "l2"
    paper: ClassVar[str] = "Rony et al. 2019"

    def __post_init__(self) -> None:
        check_count("steps", self.steps)
        check_option("gamma", self.gamma)
        check_option("initial_norm", self.initial_norm)
        check_count("refinements", self.refinements, low=0)

    def propose(self, oracle: Oracle, images: Tensor, labels: Tensor, noise: Noise) -> Tensor:
        """Return the nearest adversarial image met; the original where none was."""
        goal, record = Goal(oracle, images, labels), Record(images, self.norm)
        self._walk(goal, record)
        polish(goal, record, self.refinements)
        return record.points

    def _walk(self, goal: Goal, record: Record) -> None:
        """Take all steps, and show `record` the points met."""
        originals, labels = record.originals, goal.labels
        rows = torch.arange(len(originals), device=originals.device)
        changes = torch.zeros_like(originals)
        radii = torch.full_like(record.sizes, self.initial_norm)
        farthest = norms(torch.maximum(originals, 1.0 - originals), "l2")
        for number in range(self.steps):
            annealed = (1.0 + math.cos(math.pi * number / self.steps)) / 2
            step = LAST_STEP + (1.0 - LAST_STEP) * annealed
            gamma = self.gamma * LAST_GAMMA ** (number / self.steps)
            points = originals + changes
            logits, gradients = goal.oracle.gradient(points, lambda z, k: log_odds(z, labels[k]))
            held = goal.lack(logits, rows) < 0
            record.keep(rows, points, held)
            steepness = norms(gradients, "l2").clamp(min=TINY)
            if number == 0:
                radii = torch.minimum(radii, FIRST * goal.leads / steepness)
            else:
                radii = radii * torch.where(held, 1.0 - gamma, 1.0 + gamma)
            radii = torch.minimum(radii, farthest)
            moved = changes + columns(step * radii / steepness) * gradients
            moved = columns(radii / norms(moved, "l2").clamp(min=TINY)) * moved
            changes = (originals + moved).clamp(0.0, 1.0) - originals
