"""A short walk to the decision boundary by decoupled direction and norm (Rony et al. 2019).

"Decoupling direction and norm for efficient gradient-based L2 adversarial attacks and defenses",
CVPR 2019, algorithm 1: a step along the gradient sets the direction; the point is then put on a
sphere around the original, whose radius shrinks while the point is adversarial and grows while it
is not. It is meant as the start of an attack that has little time. Chosen here:

- Two walks race for each image, begun towards the two classes whose linearised boundaries are
  nearest; after some steps the one that is ahead goes on alone.
- The first radius is one and a half times the distance to the linearised boundary, so that images
  near and far from the boundary take the same number of steps.
- The step is measured in radii, and both it and the change of radius are annealed.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from nversion.attacks.ball import columns, norms, sums
from nversion.attacks.criteria import towards_errors
from nversion.attacks.nearest import Nearest, nearest_classes
from nversion.attacks.oracle import Oracle

__all__ = ["walk_to_boundary"]

RACERS = 2
RACE = 8
"""So many walks are begun for each image, and one goes on after so many steps."""

FIRST_RADIUS = 1.5
"""The first radius, in distances to the linearised boundary."""

GROWTH_FIRST, GROWTH_LAST = 0.3, 0.03
"""Relative change of the radius in the first and the last step, geometric between."""

STEP_FIRST, STEP_LAST = 1.0, 0.05
"""Length of the first and the last step in radii, a half cosine between."""

TINY = 1e-30


def walk_to_boundary(
    oracle: Oracle,
    nearest: Nearest,
    labels: Tensor,
    lack: Callable[[Tensor, Tensor], Tensor],
    steps: int,
) -> Tensor:
    """Show `nearest` the adversarial points of a walk; return where each image's walk ended.

    Args:
        oracle: the attacked model.
        nearest: the originals, and the nearest points so far.
        labels: int64 [count].
        lack: logits [some, classes] and rows int64 [some] -> by how much each margin falls short,
            float32 [some]; below 0, the point is adversarial.
        steps: at least 1.

    Returns:
        float32 [count, ...], the nearest adversarial point, or the last one where none was met.
    """
    walk = _Walk(oracle, nearest.originals, labels)
    for step in range(steps):
        if step == RACE:
            walk.choose_winners(len(labels))
        progress = step / steps
        if step > 0:
            walk.look(lack, GROWTH_LAST * (GROWTH_FIRST / GROWTH_LAST) ** (1.0 - progress))
        annealed = (1.0 + math.cos(math.pi * progress)) / 2
        walk.move(STEP_LAST + (STEP_FIRST - STEP_LAST) * annealed)
    walk.choose_winners(len(labels))
    met = walk.met
    nearest.keep(walk.rows, met.points, met.squares.isfinite(), met.squares)
    return torch.where(columns(met.squares.isfinite()), met.points, walk.points)


class _Walk:
    """The walks; `rows`, int64, says whose image each belongs to, in ascending order.

    Attributes:
        points: float32 [walks, ...], where they are.
        met: the nearest adversarial point that each has met.
    """

    def __init__(self, oracle: Oracle, originals: Tensor, labels: Tensor) -> None:
        self._oracle, self._labels = oracle, labels
        leads, gradients = nearest_classes(oracle, originals, labels, RACERS)
        rows = torch.arange(len(labels), device=labels.device)
        self.rows = rows.repeat_interleave(leads.shape[1])
        self.met = Nearest(originals[self.rows])
        self.points = self.met.originals
        self._gradients = gradients.flatten(0, 1)
        self._farthest = math.sqrt(originals[0].numel())
        steepness = norms(self._gradients, "l2").clamp(min=TINY)
        self._radii = (-FIRST_RADIUS * leads.flatten() / steepness).clamp(0.0, self._farthest)

    def look(self, lack: Callable[[Tensor, Tensor], Tensor], growth: float) -> None:
        """Evaluate the points; let the spheres shrink where they are adversarial, else grow."""
        objective = towards_errors(self._labels[self.rows])
        logits, self._gradients = self._oracle.gradient(self.points, objective)
        held = lack(logits, self.rows) < 0
        squares = sums((self.points - self.met.originals).square())
        walks = torch.arange(len(held), device=held.device)
        self.met.keep(walks, self.points, held, squares)
        self._radii = self._radii * torch.where(held, 1.0 - growth, 1.0 + growth)
        self._radii = self._radii.clamp(max=self._farthest)

    def move(self, length: float) -> None:
        """Step along the gradient, `length` radii far, and then onto the sphere."""
        steepness = norms(self._gradients, "l2").clamp(min=TINY)
        step = columns(length * self._radii / steepness) * self._gradients
        changes = self.points - self.met.originals + step
        changes = columns(self._radii / norms(changes, "l2").clamp(min=TINY)) * changes
        self.points = (self.met.originals + changes).clamp(0.0, 1.0)

    def choose_winners(self, count: int) -> None:
        """Go on with one walk per image: the nearest adversarial, else that on the least sphere."""
        walks = len(self.rows) // count
        if walks == 1:
            return
        squares = self.met.squares
        records = torch.where(squares.isfinite(), squares, self._farthest**2 + self._radii)
        best = records.view(count, walks).argmin(dim=1)
        kept = best + walks * torch.arange(count, device=best.device)
        self.rows, self.points = self.rows[kept], self.points[kept]
        self._radii, self._gradients = self._radii[kept], self._gradients[kept]
        self.met = self.met.select(kept)
