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
from typing import Any, ClassVar, final

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from torch import Tensor, nn

from nversion.errors import InputError, TrainingError
from nversion.objectives.attacking import check_attack
from nversion.objectives.base import Batch, StepObjective, ramped
from nversion.objectives.layers import grows, layers, moves
from nversion.objectives.perturbations import Ball, summed_loss, worst_images

__all__ = [
    "Box",
    "ExpressiveInterval",
    "Interval",
    "begun",
    "beside_plain",
    "box_leads",
    "boxes",
    "check_schedule",
    "interval_leads",
    "lead_rows",
    "without_own",
    "worst_loss",
]


@dataclasses.dataclass(frozen=True)
class Box:
    """Bounds of a layer's values, [batch, ...] each, as ends or around a centre.

    Linear layers want the one and pooling the other, and to go from one to the other is what takes
    longest in small networks, so that it is done only where it must be.
    """

    first: Tensor
    second: Tensor
    centred: bool = False

    @property
    def lower(self) -> Tensor:
        """The lower ends."""
        return self.first - self.second if self.centred else self.first

    @property
    def upper(self) -> Tensor:
        """The upper ends."""
        return self.first + self.second if self.centred else self.second

    def around(self) -> tuple[Tensor, Tensor]:
        """Return centre and half width."""
        if self.centred:
            return self.first, self.second
        half = (self.second - self.first) * 0.5
        return self.first + half, half

    def rectified(self) -> Box:
        """Return the box of the rectified values, around its centre."""
        centre, half = _Rectify.apply(self.first, self.second, self.centred)  # type: ignore[no-untyped-call]
        return Box(centre, half, centred=True)


class _Rectify(torch.autograd.Function):
    """A rectifier on both ends of a box, given either way; gives centre and half width.

    One step forward and one back in place of four, with what they keep in memory between.
    """

    @staticmethod
    def forward(ctx: Any, first: Tensor, second: Tensor, centred: bool) -> tuple[Tensor, Tensor]:
        """Return centre and half width of the rectified box."""
        if centred:
            lower, upper = (first - second).clamp_min_(0), (first + second).clamp_min_(0)
        else:
            lower, upper = first.clamp_min(0), second.clamp_min(0)
        ctx.save_for_backward(lower > 0, upper > 0)
        ctx.centred = centred
        half = upper.sub_(lower).mul_(0.5)
        return lower.add_(half), half

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        """Return the gradients for what was given."""
        centre, half = gradients
        above, below = ctx.saved_tensors[1], ctx.saved_tensors[0]
        upper = centre.add(half).mul_(0.5).mul_(above)
        lower = centre.sub(half).mul_(0.5).mul_(below)
        if ctx.centred:
            return lower + upper, upper.sub_(lower), None
        return lower, upper, None


@final
@dataclasses.dataclass(frozen=True)
class Interval(StepObjective):
    """Cross-entropy at the worst logits of intervals, mixed with the plain one (IBP, 2018).

    Attributes:
        radius: in Linf, in the end.
        ramp: share of the training over which radius and weights change.
        start: share of the training before that, with the plain loss alone.
        clean: weight of the plain loss in the end, in [0, 1].
    """

    name: ClassVar[str] = "interval"
    passes: ClassVar[str] = "2 forward and back"
    radius: float = 0.3
    ramp: float = 0.6
    start: float = 0.05
    clean: float = 0.5

    def __post_init__(self) -> None:
        check_schedule(self.radius, self.ramp, self.start, self.clean)

    def step(self, batch: Batch) -> Tensor:
        """Return the mixed loss."""
        part = begun(batch.progress, self.start, self.ramp)
        if part == 0:
            return F.cross_entropy(batch.logits(), batch.targets)
        leads = interval_leads(self.name, batch, self.radius * part)
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


def interval_leads(asking: str, batch: Batch, radius: float) -> Tensor:
    """Return lower bounds of z_y - z_j within Linf balls, [batch, classes]; huge at y itself.

    The last layer is taken together with the differences, which is tighter than two bounds.

    Raises:
        TrainingError: the network has a layer that intervals cannot pass.
    """
    found = layers(batch.network, asking)
    return box_leads(found[-1], boxes(asking, batch, found, radius)[-1], batch.labels)


def box_leads(last: nn.Module, box: Box, labels: Tensor) -> Tensor:
    """Return lower bounds of z_y - z_j, [batch, classes], by the bounds of the last layer's inputs.

    They are huge at y itself.
    """
    assert isinstance(last, nn.Linear)
    weight, constants = lead_rows(last, labels)
    centre, half = box.around()
    leads = (weight @ centre[:, :, None])[:, :, 0] + constants
    leads = leads - (weight.abs() @ half[:, :, None])[:, :, 0]
    return without_own(leads, labels)


def lead_rows(last: nn.Linear, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return z_y - z_j as rows over the last layer's inputs, and constants."""
    weight = last.weight[labels][:, None] - last.weight[None]
    if last.bias is None:
        return weight, weight.new_zeros(weight.shape[:2])
    return weight, last.bias[labels][:, None] - last.bias[None]


def without_own(leads: Tensor, labels: Tensor) -> Tensor:
    """Return the leads with those over the right class itself far above all others."""
    return leads.scatter(1, labels[:, None], 1e4)


def boxes(asking: str, batch: Batch, found: list[nn.Module], radius: float) -> list[Box]:
    """Return the bounds of every layer's inputs, the last one's at the end.

    Raises:
        TrainingError: the network has a layer that intervals cannot pass.
    """
    images = batch.images.float()
    box = Box((images - radius).clamp(0, 1), (images + radius).clamp(0, 1))
    every = [box]
    for layer in found[:-1]:
        box = _through(asking, layer, box)
        every.append(box)
    return every


def _through(asking: str, layer: nn.Module, box: Box) -> Box:
    if isinstance(layer, nn.Linear):
        centre, half = box.around()
        centre, half = layer(centre), F.linear(half, layer.weight.abs())
        return Box(centre, half, centred=True)
    if isinstance(layer, nn.Conv2d):
        centre, half = box.around()
        centre = layer(centre)
        half = F.conv2d(
            half,
            layer.weight.abs(),
            None,
            layer.stride,
            layer.padding,
            layer.dilation,
            layer.groups,
        )
        return Box(centre, half, centred=True)
    if isinstance(layer, nn.ReLU):
        return box.rectified()
    if moves(layer) and box.centred:
        return Box(layer(box.first), layer(box.second), centred=True)
    if grows(layer):
        return Box(layer(box.lower), layer(box.upper))
    raise TrainingError(
        f"the objective {asking} has no bounds of {type(layer).__name__} while it trains; leave "
        "it out of the architecture"
    )
