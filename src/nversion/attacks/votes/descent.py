"""Walks from the original by an objective of the members' logits, in L2 and Linf: two kinds.

The linear walk (:func:`walk`) takes the objective to be linear and goes to the nearest point where
it says that the vote falls, again and again (:mod:`nversion.attacks.linearised`); it is where an
attack begins, as it takes the fewest steps to come near the boundary.

The descent (:func:`descend`) keeps to a ball around the original while the objective rises. In L2
it is the decoupled direction and norm attack (Rony et al., CVPR 2019), in Linf the fast
minimum-norm attack's pattern (Pintor et al., NeurIPS 2021): step along the objective's gradient,
shrink the ball where the vote has fallen and widen it where it has not. Chosen here: the first ball
is as large as the nearest point known, so that it only looks for something better.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from nversion.attacks.ball import columns, norms, steepest
from nversion.attacks.linearised import LARGEST, RELAX, TIGHTEN, Linearised, step_share
from nversion.attacks.votes.search import Search

__all__ = ["RowObjective", "descend", "first_radii", "following_radii", "onto", "walk"]

RowObjective = Callable[[Tensor, Tensor], Tensor]
"""Members' logits [some, members, classes] and images' numbers [some] -> [some], to be raised."""

GROWTH_FIRST, GROWTH_LAST = 0.2, 0.02
"""Relative change of the radius in the first and the last step, geometric between."""

STEP_FIRST = {"l2": 1.0, "linf": 0.5}
STEP_LAST = {"l2": 0.05, "linf": 0.02}
"""Length of the first and the last step in radii, a half cosine between."""

FIRST_EXTRA = 0.02
"""What the walk's first step aims at, as a share of how far the objective is below zero."""

STRIVE = 1.5
"""Factor of the aim where the vote has not fallen yet."""

UNKNOWN = {"l2": 0.1, "linf": 0.3}
"""The first radius where no point is known: in Linf itself, in L2 as a share of the diagonal."""


def descend(
    search: Search,
    rows: Tensor,
    objective: RowObjective,
    steps: int,
    *,
    verdict: bool,
    start: Tensor | None = None,
) -> None:
    """Walk from the originals of some images, or from beside them, showing `search` all points.

    Args:
        search: the nearest points so far.
        rows: int64 [some], the images.
        objective: what is to rise.
        steps: how many.
        verdict: which way the vote is to fall.
        start: the change of each image to begin with, in first radii, shaped like one image; None
            for no change.
    """
    norm, originals = search.norm, search.originals[rows]
    radii, points = first_radii(search, rows, verdict), originals
    if start is not None:
        points = onto(originals, columns(radii) * start, radii, norm)
    for step in range(steps):
        progress = step / steps
        logits, gradients = search.members.gradient(points, lambda z, k: objective(z, rows[k]))
        fallen = search.see(rows, points, logits, verdict)
        if step > 0:
            radii = following_radii(radii, fallen, progress, norm, originals)
        annealed = (1.0 + math.cos(math.pi * progress)) / 2
        length = STEP_LAST[norm] + (STEP_FIRST[norm] - STEP_LAST[norm]) * annealed
        moves = columns(length * radii) * steepest(gradients, norm)
        points = onto(originals, points - originals + moves, radii, norm)


def walk(
    search: Search, rows: Tensor, objective: RowObjective, steps: int, *, verdict: bool
) -> None:
    """Walk from the originals of some images by linear models, showing `search` all points.

    Args:
        search: the nearest points so far.
        rows: int64 [some], the images.
        objective: what is above zero, about, where the vote falls.
        steps: how many.
        verdict: which way the vote is to fall.
    """
    points = originals = search.originals[rows]

    def slope(at: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits, gradients = search.members.gradient(at, lambda z, k: objective(z, rows[k]))
        values = objective(logits, rows).nan_to_num(-LARGEST, -LARGEST, -LARGEST)
        return search.see(rows, at, logits, verdict), values, gradients

    fallen, values, gradients = slope(points)
    model = Linearised(originals, values, gradients, search.norm)
    extra, met = FIRST_EXTRA * values.abs(), fallen
    for step in range(steps):
        points = points + step_share(step, steps) * (model.nearest(extra) - points)
        fallen, values, gradients = slope(points)
        met = met | fallen
        model.add(points - originals, values, gradients)
        extra = extra * torch.where(fallen, RELAX, torch.where(met, TIGHTEN, STRIVE))


def first_radii(search: Search, rows: Tensor, verdict: bool) -> Tensor:
    """Return the first radius for each image: the distance of the nearest point known."""
    radii = search.distances(verdict)[rows]
    unknown = UNKNOWN[search.norm] * _diagonal(search.originals, search.norm)
    return torch.where(radii.isfinite(), radii, unknown)


def following_radii(
    radii: Tensor, fallen: Tensor, progress: float, norm: str, originals: Tensor
) -> Tensor:
    """Return the next radii: smaller where the vote has fallen, larger where it has not."""
    growth = GROWTH_LAST * (GROWTH_FIRST / GROWTH_LAST) ** (1.0 - progress)
    following = radii * torch.where(fallen, 1.0 - growth, 1.0 + growth)
    return following.clamp(max=_diagonal(originals, norm))


def _diagonal(originals: Tensor, norm: str) -> float:
    return math.sqrt(originals[0].numel()) if norm == "l2" else 1.0


def onto(
    originals: Tensor, changes: Tensor, radii: Tensor, norm: str, *, outward: bool = True
) -> Tensor:
    """Return the points at `changes` brought onto balls of these radii, and into [0, 1].

    Args:
        originals: float32 [count, ...] in [0, 1].
        changes: like `originals`.
        radii: float32 [count].
        norm: "l2" or "linf".
        outward: in L2, whether shorter changes are made longer as well.
    """
    if norm == "linf":
        edge = columns(radii)
        changes = torch.minimum(torch.maximum(changes, -edge), edge)
    else:
        factors = radii / norms(changes, "l2").clamp(min=1e-30)
        changes = columns(factors if outward else factors.clamp(max=1.0)) * changes
    return (originals + changes).clamp(0.0, 1.0)
