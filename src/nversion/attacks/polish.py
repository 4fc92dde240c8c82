"""The last steps of a minimum-norm attack in any norm: from near the boundary to the nearest point.

Long descents gain the last percents slowly; with the margin taken to be linear around the points
met, the nearest point has a closed form in every norm, and few steps are enough: see
:mod:`nversion.attacks.pixels` for L0, :mod:`nversion.attacks.proximal` for L1, and
:mod:`nversion.attacks.linearised` for L2 and Linf. What is found is then drawn back along the line
to the original, but for L0, where that changes nothing.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from nversion.attacks.goal import Goal
from nversion.attacks.linearised import IN_L2, IN_LINF, finish
from nversion.attacks.nearest import Nearest
from nversion.attacks.pixels import choose_anew, prune
from nversion.attacks.proximal import Descent, descend
from nversion.attacks.ray import drawn_in
from nversion.attacks.record import Record

__all__ = ["polish"]

PRUNINGS = 4
"""How often pixels are set back from what improved."""

FURTHER = 1.0 + 2.0**-10
"""Points drawn in so far that their margin is too thin are tried again so much further out."""


def polish(goal: Goal, record: Record, steps: int) -> None:
    """Improve on the nearest points by `steps` linear models; with 0, leave them."""
    rows = record.found()
    if steps == 0 or len(rows) == 0:
        return
    if record.norm == "l0":
        choose_anew(goal, record, steps)
        prune(goal, record, PRUNINGS)
        return
    if record.norm == "l1":
        descend(goal, record, Descent(steps=steps))
    else:
        _finish(goal, record, steps)
    _draw_in(goal, record, rows)


def _draw_in(goal: Goal, record: Record, rows: Tensor) -> None:
    """Move the points straight back towards the originals, as far as they remain successes."""
    originals = record.originals[rows]
    drawn = drawn_in(goal.oracle, originals, record.points[rows], goal.labels[rows])
    for further in (1.0, FURTHER):
        points = (originals + further * (drawn - originals)).clamp(0.0, 1.0)
        record.keep(rows, points, goal.look(points, rows) < 0)


def _finish(goal: Goal, record: Record, steps: int) -> None:
    """Take the steps in L2 or Linf."""
    nearest = Nearest(record.originals)
    nearest.points, nearest.squares = record.points.clone(), record.sizes.square()
    how = IN_L2 if record.norm == "l2" else IN_LINF
    finish(nearest, goal.slope, dataclasses.replace(how, steps=steps))
    every = torch.arange(len(record.points), device=record.points.device)
    record.keep(every, nearest.points, nearest.squares.isfinite())
