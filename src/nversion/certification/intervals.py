"""Interval bounds: each neuron's range from its inputs' ranges (Gowal et al. 2018, "IBP").

The cheapest sound bounds, and the loosest. The first affine map after the image is bounded over
the ball itself, by its dual norm; from there on all dependence between neurons is forgotten.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from nversion.certification.ball import Ball
from nversion.certification.graph import (
    Activation,
    Convolution,
    Dense,
    Flatten,
    MaxPool,
    Network,
    Node,
    Scale,
    Sum,
    activate,
    convolve,
    pool,
)
from nversion.certification.rounding import magnitudes, margin, path_terms

__all__ = ["Bounds", "interval_bounds", "interval_margins", "interval_step"]

Bounds = tuple[Tensor, Tensor]
"""Lower and upper bounds of one node's neurons, [count, *shape] each."""


def interval_bounds(network: Network, images: Tensor, radii: Tensor, ball: Ball) -> list[Bounds]:
    """Return sound bounds of every node over the ball around each image.

    Args:
        network: in float64.
        images: float64 [count, *shape].
        radii: float64 [count].
        ball: the norm and the box.
    """
    low, high = ball.sides(images, radii)
    sizes, terms = magnitudes(network, images, radii), path_terms(network)
    bounds: list[Bounds] = [(low, high)]
    for index, node in enumerate(network.nodes[1:], start=1):
        lower, upper = interval_step(node, [bounds[i] for i in node.inputs])
        if node.inputs == (0,) and isinstance(node, Convolution | Dense):
            spread = _dual(node, images, radii, ball.norm)
            center = _affine(node, images, absolute=False)
            lower = torch.maximum(lower, center - spread)
            upper = torch.minimum(upper, center + spread)
        if not isinstance(node, Flatten | MaxPool) and not _exact(node):
            slack = margin(terms[index], sizes[index])
            lower, upper = lower - slack, upper + slack
        bounds.append((lower, upper))
    return bounds


def interval_margins(
    network: Network, images: Tensor, labels: Tensor, radii: Tensor, ball: Ball
) -> Tensor:
    """Return lower bounds of the label's logit minus each other, float64 [count, classes]."""
    bounds = interval_bounds(network, images, radii, ball)
    last = network.nodes[-1]
    low, high = bounds[-1]
    result = low.gather(1, labels[:, None]) - high
    if isinstance(last, Dense):
        weight = last.weight[labels][:, None] - last.weight
        bias = last.bias[labels][:, None] - last.bias
        before = bounds[last.inputs[0]]
        center, spread = (before[0] + before[1]) / 2, (before[1] - before[0]) / 2
        value = (weight @ center[:, :, None]).squeeze(2) + bias
        loss = (weight.abs() @ spread[:, :, None]).squeeze(2)
        size = magnitudes(network, images, radii)[-1].amax(dim=1, keepdim=True)
        slack = margin(2 * path_terms(network)[-1], size)
        result = torch.maximum(result, value - loss - 2 * slack)
    return result


def _exact(node: Node) -> bool:
    return isinstance(node, Activation) and node.function == "relu"


def _affine(node: Convolution | Dense, x: Tensor, absolute: bool) -> Tensor:
    weight = node.weight.abs() if absolute else node.weight
    bias = None if absolute else node.bias
    if isinstance(node, Convolution):
        return convolve(node, x, weight, bias)
    return functional.linear(x, weight, bias)


def _dual(node: Convolution | Dense, images: Tensor, radii: Tensor, norm: float) -> Tensor:
    """Return radius times dual norm of each neuron's weights (an upper bound at the border)."""
    rows = node.weight.flatten(1).abs()
    sizes = {1.0: rows.amax(dim=1), 2.0: rows.square().sum(dim=1).sqrt()}.get(norm, rows.sum(dim=1))
    shape = (1, -1) + (1,) * (len(node.shape) - 1)
    return sizes.reshape(shape) * radii.reshape(-1, *([1] * len(node.shape)))


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
