"""The last steps of attacks in L1: linear models of the margin, solved exactly, step by step.

From the nearest adversarial point met, each step takes the margin to be linear and goes to a small
change for which the model says that the boundary is passed, within the box. The smallest of all
would jump from corner to corner, so the new change d' minimises

    |d'|_1 + |d' - d|^2 / (2 t)

with d the current change and t falling from step to step: the proximal point method on a linearised
constraint (as in Lewis & Wright 2016, "A proximal method for composite minimization"). On a linear
network the minimum is where the second term does not count, so the model's nearest point, a corner,
is tried in the end. The margin asked for falls after an adversarial iterate and rises after another
one, and the linear model is mixed with the earlier ones, which helps at kinks
(:mod:`nversion.attacks.linearised`).
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from nversion.attacks.ball import columns, norms, sums
from nversion.attacks.goal import Goal
from nversion.attacks.projections import ROUNDS
from nversion.attacks.record import Record

__all__ = ["Descent", "descend", "knapsack", "proximal_step"]

LITTLE_MORE = 1.001
"""How far the corner tried in the end goes, in multiples of the way to the model's boundary."""

TINY = 1e-30


@dataclasses.dataclass(frozen=True)
class Descent:
    """How :func:`descend` goes about it.

    Attributes:
        steps: how many.
        first_reach: the first t, in units of the largest component of the first change.
        last_reach: the last t, geometric between.
        memory: weight of the mean of the earlier linearisations against the newest.
        extra: how far past the boundary the first step aims, in distances from the original.
        relax: factor of the margin asked for after an adversarial iterate.
        tighten: the factor after another one.
    """

    steps: int = 40
    first_reach: float = 1.0
    last_reach: float = 0.02
    memory: float = 0.3
    extra: float = 5e-3
    relax: float = 0.7
    tighten: float = 1.5


def descend(goal: Goal, record: Record, how: Descent) -> None:
    """Improve on the nearest points in L1; those without one are left alone."""
    rows = record.found()
    if len(rows) == 0:
        return
    originals, points = record.originals[rows], record.points[rows]
    changes = points - originals
    scale = norms(changes, "linf")
    lacks, normals = goal.slope(points, rows)
    values = -lacks - sums(normals * changes)
    extra = how.extra * norms(normals, "linf") * record.sizes[rows]
    decay = how.last_reach / how.first_reach
    for step in range(how.steps):
        reach = scale * how.first_reach * decay ** (step / max(how.steps - 1, 1))
        changes = proximal_step(changes, originals, normals, extra - values, reach)
        points = (originals + changes).clamp(0.0, 1.0)
        changes = points - originals
        lacks, gradients = goal.slope(points, rows)
        held = lacks < 0
        record.keep(rows, points, held)
        extra = extra * torch.where(held, how.relax, how.tighten)
        fresh = -lacks - sums(gradients * changes)
        values = how.memory * values + (1.0 - how.memory) * fresh
        normals = how.memory * normals + (1.0 - how.memory) * gradients
    changes = knapsack(originals, normals, LITTLE_MORE * -values)
    points = (originals + changes).clamp(0.0, 1.0)
    record.keep(rows, points, goal.look(points, rows) < 0)


def knapsack(originals: Tensor, normals: Tensor, wanted: Tensor) -> Tensor:
    """Return the changes in the box of least L1 norm with <normal, d> >= wanted.

    The steepest components come first, each as far as the box allows, and the last one in part.
    Where the box does not allow as much, all go as far as it does.
    """
    ends = torch.where(normals > 0, 1.0 - originals, -originals)
    ends = torch.where(normals == 0, 0.0, ends)
    order = normals.abs().flatten(1).sort(dim=1, descending=True, stable=True).indices
    gains = (ends * normals).flatten(1).gather(1, order).double()
    before = gains.cumsum(dim=1) - gains
    share = ((wanted[:, None] - before) / gains.clamp(min=TINY)).clamp(0.0, 1.0)
    share = torch.where(gains > 0, share, 0.0).to(ends.dtype)
    shares = torch.zeros_like(share).scatter(1, order, share)
    return ends * shares.view_as(ends)


def proximal_step(
    changes: Tensor, originals: Tensor, normals: Tensor, wanted: Tensor, reach: Tensor
) -> Tensor:
    """Return the d' in the box of least |d'|_1 + |d' - d|^2 / (2 t) with <normal, d'> >= wanted.

    It is soft(d + q normal, t) cut off at the box, for the smallest q that reaches what is wanted.
    What is reached never falls with q and is made of straight pieces, so Newton's method in an
    interval that shrinks around q is exact in the end. Where the box does not allow as much, the
    result goes nearly as far as it does.

    Args:
        changes: float32 [count, ...], the d.
        originals: float32 [count, ...] in [0, 1].
        normals: float32 [count, ...].
        wanted: float32 [count].
        reach: float32 [count], the t, above zero.
    """
    threshold = columns(reach)
    low_end, high_end = -originals, 1.0 - originals

    def moved(multipliers: Tensor) -> Tensor:
        ahead = changes + columns(multipliers) * normals
        ahead = ahead - ahead.clamp(-threshold, threshold)
        return torch.minimum(torch.maximum(ahead, low_end), high_end)

    farthest = sums(torch.where(normals > 0, high_end, low_end) * normals)
    wanted = torch.minimum(wanted, farthest * (1.0 - 1e-5))
    slack = 1e-6 * wanted.abs()
    low, high = torch.zeros_like(wanted), torch.full_like(wanted, torch.inf)
    # With this the component with the largest normal has crossed its threshold and the box.
    far = (2.0 + reach) / norms(normals, "linf").clamp(min=TINY)
    multiplier, open_ = low, torch.ones_like(wanted, dtype=torch.bool)
    for _ in range(ROUNDS):
        reached = moved(multiplier)
        short = wanted - sums(normals * reached)
        low = torch.where(short > 0, multiplier, low)
        high = torch.where(short <= 0, multiplier, high)
        open_ = (short > slack) | ((short < -slack) & (multiplier > 0))
        if not bool(open_.any()):
            break
        free = (reached != 0) & (reached > low_end) & (reached < high_end)
        rate = sums(torch.where(free, normals.square(), 0.0))
        following = multiplier + short / rate
        inside = (following > low) & (following < high)
        middle = torch.where(high.isinf(), 2.0 * low + 0.1 * far, (low + high) / 2)
        multiplier = torch.where(open_, torch.where(inside, following, middle), multiplier)
    return moved(torch.where(open_ & high.isfinite(), high, multiplier))
