"""Interval arithmetic: a node's ranges from those of its inputs (Gowal et al. 2018, "IBP")."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from nversion.certification.network.graph import (
    Activation,
    Convolution,
    Dense,
    Flatten,
    MaxPool,
    Node,
    Scale,
    Sum,
    activate,
    convolve,
    pool,
)

__all__ = ["Bounds", "interval_step"]

Bounds = tuple[Tensor, Tensor]
"""Lower and upper bounds of one node's neurons, [count, *shape] each."""


def interval_step(node: Node, inputs: list[Bounds]) -> Bounds:
    """Return bounds of a node's neurons from bounds of its inputs, up to rounding."""
    low, high = inputs[0]
    match node:
        case Convolution() | Dense():
            center = _affine(node, (low + high) / 2, absolute=False)
            spread = _affine(node, (high - low) / 2, absolute=True)
            return center - spread, center + spread
        case Scale():
            first, second = low * node.scale + node.shift, high * node.scale + node.shift
            return torch.minimum(first, second), torch.maximum(first, second)
        case Flatten():
            return low.reshape(len(low), *node.shape), high.reshape(len(high), *node.shape)
        case Activation():
            return activate(node, low), activate(node, high)
        case MaxPool():
            return pool(node, low), pool(node, high)
        case Sum():
            return low + inputs[1][0], high + inputs[1][1]
    raise TypeError(f"no rule for {type(node).__name__}")


def _affine(node: Convolution | Dense, x: Tensor, absolute: bool) -> Tensor:
    weight = node.sizes if absolute else node.weight
    bias = None if absolute else node.bias
    if isinstance(node, Convolution):
        return convolve(node, x, weight, bias)
    return functional.linear(x, weight, bias)
