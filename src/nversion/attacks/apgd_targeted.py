"""Targeted Auto-PGD in L2 and Linf, with a search for the smallest radius (Croce & Hein 2020).

"Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free attacks",
ICML 2020: the ascent of :mod:`nversion.attacks.apgd` on the targeted DLR loss, towards one wrong
class after another. There the radius is given; here the smallest is searched for. Chosen here:

- Each class has a first run in a ball a little smaller than the nearest success of the classes
  before it (or, before there is one, twice what the linearised margin asks for, and doubled until a
  run succeeds). A class that succeeds is tried again in a smaller ball, one that fails is left. So
  most classes cost one run.
- An image's run ends at its first success, whatever class it is taken for.
- The nearest of all successes is improved by linear models of the margin
  (:mod:`nversion.attacks.polish`); `refinements=0` leaves what the search found.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import torch
from torch import Tensor

from nversion.attacks.apgd import checkpoints, targeted_logit_ratio
from nversion.attacks.ball import BALLS, columns, norms, steepest, sums
from nversion.attacks.base import Attack, check_count, check_option
from nversion.attacks.goal import Goal
from nversion.attacks.nearest import ranked_classes
from nversion.attacks.noise import Noise
from nversion.attacks.oracle import Oracle
from nversion.attacks.polish import polish
from nversion.attacks.projections import project_in_box
from nversion.attacks.record import Record
from nversion.attacks.registry import register
from nversion.norms import norm_name

__all__ = ["TargetedAutoPGD"]

FIRST = 2.0
"""The first radius, in distances to the linearised boundary."""

DOUBLINGS = 4
"""How often it is doubled at the most where no run has succeeded."""

TINY = 1e-30


@register
@dataclasses.dataclass(frozen=True)
class TargetedAutoPGD(Attack):
    """APGD towards one class after another, each in a ball smaller than the last success's.

    Attributes:
        norm: "l2" or "linf" (or 2, inf).
        steps: iterations of one run.
        targets: classes, those with the nearest linearised boundaries.
        searches: runs for one class, at the most.
        shrink: the next radius, in parts of the nearest success's.
        rho: share of the steps between two checkpoints that must have raised the loss.
        momentum: weight of the new step against the previous one.
        refinements: steps on the linearised margin at the end.
    """

    # The base fixes the norm per class; here it is an option, and so differs between instances.
    norm: str = "linf"  # type: ignore[misc]
    steps: int = 20
    targets: int = 9
    searches: int = 6
    shrink: float = 0.93
    rho: float = 0.75
    momentum: float = 0.75
    refinements: int = 20

    name: ClassVar[str] = "apgd-targeted"
    paper: ClassVar[str] = "Croce & Hein 2020"

    def __post_init__(self) -> None:
        object.__setattr__(self, "norm", norm_name(self.norm, BALLS))
        for option in ("steps", "targets", "searches"):
            check_count(option, getattr(self, option))
        for option in ("shrink", "rho", "momentum"):
            check_option(option, getattr(self, option))
        check_count("refinements", self.refinements, low=0)

    def propose(self, oracle: Oracle, images: Tensor, labels: Tensor, noise: Noise) -> Tensor:
        """Return the nearest adversarial image found; the original where none was."""
        goal, record = Goal(oracle, images, labels), Record(images, self.norm)
        values, normals, targets = ranked_classes(oracle, images, labels, self.targets, self.norm)
        nearest = normals[:, 0]
        slopes = norms(nearest, "l2") if self.norm == "l2" else sums(nearest.abs())
        first = FIRST * values[:, 0].abs() / slopes.clamp(min=TINY)
        for target in targets.unbind(dim=1):
            self._class(goal, record, target, first, noise)
        polish(goal, record, self.refinements)
        return record.points

    def _class(
        self, goal: Goal, record: Record, target: Tensor, first: Tensor, noise: Noise
    ) -> None:
        """Search the radius for one class of each image."""
        rows = torch.arange(len(target), device=target.device)
        radii, most = first.clone(), float(record.originals[0].numel())
        for _ in range(self.searches):
            known = record.sizes[rows].isfinite()
            radii[rows] = torch.where(known, self.shrink * record.sizes[rows], radii[rows])
            run = _Run(self, goal, record, rows, target[rows], radii[rows].clamp(max=most))
            won = run.go(noise)
            lost = record.sizes[rows].isinf()
            radii[rows[lost]] *= 2.0
            rows = rows[won | (lost & (radii[rows] <= first[rows] * 2.0**DOUBLINGS))]
            if len(rows) == 0:
                return


class _Run:
    """One ascent for some images; its tensors have one entry for each that has not succeeded."""

    def __init__(
        self,
        attack: TargetedAutoPGD,
        goal: Goal,
        record: Record,
        rows: Tensor,
        target: Tensor,
        radii: Tensor,
    ) -> None:
        self._attack, self._goal, self._record = attack, goal, record
        self._rows, self._target, self._radii = rows, target, radii
        self._won = torch.zeros_like(record.sizes, dtype=torch.bool)

    def go(self, noise: Noise) -> Tensor:
        """Take all steps; return which of the rows succeeded, bool."""
        attack, rows = self._attack, self._rows
        self._changes = self._projected(self._start(noise))
        self._before, self._step = self._changes, 2.0 * self._radii
        self._best = self._changes
        self._best_loss = torch.full_like(self._radii, -torch.inf)
        self._loss, self._best_before = self._best_loss, self._best_loss
        self._rises, self._halved = torch.zeros_like(self._radii), torch.ones_like(rows).bool()
        self._best_gradients = torch.zeros_like(self._changes)
        judged, since = set(checkpoints(attack.steps)), 0
        for step in range(attack.steps + 1):
            gradients = self._look()
            if step > 0:
                since += 1
                if step in judged:
                    gradients = self._judge(gradients, since)
                    since = 0
            if step == attack.steps or len(self._rows) == 0:
                break
            self._advance(gradients, 1.0 if step == 0 else attack.momentum)
        return self._won[rows]

    def _start(self, noise: Noise) -> Tensor:
        shape = tuple(self._record.originals.shape[1:])
        if self._attack.norm == "linf":
            draws = noise.uniform(self._rows, *shape, low=-1.0, high=1.0)
        else:
            draws = noise.normal(self._rows, *shape)
        sizes = norms(draws, self._attack.norm).clamp(min=TINY)
        return columns(self._radii / sizes) * draws

    def _projected(self, changes: Tensor) -> Tensor:
        originals = self._record.originals[self._rows]
        inside = project_in_box(changes, originals, self._radii, self._attack.norm)
        return (originals + inside).clamp(0.0, 1.0) - originals

    def _look(self) -> Tensor:
        """Evaluate the points, let go of the successes, and return the others' gradients."""
        labels = self._goal.labels[self._rows]
        points = self._record.originals[self._rows] + self._changes
        logits, gradients = self._goal.oracle.gradient(
            points, lambda z, k: targeted_logit_ratio(z, labels[k], self._target[k])
        )
        loss = targeted_logit_ratio(logits, labels, self._target).nan_to_num(nan=-torch.inf)
        held = self._goal.lack(logits, self._rows) < 0
        self._record.keep(self._rows, points, held)
        self._won[self._rows[held]] = True
        self._rises = self._rises + (loss > self._loss)
        self._loss = loss
        better = loss > self._best_loss
        self._best_loss = torch.where(better, loss, self._best_loss)
        self._best = torch.where(columns(better), self._changes, self._best)
        self._best_gradients = torch.where(columns(better), gradients, self._best_gradients)
        if bool(held.any()):
            for name, state in vars(self).items():
                if isinstance(state, Tensor) and name != "_won":
                    setattr(self, name, state[~held])
        return gradients[~held]

    def _judge(self, gradients: Tensor, since: int) -> Tensor:
        """Halve steps that achieve too little, and go back to the best point there."""
        stalled = ~self._halved & (self._best_loss <= self._best_before)
        halve = (self._rises < self._attack.rho * since) | stalled
        self._step = torch.where(halve, self._step / 2, self._step)
        self._changes = torch.where(columns(halve), self._best, self._changes)
        self._halved, self._best_before = halve, self._best_loss
        self._rises = torch.zeros_like(self._rises)
        return torch.where(columns(halve), self._best_gradients, gradients)

    def _advance(self, gradients: Tensor, momentum: float) -> None:
        """Take one step with momentum."""
        direction = steepest(gradients, self._attack.norm)
        stepped = self._projected(self._changes + columns(self._step) * direction)
        ahead = momentum * (stepped - self._changes)
        along = (1.0 - momentum) * (self._changes - self._before)
        self._before, self._changes = self._changes, self._projected(self._changes + ahead + along)
