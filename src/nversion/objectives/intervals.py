"""Interval bounds in training: certifiable networks in Linf.

- Gowal, Dvijotham, Stanforth, Bunel, Qin, Uesato, Arandjelovic, Mann and Kohli, "On the
  effectiveness of interval bound propagation for training verifiably robust models", 2018 (IBP):
  the loss at the worst logits that intervals allow, mixed with the plain one; the radius grows from
  0 and the plain loss's weight falls from 1.
- De Palma, Bunel, Dvijotham, Kumar, Stanforth and Lomuscio, "Expressive losses for verified
  robustness via convex combinations", 2024 (MTL-IBP): the attacked loss, mixed with the bound.

The bounds are of the network without dropout. They are for training; no certificate rests on them.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar, final

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from torch import Tensor

from nversion.errors import InputError
from nversion.objectives.attacking import check_attack
from nversion.objectives.base import Batch, StepObjective, ramped
from nversion.objectives.boxes import interval_leads
from nversion.objectives.perturbations import Ball, summed_loss, worst_images

__all__ = [
    "ExpressiveInterval",
    "Interval",
    "begun",
    "beside_plain",
    "check_schedule",
    "worst_loss",
]


@final
@dataclasses.dataclass(frozen=True)
class Interval(StepObjective):
    """Cross-entropy at the worst logits of intervals, mixed with the plain one (IBP, 2018).

    Attributes:
        radius: in Linf, in the end.
        ramp: share of the training over which radius and weights change.
        start: share of the training before that, with the plain loss alone.
        clean: weight of the plain loss in the end, in [0, 1].
        share: of a batch's images whose bounds are taken, in (0, 1]; the plain loss is that of all.
            Less costs less, and proves a little less after as many epochs.
    """

    name: ClassVar[str] = "interval"
    passes: ClassVar[str] = "2 forward and back"
    radius: float = 0.3
    ramp: float = 0.6
    start: float = 0.05
    clean: float = 0.5
    share: float = 1.0

    def __post_init__(self) -> None:
        check_schedule(self.radius, self.ramp, self.start, self.clean)
        if not 0 < self.share <= 1:
            raise InputError(f"share must be in (0, 1], not {self.share}")

    def step(self, batch: Batch) -> Tensor:
        """Return the mixed loss."""
        part = begun(batch.progress, self.start, self.ramp)
        if part == 0:
            return F.cross_entropy(batch.logits(), batch.targets)
        leads = interval_leads(self.name, first_of(batch, self.share), self.radius * part)
        return beside_plain(batch, 1 + (self.clean - 1) * part, worst_loss(leads))


@final
@dataclasses.dataclass(frozen=True)
class ExpressiveInterval(StepObjective):
    """Cross-entropy at attacked images, mixed with that of intervals (MTL-IBP, 2024).

    Attributes:
        radius: in Linf, in the end.
        alpha: weight of the intervals' loss.
        steps: of the attack.
        ramp: share of the training over which the radius grows.
        start: share of the training before that, with the plain loss alone.
    """

    name: ClassVar[str] = "mtl-ibp"
    passes: ClassVar[str] = "steps forward and back to the images, 2 forward and back"
    radius: float = 0.3
    alpha: float = 0.5
    steps: int = 1
    ramp: float = 0.6
    start: float = 0.05

    def __post_init__(self) -> None:
        check_schedule(self.radius, self.ramp, self.start, self.alpha)
        check_attack("inf", self.radius, self.steps, self.ramp)

    def step(self, batch: Batch) -> Tensor:
        """Return the mixed loss."""
        part = begun(batch.progress, self.start, self.ramp)
        if part == 0:
            return F.cross_entropy(batch.logits(), batch.targets)
        ball = Ball.checked("inf", self.radius * part)
        worst = worst_images(batch, ball, self.steps, summed_loss(batch.targets))
        attacked = F.cross_entropy(batch.logits(worst), batch.targets)
        leads = interval_leads(self.name, batch, self.radius * part)
        return (1 - self.alpha) * attacked + self.alpha * worst_loss(leads)


def check_schedule(radius: float, ramp: float, start: float, weight: float) -> None:
    """Raise unless the options of an objective of bounds make sense.

    Raises:
        InputError: they do not.
    """
    Ball.checked("inf", radius)
    if not 0 <= ramp <= 1 or not 0 <= start < 1:
        raise InputError(f"ramp and start must be in [0, 1], not {ramp} and {start}")
    if not 0 <= weight <= 1:
        raise InputError(f"clean (or alpha) must be in [0, 1], not {weight}")


def begun(progress: float, start: float, ramp: float) -> float:
    """Return which part of the radius is reached, after a start without any."""
    return ramped(0, 1, max(progress - start, 0.0), ramp) if progress >= start else 0.0


def first_of(batch: Batch, share: float) -> Batch:
    """Return a batch of the first images, at least one; their order is drawn for every epoch."""
    if share == 1:
        return batch
    count = max(round(share * len(batch.images)), 1)
    parts = {name: getattr(batch, name)[:count] for name in ("images", "targets", "labels")}
    return dataclasses.replace(batch, **parts)


def beside_plain(batch: Batch, weight: float, loss: Tensor) -> Tensor:
    """Return a loss mixed with the plain one, which is not computed where it has no weight."""
    if weight == 0:
        return loss
    plain = F.cross_entropy(batch.logits(), batch.targets)
    return weight * plain + (1 - weight) * loss


def worst_loss(leads: Tensor) -> Tensor:
    """Return the mean cross-entropy of logits that lie behind the right one by `leads`.

    Args:
        leads: lower bounds of z_y - z_j, [batch, classes]; 0 at the right class itself.
    """
    right = torch.zeros(len(leads), dtype=torch.int64, device=leads.device)
    # Class 0 of these is the right one; its own column is put out of the way.
    own = torch.cat([torch.zeros_like(leads[:, :1]), -leads], dim=1)
    return F.cross_entropy(own, right)
