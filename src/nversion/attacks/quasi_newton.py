"""Quasi-Newton directions within a box, for many small problems at once.

Limited-memory BFGS (Nocedal 1980, "Updating quasi-Newton matrices with limited storage") on the
variables that are free to move (Bertsekas 1982, "Projected Newton methods for optimization problems
with simple constraints"). Each row is a problem of its own.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nversion.attacks.ball import sums

__all__ = ["Memory"]

TINY = 1e-30

CURVED = 1e-10
"""A step is remembered if the curvature along it, relative to the change's size, exceeds this."""


class Memory:
    """L-BFGS's memory of each row: the last steps, and the changes of the gradient along them.

    For objectives |x - x0|^2 + weight * rest: the curvature is taken to be 2 where nothing is
    remembered, and :meth:`rescale` follows a new weight.

    Attributes:
        steps: float32 [rows, memory, variables], the newest last.
        changes: float32 [rows, memory, variables], of the gradient along the steps.
        weights: float32 [rows, memory], 1 / <step, change>; 0 where a place is unused.
    """

    def __init__(self, rows: int, memory: int, variables: int, device: torch.device) -> None:
        self.steps = torch.zeros(rows, memory, variables, device=device)
        self.changes = torch.zeros(rows, memory, variables, device=device)
        self.weights = torch.zeros(rows, memory, device=device)

    def push(self, wanted: Tensor, steps: Tensor, changes: Tensor) -> None:
        """Remember a step where `wanted`, bool [rows], and the curvature along it is positive."""
        along, square = sums(steps * changes), sums(changes.square())
        kept = (wanted & (along > CURVED * square)).nonzero().squeeze(1)
        for store, new in (
            (self.steps, steps),
            (self.changes, changes),
            (self.weights, 1.0 / along.clamp(min=TINY)),
        ):
            store[kept] = torch.cat([store[kept, 1:], new[kept, None]], dim=1)

    def rescale(self, rows: Tensor, factors: Tensor) -> None:
        """Multiply by a factor, [rows], what the changes of `rows`, int64, hold beyond 2 steps."""
        steps = self.steps[rows]
        changes = 2.0 * steps + factors[:, None, None] * (self.changes[rows] - 2.0 * steps)
        along = sums((steps * changes).flatten(0, 1)).view(len(rows), -1)
        self.changes[rows] = changes
        self.weights[rows] = torch.where(along > 0, 1.0 / along.clamp(min=TINY), 0.0)

    def direction(self, points: Tensor, gradients: Tensor) -> Tensor:
        """Return a direction of descent, [rows, variables], for points in [0, 1].

        Variables at a bound that the gradient pushes against are fixed; to the others' gradient
        the two-loop recursion applies the approximate inverse Hessian.
        """
        fixed = torch.where(gradients > 0, points <= 0.0, points >= 1.0)
        vector = gradients.masked_fill(fixed, 0.0)
        used = self.weights.ne(0).any(dim=0).nonzero().squeeze(1).tolist()
        shares = {}
        for k in reversed(used):
            shares[k] = self.weights[:, k] * sums(self.steps[:, k] * vector)
            vector = vector - shares[k][:, None] * self.changes[:, k]
        newest = self.weights[:, -1]
        curvature = newest * sums(self.changes[:, -1].square())
        vector = vector / torch.where(newest > 0, curvature, 2.0)[:, None]
        for k in used:
            share = shares[k] - self.weights[:, k] * sums(self.changes[:, k] * vector)
            vector = vector + share[:, None] * self.steps[:, k]
        return -vector.masked_fill(fixed, 0.0)
