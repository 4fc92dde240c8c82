"""The nearest point at which a linear model of the margin holds: one step of minimum-norm attacks.

Minimising the distance to the original under a linear constraint within [0, 1] is to project the
original onto a half-space within the box, which has a closed form
(:func:`nversion.attacks.fab.to_hyperplane`). ReLU networks put kinks where the solution lies; there
the linearisations of both sides alternate, and a running mean of them (an aggregate subgradient, as
in bundle methods; Kiwiel 1983, "An aggregate subgradient method for nonsmooth convex minimization")
settles on the kink. The steps shrink, and the margin asked for falls while the iterates are
adversarial and rises while they are not, so that the last ones are on the boundary.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import torch
from torch import Tensor

from nversion.attacks.ball import norms, sums
from nversion.attacks.criteria import excess_margins, margins
from nversion.attacks.fab import to_hyperplane
from nversion.attacks.nearest import Nearest
from nversion.attacks.oracle import Oracle

__all__ = [
    "IN_L2",
    "IN_LINF",
    "LARGEST",
    "RELAX",
    "TIGHTEN",
    "Finish",
    "Kind",
    "Linearised",
    "Slope",
    "finish",
    "margin_slope",
    "step_share",
]

Slope = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Points and their rows -> what their margins lack, and the margins' gradients."""

MEMORY = 0.5
"""Weight of the mean of the earlier linearisations against the newest."""

LAST_STEP = 0.02
"""The last step's share of the way to the solution; the first is 1, a half cosine between."""

RELAX, TIGHTEN = 0.9, 1.1
"""Factors of the margin asked for: after an adversarial iterate, and after another one."""

LARGEST = 2.0**60
"""Stands for margins that are not numbers."""


@dataclasses.dataclass(frozen=True)
class Finish:
    """How :func:`finish` goes about it.

    Attributes:
        norm: "l2" or "linf".
        steps: how many.
        extra: how far past the boundary the first aims, in distances from the original.
        memory: weight of the mean of the earlier linearisations against the newest.
        relax: factor of the margin asked for after an adversarial iterate.
        tighten: the factor after another one.
        last_step: the last step's share of the way to the solution; the first is 1.
    """

    norm: str = "l2"
    steps: int = 20
    extra: float = 5e-3
    memory: float = MEMORY
    relax: float = RELAX
    tighten: float = TIGHTEN
    last_step: float = LAST_STEP


IN_L2 = Finish()
IN_LINF = Finish("linf", steps=12, extra=0.02, memory=0.8)
"""In Linf the solution of a linear model jumps from corner to corner, so more of them are mixed."""


@dataclasses.dataclass
class Linearised:
    """Linear models of margins around the originals, one for each image.

    Attributes:
        originals: float32 [count, ...] in [0, 1].
        values: float32 [count], what the models say at the originals.
        normals: float32 [count, ...], their gradients.
        norm: "l2" or "linf", the norm of the distance.
        memory: weight of what is there against what is added.
    """

    originals: Tensor
    values: Tensor
    normals: Tensor
    norm: str = "l2"
    memory: float = MEMORY

    def add(self, changes: Tensor, margins: Tensor, gradients: Tensor) -> None:
        """Mix in the linearisations at originals + changes.

        Args:
            changes: float32 [count, ...].
            margins: float32 [count].
            gradients: float32 [count, ...], of the margins.
        """
        values = margins - sums(gradients * changes)
        self.values = self.memory * self.values + (1.0 - self.memory) * values
        self.normals = self.memory * self.normals + (1.0 - self.memory) * gradients

    def nearest(self, extra: Tensor) -> Tensor:
        """Return the points in [0, 1] nearest to the originals where the model says `extra`.

        Where no point of the box reaches it, as far that way as the box allows.

        Args:
            extra: float32 [count], the margin wanted.
        """
        gaps = (extra - self.values).clamp(min=0.0).nan_to_num(0.0, 0.0, 0.0)
        moved = self.originals + to_hyperplane(self.originals, self.normals, gaps, self.norm)
        return moved.clamp(0.0, 1.0)

    def size(self, changes: Tensor) -> Tensor:
        """Return what is to be small of changes, squared, float32 [count]."""
        return _squared(changes, self.norm)


Kind = Callable[[Tensor, Tensor, Tensor, str, float], Linearised]
"""Makes the linear models: the class itself, or one with another idea of what is nearest."""


def finish(nearest: Nearest, slope: Slope, how: Finish = IN_L2, kind: Kind = Linearised) -> None:
    """Improve on the nearest points by steps that take the model to be linear around them.

    Long descents gain the last percent slowly; near the minimum these gain it fast.

    Args:
        nearest: the nearest adversarial points so far; its squares are of distances in the norm,
            or whatever else the models of this kind make small.
        slope: points [some, ...] and their rows int64 [some] -> by how much each margin falls short
            of being adversarial, float32 [some], and the gradients of the margins [some, ...].
        how: norm and number of steps.
        kind: makes the linear models.
    """
    rows = nearest.found()
    if len(rows) == 0:
        return
    originals, points = nearest.originals[rows], nearest.points[rows]
    lacks, gradients = slope(points, rows)
    values = -lacks - sums(gradients * (points - originals))
    model = kind(originals, values, gradients, how.norm, how.memory)
    # How much the margin rises at the most over a way of length 1.
    steepness = norms(gradients, "l2") if how.norm == "l2" else sums(gradients.abs())
    extra = how.extra * steepness * nearest.squares[rows].sqrt()
    for step in range(how.steps):
        share = step_share(step, how.steps, how.last_step)
        points = points + share * (model.nearest(extra) - points)
        lacks, gradients = slope(points, rows)
        held, changes = lacks < 0, points - originals
        nearest.keep(rows, points, held, model.size(changes))
        model.add(changes, -lacks, gradients)
        extra = extra * torch.where(held, how.relax, how.tighten)


def step_share(step: int, steps: int, last: float = LAST_STEP) -> float:
    """Return which share of the way to a linear model's solution to take in a step."""
    return last + (1.0 - last) * (1.0 + math.cos(math.pi * step / steps)) / 2


def _squared(changes: Tensor, norm: str) -> Tensor:
    return sums(changes.square()) if norm == "l2" else norms(changes, "linf").square()


def margin_slope(oracle: Oracle, labels: Tensor) -> Slope:
    """Return the slope for :func:`finish` of the margin that a success needs."""

    def slope(points: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        own = labels[rows]
        logits, gradients = oracle.gradient(points, lambda z, k: margins(z, own[k]))
        lacks = -excess_margins(logits, own, oracle.dtype)
        return lacks.nan_to_num(LARGEST, LARGEST, LARGEST), gradients

    return slope
