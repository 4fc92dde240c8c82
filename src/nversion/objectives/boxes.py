"""Bounds of every layer's values while a network trains, by intervals around a centre.

A linear layer takes the centre through itself and the half width through its weights' sizes; what
grows takes the ends. The bounds are of the network without dropout, and for training alone: no
certificate rests on them. From Gowal et al. 2018 (see :mod:`nversion.objectives.intervals`).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from torch import Tensor, nn

from nversion.errors import TrainingError
from nversion.objectives.base import Batch
from nversion.objectives.layers import grows, layers, moves

__all__ = ["Box", "box_leads", "boxes", "interval_leads", "lead_rows", "without_own"]


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

    def pooled(self, layer: nn.MaxPool2d) -> Box:
        """Return the box of what max-pooling gives, as ends."""
        if not self.centred:
            return Box(layer(self.first), layer(self.second))
        return Box(*_Pool.apply(self.first, self.second, layer))  # type: ignore[no-untyped-call]


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


class _Pool(torch.autograd.Function):
    """Max-pooling of both ends of a box around its centre; gives the ends.

    No value before the pooling is kept but the centre, and back from it the gradients of both ends
    become those of centre and half width in place: there are no larger values than these.
    """

    @staticmethod
    def forward(
        ctx: Any, centre: Tensor, half: Tensor, layer: nn.MaxPool2d
    ) -> tuple[Tensor, Tensor]:
        """Return the pooled ends."""
        ctx.options = _pooling(layer)
        ends = centre - half
        lower, lower_places = torch.ops.aten.max_pool2d_with_indices(ends, *ctx.options)
        torch.add(centre, half, out=ends)
        upper, upper_places = torch.ops.aten.max_pool2d_with_indices(ends, *ctx.options)
        ctx.save_for_backward(centre, lower_places, upper_places)
        return lower, upper

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        """Return the gradients for centre and half width."""
        values, *places = ctx.saved_tensors
        lower, upper = (
            torch.ops.aten.max_pool2d_with_indices_backward(gradient, values, *ctx.options, where)
            for gradient, where in zip(gradients, places, strict=True)
        )
        half = upper - lower
        return lower.add_(upper), half, None


def _pooling(layer: nn.MaxPool2d) -> tuple[Any, ...]:
    """Return a pooling layer's options, as PyTorch's operator takes them."""
    pairs = (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
    return (*([one, one] if isinstance(one, int) else list(one) for one in pairs), layer.ceil_mode)


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
    # Around its centre from the start: the first layers only move values, and both ends of a single
    # channel would lose what they say of the order that the values lie in.
    box = Box(*Box((images - radius).clamp(0, 1), (images + radius).clamp(0, 1)).around(), True)
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
    if isinstance(layer, nn.MaxPool2d):
        return box.pooled(layer)
    if grows(layer):
        return Box(layer(box.lower), layer(box.upper))
    raise TrainingError(
        f"the objective {asking} has no bounds of {type(layer).__name__} while it trains; leave "
        "it out of the architecture"
    )
