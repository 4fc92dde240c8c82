"""Descent towards the original while an objective of the members' logits rises, in L2 and Linf.

In L2 it is the decoupled direction and norm attack (Rony et al., CVPR 2019), in Linf the fast
minimum-norm attack's pattern (Pintor et al., NeurIPS 2021): step along the objective's gradient,
shrink the ball where the vote has fallen and widen it where it has not. Chosen here: the first ball
is as large as the nearest point known, so that the walk only looks for something better.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from nversion.attacks.ball import columns, norms, steepest
from nversion.attacks.votes.search import Search

__all__ = ["RowObjective", "descend"]

RowObjective = Callable[[Tensor, Tensor], Tensor]
"""Members' logits [some, members, classes] and images' numbers [some] -> [some], to be raised."""

GROWTH_FIRST, GROWTH_LAST = 0.2, 0.02
"""Relative change of the radius in the first and the last step, geometric between."""

STEP_FIRST = {"l2": 1.0, "linf": 0.5}
STEP_LAST = {"l2": 0.05, "linf": 0.02}
"""Length of the first and the last step in radii, a half cosine between."""

UNKNOWN = {"l2": 0.1, "linf": 0.3}
"""The first radius where no point is known: in Linf itself, in L2 as a share of the diagonal."""


def descend(
    search: Search, rows: Tensor, objective: RowObjective, steps: int, *, verdict: bool
) -> None:
    """Walk from the originals of some images, showing `search` all points.

    Args:
        search: the nearest points so far.
        rows: int64 [some], the images.
        objective: what is to rise.
        steps: how many.
        verdict: which way the vote is to fall.
    """
    norm, originals = search.norm, search.originals[rows]
    diagonal = math.sqrt(originals[0].numel()) if norm == "l2" else 1.0
    radii = search.distances(verdict)[rows]
    radii = torch.where(radii.isfinite(), radii, UNKNOWN[norm] * diagonal)
    points = originals
    for step in range(steps):
        progress = step / steps
        logits, gradients = search.members.gradient(points, lambda z, k: objective(z, rows[k]))
        fallen = search.see(rows, points, logits, verdict)
        if step > 0:
            growth = GROWTH_LAST * (GROWTH_FIRST / GROWTH_LAST) ** (1.0 - progress)
            radii = (radii * torch.where(fallen, 1.0 - growth, 1.0 + growth)).clamp(max=diagonal)
        annealed = (1.0 + math.cos(math.pi * progress)) / 2
        length = STEP_LAST[norm] + (STEP_FIRST[norm] - STEP_LAST[norm]) * annealed
        moves = columns(length * radii) * steepest(gradients, norm)
        points = _onto(originals, points - originals + moves, radii, norm)


def _onto(originals: Tensor, changes: Tensor, radii: Tensor, norm: str) -> Tensor:
    """Return the points at `changes` brought onto balls of these radii, and into [0, 1]."""
    if norm == "linf":
        edge = columns(radii)
        changes = torch.minimum(torch.maximum(changes, -edge), edge)
    else:
        sizes = norms(changes, "l2").clamp(min=1e-30)
        changes = columns(radii / sizes) * changes
    return (originals + changes).clamp(0.0, 1.0)
