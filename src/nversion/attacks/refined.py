"""The last steps of minimum-norm attacks in L2 and Linf, from the nearest point met."""

from __future__ import annotations

import dataclasses

import torch

from nversion.attacks.goal import Goal
from nversion.attacks.linearised import IN_L2, IN_LINF, finish
from nversion.attacks.nearest import Nearest
from nversion.attacks.record import Record

__all__ = ["refine"]


def refine(goal: Goal, record: Record, steps: int) -> None:
    """Improve on a record in L2 or Linf by so many linear models of the margin.

    See :mod:`nversion.attacks.linearised`; without steps, nothing is done.
    """
    if steps == 0 or record.norm not in ("l2", "linf"):
        return
    nearest = Nearest(record.originals)
    rows = torch.arange(len(record.sizes), device=record.sizes.device)
    known = record.sizes.isfinite()
    nearest.keep(rows, record.points, known, record.sizes.square())
    how = IN_L2 if record.norm == "l2" else IN_LINF
    finish(nearest, goal.slope, dataclasses.replace(how, steps=steps))
    record.keep(rows, nearest.points, nearest.squares.isfinite())
