"""The last steps of attacks in L0: choose the pixels anew, and set back those that are not needed.

:func:`choose_anew` takes the margin to be linear: then the fewest pixels are those that bring most,
each as far as the box allows. The model is a running mean of the linearisations at the points met,
as in :mod:`nversion.attacks.linearised`. :func:`prune` sets back as many of a point's pixels as it
can, those first that a linear model at the point says bring least; the others go as far as the box
allows, which costs nothing in L0.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nversion.attacks.ball import sums
from nversion.attacks.goal import Goal
from nversion.attacks.record import Record

__all__ = ["choose_anew", "ends_of", "fewest_pixels", "prune"]

MEMORY = 0.7
"""Weight of the mean of the earlier linearisations against the newest."""

EXTRA = 0.1
"""How far past the boundary the first choice aims, in shares of what the changes bring."""

RELAX, TIGHTEN = 0.7, 1.5
"""Factors of the margin asked for: after an adversarial choice, and after another one."""

TINY = 1e-30


def choose_anew(goal: Goal, record: Record, steps: int) -> None:
    """Look for fewer pixels than those of the nearest points, `steps` times."""
    rows = record.found()
    if len(rows) == 0:
        return
    originals, points = record.originals[rows], record.points[rows]
    changes = points - originals
    lacks, normals = goal.slope(points, rows)
    values = -lacks - sums(normals * changes)
    extra = EXTRA * sums((normals * changes).abs())
    for _ in range(steps):
        changes = fewest_pixels(originals, normals, extra - values)
        points = (originals + changes).clamp(0.0, 1.0)
        changes = points - originals
        lacks, gradients = goal.slope(points, rows)
        held = lacks < 0
        record.keep(rows, points, held)
        extra = extra * torch.where(held, RELAX, TIGHTEN)
        fresh = -lacks - sums(gradients * changes)
        values = MEMORY * values + (1.0 - MEMORY) * fresh
        normals = MEMORY * normals + (1.0 - MEMORY) * gradients


def fewest_pixels(originals: Tensor, normals: Tensor, wanted: Tensor) -> Tensor:
    """Return changes of the fewest pixels in the box with <normal, d> >= wanted.

    The last pixel goes only as far as it has to. Where the box does not allow as much, all pixels
    go as far as it does.

    Args:
        originals: float32 [count, channels, height, width] in [0, 1].
        normals: like `originals`.
        wanted: float32 [count].
    """
    ends = ends_of(originals, normals)
    gains, order = (ends * normals).sum(dim=1).flatten(1).sort(dim=1, descending=True, stable=True)
    before = gains.cumsum(dim=1) - gains
    share = ((wanted[:, None] - before) / gains.clamp(min=TINY)).clamp(0.0, 1.0)
    share = torch.where(gains > 0, share, 0.0)
    shares = torch.zeros_like(share).scatter(1, order, share)
    return ends * shares.view(len(ends), 1, *ends.shape[2:])


def prune(goal: Goal, record: Record, rounds: int) -> None:
    """Set back as many pixels of the nearest points as a linear model at them says are spare.

    How many is found by halving; images that were improved are looked at again, `rounds` times.
    """
    rows = record.found()
    for _ in range(rounds):
        if len(rows) == 0:
            return
        before = record.sizes[rows]
        originals, points = record.originals[rows], record.points[rows]
        changed = (points != originals).any(dim=1).flatten(1)
        _, normals = goal.slope(points, rows)
        ends = torch.where(normals == 0, points - originals, ends_of(originals, normals))
        gains = (ends * normals).sum(dim=1).flatten(1)
        order = torch.where(changed, gains, torch.inf).sort(dim=1, stable=True).indices
        places = torch.arange(order.shape[1], device=order.device).expand_as(order)
        ranks = torch.zeros_like(order).scatter(1, order, places)
        few, many = torch.zeros_like(before), before
        while bool((many - few > 1).any()):
            middle = ((few + many) / 2).floor()
            left = changed & (ranks >= middle[:, None])
            tried = originals + ends * left.view(len(rows), 1, *points.shape[2:])
            tried = tried.clamp(0.0, 1.0)
            held = goal.look(tried, rows) < 0
            record.keep(rows, tried, held)
            few, many = torch.where(held, middle, few), torch.where(held, many, middle)
        rows = rows[record.sizes[rows] < before]


def ends_of(originals: Tensor, normals: Tensor) -> Tensor:
    """Return the changes that bring most in the box; none where the normal is zero."""
    ends = torch.where(normals > 0, 1.0 - originals, -originals)
    return torch.where(normals == 0, 0.0, ends)
