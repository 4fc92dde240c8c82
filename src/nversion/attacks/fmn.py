"""FMN, the fast minimum-norm attack, in L0, L1, L2 and Linf (Pintor, Roli, Brendel & Biggio 2021).

"Fast minimum-norm adversarial attacks through adaptive norm constraints", NeurIPS 2021,
algorithm 1. Each step goes along the margin's gradient, projects the change onto a ball around the
original, and adapts the ball's radius: while nothing adversarial has been met it is what the
linearised margin asks for; later it shrinks by gamma below the nearest adversarial point met
whenever the current one is adversarial, and grows by gamma when it is not (in L0 by a pixel at
least). Steps and gamma shrink by half a cosine. Chosen here:

- The projection is onto the intersection of ball and box, and exact
  (:mod:`nversion.attacks.projections`), where the authors project onto the ball and cut off then.
- The step is measured in the L2 radius that the ball has in its widest direction, so that it fits
  images near and far from the boundary, small and large.
- At the end the nearest point is improved on by linear models of the margin
  (:mod:`nversion.attacks.polish`); `refinements=0` leaves what the algorithm found.
"""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import torch
from torch import Tensor

from nversion.attacks.ball import columns, norms, sums
from nversion.attacks.base import Attack, check_count, check_option
from nversion.attacks.goal import Goal
from nversion.attacks.noise import Noise
from nversion.attacks.oracle import Oracle
from nversion.attacks.polish import polish
from nversion.attacks.projections import project_in_box, sizes_of
from nversion.attacks.record import Record
from nversion.attacks.registry import register
from nversion.norms import norm_name

__all__ = ["FastMinimumNorm"]

TINY = 1e-30


@register
@dataclasses.dataclass(frozen=True)
class FastMinimumNorm(Attack):
    """FMN: steps along the gradient within a ball that closes in on the boundary.

    Attributes:
        norm: "l0", "l1", "l2" or "linf" (or 0, 1, 2, inf).
        steps: iterations.
        step: the first step's length, in the ball's widest L2 radius.
        last_step: the last step's share of the first.
        gamma: relative change of the radius in the first step.
        last_gamma: the same in the last step.
        refinements: linear models solved at the end (module docstring).
    """

    # The base fixes the norm per class; here it is an option, and so differs between instances.
    norm: str = "l2"  # type: ignore[misc]
    steps: int = 100
    step: float = 1.0
    last_step: float = 0.01
    gamma: float = 0.05
    last_gamma: float = 0.001
    refinements: int = 30

    name: ClassVar[str] = "fmn"
    paper: ClassVar[str] = "Pintor et al. 2021"

    def __post_init__(self) -> None:
        object.__setattr__(self, "norm", norm_name(self.norm))
        check_count("steps", self.steps)
        for option in ("step", "last_step", "gamma", "last_gamma"):
            check_option(option, getattr(self, option))
        check_count("refinements", self.refinements, low=0)

    def propose(self, oracle: Oracle, images: Tensor, labels: Tensor, noise: Noise) -> Tensor:
        """Return the nearest adversarial image met; the original where none was."""
        goal, record = Goal(oracle, images, labels), Record(images, self.norm)
        self.descend(goal, record)
        polish(goal, record, self.refinements)
        return record.points

    def descend(self, goal: Goal, record: Record) -> None:
        """Take all steps, and show `record` the points met."""
        rows = torch.arange(len(record.originals), device=record.originals.device)
        changes = torch.zeros_like(record.originals)
        radii = torch.full_like(record.sizes, torch.inf)
        for number in range(self.steps):
            annealed = (1.0 + math.cos(math.pi * number / self.steps)) / 2
            step = self.step * (self.last_step + (1.0 - self.last_step) * annealed)
            gamma = self.last_gamma + (self.gamma - self.last_gamma) * annealed
            lacks, gradients = goal.slope(record.originals + changes, rows)
            record.keep(rows, record.originals + changes, lacks < 0)
            radii = self._adapted(radii, record, changes, lacks, gradients, gamma)
            lengths = step * widest(radii, self.norm, changes[0].numel())
            size = norms(gradients, "l2").clamp(min=TINY)
            moved = changes + columns(lengths / size) * gradients
            changes = project_in_box(moved, record.originals, radii, self.norm)
            changes = (record.originals + changes).clamp(0.0, 1.0) - record.originals

    def _adapted(
        self,
        radii: Tensor,
        record: Record,
        changes: Tensor,
        lacks: Tensor,
        gradients: Tensor,
        gamma: float,
    ) -> Tensor:
        """Return the next radii, [count]."""
        held = lacks < 0
        smaller, larger = (1.0 - gamma) * radii, (1.0 + gamma) * radii
        least = (1.0 - gamma) * record.sizes
        if self.norm == "l0":
            smaller = torch.minimum(radii - 1.0, smaller.floor())
            larger = torch.maximum(radii + 1.0, larger.floor())
            least = record.sizes - 1.0
        away = sizes_of(changes, self.norm) + lacks / dual(gradients, self.norm).clamp(min=TINY)
        # Where the box stops components, the boundary lies further than the gradient says.
        away = (1.0 + gamma) * away
        if self.norm == "l0":
            away = away.ceil()
        known = record.sizes.isfinite()
        adapted = torch.where(held, torch.minimum(smaller, least), torch.where(known, larger, away))
        # Beyond the nearest point known nothing is looked for.
        adapted = torch.minimum(adapted, torch.where(known, record.sizes, torch.inf))
        return adapted.clamp(min=1.0 if self.norm == "l0" else 0.0, max=float(changes[0].numel()))


def dual(gradients: Tensor, norm: str) -> Tensor:
    """Return by how much a linear function rises at the most over a change of size 1, [count]."""
    if norm == "linf":
        return sums(gradients.abs())
    if norm == "l2":
        return norms(gradients, "l2")
    if norm == "l1":
        return norms(gradients, "linf")
    return gradients.abs().sum(dim=1).flatten(1).amax(dim=1)


def widest(radii: Tensor, norm: str, values: int) -> Tensor:
    """Return the L2 radius of balls in their widest direction, [count]."""
    if norm == "l0":
        return radii.sqrt()
    return radii * math.sqrt(values) if norm == "linf" else radii
