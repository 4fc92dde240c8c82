"""First points near the boundary: towards every other class, as if the network were linear.

At the original, the margin to each class is taken to be linear; the smallest change that closes it
within the box has a closed form in every norm: FAB's hyperplane projection in L2 and Linf
(:func:`nversion.attacks.fab.to_hyperplane`), in L1 a knapsack that may be filled in part, in L0 the
pixels that bring most. On a linear network the nearest of these points is the nearest error there
is. On others the boundary lies further away, or nearer; so each way is tried with several gaps.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nversion.attacks.fab import to_hyperplane
from nversion.attacks.goal import Goal
from nversion.attacks.nearest import nearest_classes
from nversion.attacks.pixels import fewest_pixels
from nversion.attacks.proximal import knapsack
from nversion.attacks.record import Record

__all__ = ["try_all_classes", "within_reach"]

GAPS = (1.001, 1.4, 2.0, 3.0)
"""How much further than the linear boundary is gone, in multiples of the gap to it."""


def try_all_classes(goal: Goal, record: Record, classes: int) -> None:
    """Show `record` the points on the way to up to so many classes, those nearest in L2 first."""
    originals = record.originals
    rows = torch.arange(len(originals), device=originals.device)
    leads, normals = nearest_classes(goal.oracle, originals, goal.labels, classes)
    for lead, normal in zip(leads.unbind(dim=1), normals.unbind(dim=1), strict=True):
        open_ = rows
        for gap in GAPS:
            wanted = -gap * lead[open_]
            changes = within_reach(originals[open_], normal[open_], wanted, record.norm)
            points = (originals[open_] + changes).clamp(0.0, 1.0)
            held = goal.look(points, open_) < 0
            record.keep(open_, points, held)
            open_ = open_[~held]
            if len(open_) == 0:
                break


def within_reach(originals: Tensor, normals: Tensor, wanted: Tensor, norm: str) -> Tensor:
    """Return the smallest changes in the box with <normal, d> >= wanted, or as far as it allows.

    Args:
        originals: float32 [count, channels, height, width] in [0, 1].
        normals: like `originals`.
        wanted: float32 [count]; what is not finite, or below zero, wants nothing.
        norm: one of :data:`nversion.attacks.projections.NORMS`.
    """
    wanted = wanted.nan_to_num(0.0, 0.0, 0.0).clamp(min=0.0)
    if norm == "l0":
        return fewest_pixels(originals, normals, wanted)
    if norm == "l1":
        return knapsack(originals, normals, wanted)
    return to_hyperplane(originals, normals, wanted, norm)
