"""Interval bounds of all layers: each neuron's range from its inputs' ranges.

The cheapest sound bounds, and the loosest (Gowal et al. 2018, "IBP"). The first affine map after
the image is bounded over the ball itself, by its dual norm; from there on all dependence between
neurons is forgotten. They are of the network as it is evaluated
(:mod:`nversion.certification.bounds.evaluation`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from nversion.certification.ball import Ball, dual_norm
from nversion.certification.bounds.evaluation import Errors
from nversion.certification.bounds.intervals import Bounds, interval_step
from nversion.certification.lipschitz.stretches import Stretches
from nversion.certification.network.graph import Convolution, Dense, Network

__all__ = ["interval_bounds", "interval_margins", "last_margins", "margin_weights"]


def interval_bounds(network: Network, images: Tensor, radii: Tensor, ball: Ball) -> list[Bounds]:
    """Return sound bounds of every node over the ball around each image.

    Args:
        network: in float64.
        images: float64 [count, *shape].
        radii: float64 [count].
        ball: the norm and the box.
    """
    return _bounds(network, images, radii, ball, None)[0]


def interval_margins(
    network: Network,
    images: Tensor,
    labels: Tensor,
    radii: Tensor,
    ball: Ball,
    stretches: Stretches | None = None,
) -> Tensor:
    """Return lower bounds of the label's logit minus each other, float64 [count, classes].

    With `stretches` (:mod:`nversion.certification.lipschitz.stretches`) those by what the network
    can stretch a change are drawn as well, and the better ones returned.
    """
    bounds, errors = _bounds(network, images, radii, ball, stretches)
    others = torch.arange(network.classes, device=images.device).expand(len(images), -1)
    spare = errors.spare(radii.new_zeros(len(radii)))
    found = last_margins(network, bounds, labels, others) - spare.linear(labels, others)
    if stretches is None:
        return found
    logits, weight = errors.logits, margin_weights(network, labels, others)
    lead = logits.gather(1, labels[:, None]) - logits.gather(1, others)
    change = stretches.changes(network, weight) * radii[:, None]
    return torch.maximum(found, lead - change - spare.moved(labels, others, weight))


def margin_weights(network: Network, labels: Tensor, others: Tensor) -> Tensor:
    """Return the weights of margins over what a last linear map reads, or else over the logits.

    Args:
        network: the network.
        labels: int64 [count].
        others: int64 [count, rows].

    Returns:
        [count, rows, neurons].
    """
    last = network.nodes[-1]
    if isinstance(last, Dense):
        weight = last.weight
    else:
        weight = torch.eye(network.classes, dtype=network.dtype, device=labels.device)
    return weight[labels][:, None] - weight[others]


def last_margins(
    network: Network,
    bounds: list[Bounds] | dict[int, Bounds],
    labels: Tensor,
    others: Tensor,
    weight: Tensor | None = None,
) -> Tensor:
    """Return lower bounds of margins from the ranges of the last nodes, [count, rows].

    Args:
        network: the network.
        bounds: of its nodes.
        labels: int64 [count].
        others: int64 [count, rows].
        weight: of the margins, where it is known already (:func:`margin_weights`).
    """
    last = network.nodes[-1]
    if not isinstance(last, Dense):
        low, high = bounds[len(network.nodes) - 1]
        return low.gather(1, labels[:, None]) - high.gather(1, others)
    weight = margin_weights(network, labels, others) if weight is None else weight
    bias = last.bias[labels][:, None] - last.bias[others]
    low, high = bounds[last.inputs[0]]
    value = (weight @ ((low + high) / 2)[:, :, None]).squeeze(2) + bias
    return value - (weight.abs() @ ((high - low) / 2)[:, :, None]).squeeze(2)


def _bounds(
    network: Network, images: Tensor, radii: Tensor, ball: Ball, stretches: Stretches | None
) -> tuple[list[Bounds], Errors]:
    values = network.forward(images)
    errors = Errors(network, images, radii, ball, values, stretches)
    bounds: list[Bounds] = [ball.sides(images, radii)]
    errors.start(bounds[0])
    for index, node in enumerate(network.nodes[1:], start=1):
        spare = errors.enter(index)
        lower, upper = interval_step(node, [bounds[i] for i in node.inputs])
        if node.inputs == (0,) and isinstance(node, Convolution | Dense):
            spread = _dual(node, radii, ball.norm)
            lower = torch.maximum(lower, values[index] - spread)
            upper = torch.minimum(upper, values[index] + spread)
        if spare is not None:
            lower, upper = lower - spare, upper + spare
        bounds.append(errors.leave(index, lower, upper))
    return bounds, errors


def _dual(node: Convolution | Dense, radii: Tensor, norm: float) -> Tensor:
    """Return radius times dual norm of each neuron's weights (an upper bound at the border)."""
    sizes = dual_norm(node.weight.flatten(1).abs(), norm)
    shape = (1, -1) + (1,) * (len(node.shape) - 1)
    return sizes.reshape(shape) * radii.reshape(-1, *([1] * len(node.shape)))
