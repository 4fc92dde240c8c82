"""The nearest point at which a linear model of the margin holds: one step of minimum-norm attacks.

Minimising the distance to the original under a linear constraint within [0, 1] is to project the
original onto a half-space within the box, which has a closed form
(:func:`nversion.attacks.fab.to_hyperplane`). ReLU networks put kinks where the solution lies; there
the linearisations of both sides alternate, and a running mean of them (an aggregate subgradient, as
in bundle methods; Kiwiel 1983, "An aggregate subgradient method for nonsmooth convex minimization")
settles on the kink.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from torch import Tensor

from nversion.attacks.ball import norms, sums
from nversion.attacks.fab import to_hyperplane
from nversion.attacks.nearest import Nearest

__all__ = ["LAST_STEPS", "Linearised", "finish"]

MEMORY = 0.5
"""Weight of the mean of the earlier linearisations against the newest."""

LAST_STEPS = 4
LAST_STEP = 0.5
LAST_EXTRA = 1e-3
"""Steps of :func:`finish`, their length in ways to the solution (the first goes all the way), and
how far past the boundary they aim, in distances from the original."""


@dataclasses.dataclass
class Linearised:
    """Linear models of margins around the originals, one for each image.

    Attributes:
        originals: float32 [count, ...] in [0, 1].
        values: float32 [count], what the models say at the originals.
        normals: float32 [count, ...], their gradients.
    """

    originals: Tensor
    values: Tensor
    normals: Tensor

    def add(self, changes: Tensor, margins: Tensor, gradients: Tensor) -> None:
        """Mix in the linearisations at originals + changes.

        Args:
            changes: float32 [count, ...].
            margins: float32 [count].
            gradients: float32 [count, ...], of the margins.
        """
        values = margins - sums(gradients * changes)
        self.values = MEMORY * self.values + (1.0 - MEMORY) * values
        self.normals = MEMORY * self.normals + (1.0 - MEMORY) * gradients

    def nearest(self, extra: Tensor) -> Tensor:
        """Return the points in [0, 1] nearest to the originals where the model says `extra`.

        Where no point of the box reaches it, as far that way as the box allows.

        Args:
            extra: float32 [count], the margin wanted.
        """
        gaps = (extra - self.values).clamp(min=0.0).nan_to_num(0.0, 0.0, 0.0)
        moved = self.originals + to_hyperplane(self.originals, self.normals, gaps, "l2")
        return moved.clamp(0.0, 1.0)


def finish(nearest: Nearest, slope: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> None:
    """Improve on the nearest points by a few steps that take the model to be linear around them.

    Long descents gain the last tenth of a percent slowly; near the minimum these gain it fast.

    Args:
        nearest: the nearest adversarial points so far.
        slope: points [some, ...] and their rows int64 [some] -> by how much each margin falls short
            of being adversarial, float32 [some], and the gradients of the margins [some, ...].
    """
    rows = nearest.found()
    if len(rows) == 0:
        return
    originals, points = nearest.originals[rows], nearest.points[rows]
    lacks, gradients = slope(points, rows)
    model = Linearised(originals, -lacks - sums(gradients * (points - originals)), gradients)
    for step in range(LAST_STEPS):
        steepness = norms(model.normals, "l2")
        solution = model.nearest(LAST_EXTRA * steepness * nearest.squares[rows].sqrt())
        points = points + (1.0 if step == 0 else LAST_STEP) * (solution - points)
        lacks, gradients = slope(points, rows)
        changes = points - originals
        nearest.keep(rows, points, lacks < 0, sums(changes.square()))
        model.add(changes, -lacks, gradients)
