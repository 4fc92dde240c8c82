"""Interval bounds of all layers: each neuron's range from its inputs' ranges.

The cheapest sound bounds, and the loosest (Gowal et al. 2018, "IBP"). The first affine map after
the image is bounded over the ball itself, by its dual norm; from there on all dependence between
neurons is forgotten. They are of the network as it is evaluated
(:mod:`nversion.certification.bounds.evaluation`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from nversion.certification.ball import dual_norm, per_image
from nversion.certification.bounds.evaluation import Errors
from nversion.certification.bounds.intervals import Bounds, interval_step
from nversion.certification.lipschitz.moves import Stretches
from nversion.certification.network.graph import Convolution, Dense, Network
from nversion.certification.problem import Rivals
from nversion.certification.region import Region

__all__ = ["interval_bounds", "interval_margins", "last_margins", "margin_weights"]


def interval_bounds(network: Network, region: Region) -> list[Bounds]:
    """Return sound bounds of every node over the ball around each image.

    Args:
        network: in float64.
        region: the images and the balls around them, in float64.
    """
    return _bounds(network, region, None)[0]


def interval_margins(
    network: Network, region: Region, labels: Tensor, stretches: Stretches | None = None
) -> Tensor:
    """Return lower bounds of the label's logit minus each other, float64 [count, classes].

    With `stretches` (:mod:`nversion.certification.lipschitz.stretches`) those by what the network
    can stretch a change are drawn as well, and the better ones returned.
    """
    bounds, errors = _bounds(network, region, stretches)
    rivals = Rivals.every(labels, network.classes)
    spare = errors.spare(torch.zeros_like(region.radii))
    weight = margin_weights(network, rivals)
    found = last_margins(network, bounds, rivals, weight) - spare.linear(rivals)
    if stretches is None:
        return found
    lead = rivals.leads(errors.logits)
    change = stretches.changes(network, weight) * region.radii[:, None]
    return torch.maximum(found, lead - change - spare.moved(rivals, weight))


def margin_weights(network: Network, rivals: Rivals) -> Tensor:
    """Return the weights of margins over what a last linear map reads, or else over the logits.

    Returns:
        [count, rows, neurons].
    """
    last = network.nodes[-1]
    if isinstance(last, Dense):
        weight = last.weight
    else:
        weight = torch.eye(network.classes, dtype=network.dtype, device=rivals.labels.device)
    return weight[rivals.labels][:, None] - weight[rivals.others]


def last_margins(
    network: Network,
    bounds: list[Bounds] | dict[int, Bounds],
    rivals: Rivals,
    weight: Tensor,
) -> Tensor:
    """Return lower bounds of margins from the ranges of the last nodes, [count, rows].

    Args:
        network: the network.
        bounds: of its nodes.
        rivals: the labels and the others.
        weight: of the margins (:func:`margin_weights`).
    """
    last, labels, others = network.nodes[-1], rivals.labels, rivals.others
    if not isinstance(last, Dense):
        low, high = bounds[len(network.nodes) - 1]
        return low.gather(1, labels[:, None]) - high.gather(1, others)
    bias = last.bias[labels][:, None] - last.bias[others]
    low, high = bounds[last.inputs[0]]
    value = (weight @ ((low + high) / 2)[:, :, None]).squeeze(2) + bias
    return value - (weight.abs() @ ((high - low) / 2)[:, :, None]).squeeze(2)


def _bounds(
    network: Network, region: Region, stretches: Stretches | None
) -> tuple[list[Bounds], Errors]:
    values = network.forward(region.images)
    errors = Errors(network, region, values, stretches)
    bounds = [errors.start()]
    for index, node in enumerate(network.nodes[1:], start=1):
        spare = errors.enter(index)
        lower, upper = interval_step(node, [bounds[i] for i in node.inputs])
        if node.inputs == (0,) and isinstance(node, Convolution | Dense):
            spread = _dual(node, region)
            lower = torch.maximum(lower, values[index] - spread)
            upper = torch.minimum(upper, values[index] + spread)
        if spare is not None:
            lower, upper = lower - spare, upper + spare
        bounds.append(errors.leave(index, lower, upper))
    return bounds, errors


def _dual(node: Convolution | Dense, region: Region) -> Tensor:
    """Return radius times dual norm of each neuron's weights (an upper bound at the border)."""
    sizes = dual_norm(node.weight.flatten(1).abs(), region.norm)
    sizes = sizes.reshape(1, -1, *([1] * (len(node.shape) - 1)))
    return sizes * per_image(region.radii, sizes)
