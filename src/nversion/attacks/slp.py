"""Successive linear programming: the smallest change in any norm, by linear models of the margin.

Griffith & Stewart, "A nonlinear programming technique for the optimization of continuous processing
systems", Management Science 1961: each step takes the constraint (here: the margin to a wrong class
is at least zero) to be linear around the present point and goes to the smallest change that
satisfies it within [0, 1]. In every norm that change has a closed form: in L0 the pixels that bring
most, in L2 and Linf a projection onto a half-space within the box
(:func:`nversion.attacks.fab.to_hyperplane`); in L1, where the smallest change would jump from
corner to corner, the smallest one near the present (:mod:`nversion.attacks.proximal`).

It is started towards each of the classes whose linearised boundaries are nearest in the norm, since
what it finds depends on where it comes from. Chosen here:

- A run follows the margin of its own class; what it meets counts if it is any error. In L2 it
  follows whichever class leads, which finds nearer points there.
- The model is a running mean of the linearisations met, which settles on kinks, steps shrink, and
  the margin asked for falls where a point is beyond the boundary and rises where it is not
  (:mod:`nversion.attacks.linearised`).
- A run that stays far behind what others found for an image is given up.
- The nearest point of all runs is improved by further steps from there
  (:mod:`nversion.attacks.polish`).
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import torch
from torch import Tensor

from nversion.attacks.ball import sums
from nversion.attacks.base import Attack, check_count
from nversion.attacks.criteria import margins
from nversion.attacks.fab import to_hyperplane
from nversion.attacks.goal import Goal
from nversion.attacks.linearised import step_share
from nversion.attacks.nearest import ranked_classes
from nversion.attacks.noise import Noise
from nversion.attacks.oracle import Oracle
from nversion.attacks.pixels import fewest_pixels
from nversion.attacks.polish import polish
from nversion.attacks.projections import sizes_of
from nversion.attacks.proximal import proximal_step
from nversion.attacks.record import Record
from nversion.attacks.registry import register
from nversion.norms import norm_name

__all__ = ["SuccessiveLinearProgramming"]

FIRST_EXTRA = 0.02
"""Margin asked for at first, as a share of how far the original's lies below zero."""

STRIVE = 1.5
"""Factor of the margin asked for where the run has not been beyond the boundary yet."""

LARGEST = 2.0**60
"""Stands for margins that are not numbers."""


@dataclasses.dataclass(frozen=True)
class _Pace:
    """How a run goes about it in one norm.

    Attributes:
        memory: weight of the mean of the earlier linearisations against the newest.
        relax: factor of the margin asked for beyond the boundary.
        tighten: the factor before it.
        first: share of the way to the solution that the first step takes (in L1, its reach).
        last: the last step's.
        hopeless: after such a share of the steps, runs end that are further from the original than
            so many times the nearest point met.
    """

    memory: float
    relax: float
    tighten: float
    first: float
    last: float
    hopeless: tuple[tuple[float, float], ...] = ((1 / 3, 2.0), (1 / 2, 1.6), (2 / 3, 1.3))


PACES = {
    "l0": _Pace(0.7, 0.7, 1.5, 1.0, 1.0, hopeless=((1 / 2, 2.0), (2 / 3, 1.5))),
    "l1": _Pace(0.3, 0.7, 1.5, 0.5, 0.01),
    "l2": _Pace(0.5, 0.9, 1.1, 1.0, 0.02),
    "linf": _Pace(0.8, 0.9, 1.1, 1.0, 0.02),
}


@register
@dataclasses.dataclass(frozen=True)
class SuccessiveLinearProgramming(Attack):
    """Linear programmes in L0, L1, L2 or Linf, from several classes.

    Attributes:
        norm: "l0", "l1", "l2" or "linf" (or 0, 1, 2, inf).
        classes: runs, each towards another class, at the most.
        steps: linear programmes in each run.
        refinements: further ones from the nearest point of all runs.
    """

    # The base fixes the norm per class; here it is an option, and so differs between instances.
    norm: str = "linf"  # type: ignore[misc]
    classes: int = 9
    steps: int = 30
    refinements: int = 30

    name: ClassVar[str] = "slp"
    paper: ClassVar[str] = "Griffith & Stewart 1961"

    def __post_init__(self) -> None:
        object.__setattr__(self, "norm", norm_name(self.norm))
        check_count("classes", self.classes)
        check_count("steps", self.steps)
        check_count("refinements", self.refinements, low=0)

    def propose(self, oracle: Oracle, images: Tensor, labels: Tensor, noise: Noise) -> Tensor:
        """Return the nearest adversarial image met; the original where none was."""
        goal, record = Goal(oracle, images, labels), Record(images, self.norm)
        ranked = ranked_classes(oracle, images, labels, self.classes, self.norm)
        for values, normals, target in zip(*(part.unbind(dim=1) for part in ranked), strict=True):
            _Run(self, goal, record, target, values, normals).go()
        polish(goal, record, self.refinements)
        return record.points


class _Run:
    """One run of all images, each towards a class of its own."""

    def __init__(
        self,
        attack: SuccessiveLinearProgramming,
        goal: Goal,
        record: Record,
        target: Tensor,
        values: Tensor,
        normals: Tensor,
    ) -> None:
        self._attack, self._goal, self._record, self._target = attack, goal, record, target
        self._pace = PACES[attack.norm]
        self._rows = torch.arange(len(target), device=target.device)
        self._originals = record.originals
        # The model of the margin: what it is at the original, and its gradient.
        self._values, self._normals = values, normals
        self._extra = FIRST_EXTRA * values.abs()
        self._met = torch.zeros_like(values, dtype=torch.bool)

    def go(self) -> None:
        """Take all steps, and show the record the points met."""
        changes, steps = torch.zeros_like(self._originals), self._attack.steps
        limits = {int(share * steps): limit for share, limit in self._pace.hopeless}
        for step in range(steps):
            if step > 0:
                self._look(changes)
            changes = self._next(changes, step)
            changes = (self._originals + changes).clamp(0.0, 1.0) - self._originals
            if step + 1 in limits:
                changes = self._promising(changes, limits[step + 1])
                if len(changes) == 0:
                    return
        points = self._originals + changes
        self._record.keep(self._rows, points, self._goal.look(points, self._rows) < 0)

    def _promising(self, changes: Tensor, limit: float) -> Tensor:
        """Leave the images out that are further than `limit` times the nearest point met."""
        near = ~(sizes_of(changes, self._attack.norm) > limit * self._record.sizes[self._rows])
        if not bool(near.all()):
            self._rows, self._target = self._rows[near], self._target[near]
            self._originals, changes = self._originals[near], changes[near]
            self._values, self._normals = self._values[near], self._normals[near]
            self._extra, self._met = self._extra[near], self._met[near]
        return changes

    def _look(self, changes: Tensor) -> None:
        """Take over what the model is at the present points."""
        pace, goal = self._pace, self._goal
        points = self._originals + changes
        logits, gradients = goal.oracle.gradient(points, self._margin)
        self._record.keep(self._rows, points, goal.lack(logits, self._rows) < 0)
        every = torch.arange(len(points), device=points.device)
        margin = self._margin(logits, every).nan_to_num(-LARGEST, -LARGEST, -LARGEST)
        beyond = margin > 0
        self._met |= beyond
        tighten = torch.where(self._met, pace.tighten, STRIVE)
        self._extra = self._extra * torch.where(beyond, pace.relax, tighten)
        fresh = margin - sums(gradients * changes)
        self._values = pace.memory * self._values + (1.0 - pace.memory) * fresh
        self._normals = pace.memory * self._normals + (1.0 - pace.memory) * gradients

    def _margin(self, logits: Tensor, rows: Tensor) -> Tensor:
        """Return the margin that the run follows, [rows], of `rows` among the images left."""
        labels = self._goal.labels[self._rows[rows]]
        if self._attack.norm == "l2":
            return margins(logits, labels)
        pair = logits.gather(1, torch.stack([self._target[rows], labels], dim=1))
        return pair[:, 0] - pair[:, 1]

    def _next(self, changes: Tensor, step: int) -> Tensor:
        """Return the changes after a step."""
        norm, pace, originals = self._attack.norm, self._pace, self._originals
        wanted = (self._extra - self._values).clamp(min=0.0).nan_to_num(0.0, 0.0, 0.0)
        if norm == "l0":
            return fewest_pixels(originals, self._normals, wanted)
        if norm == "l1":
            progress = step / max(self._attack.steps - 1, 1)
            reach = pace.first * (pace.last / pace.first) ** progress
            reaches = torch.full_like(wanted, reach)
            return proximal_step(changes, originals, self._normals, wanted, reaches)
        share = step_share(step, self._attack.steps, pace.last)
        solved = to_hyperplane(originals, self._normals, wanted, norm)
        return changes + share * (solved - changes)
