"""Backward linear bounds of one layer: its rows taken back to the image, and minimised there."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from nversion.certification.bounds.intervals import Bounds
from nversion.certification.bounds.layer import Layer
from nversion.certification.bounds.window_differences import bounded_differences, joined
from nversion.certification.network.graph import Activation, Convolution, Dense, MaxPool
from nversion.certification.planes.pools import Differences
from nversion.certification.rows.dense import DenseRows, stacked_rows, through_dense
from nversion.certification.rows.geometry import own_geometry, single
from nversion.certification.rows.patches import BLOCK, PatchRows, convolution_rows
from nversion.certification.rows.two_convolutions import through_two
from nversion.certification.rows.walk import Rows

__all__ = ["layer_bounds"]

WIDE = 3
"""How many times fewer channels than pixels in a window a convolution may have and still be bounded
through two layers at once."""

SURE = 1e-6
"""By how much, beside the neuron, a bound must be above zero for its sign to count as settled."""


def layer_bounds(
    layer: Layer, pool: MaxPool | None = None
) -> tuple[Tensor, Tensor, Differences | None]:
    """Return backward bounds of one node's neurons, [count, *shape] each, up to rounding.

    With `pool`, which reads the node, the differences within its windows are bounded as well
    where the rows that come out are over windows of the image.
    """
    node, count = layer.node, len(layer.region)
    if isinstance(node, Dense) and layer.planes and _feeds_relus_only(layer):
        return *_decisive_bounds(layer, node), None
    lower, upper, differences = [], [], []
    channel = 0
    for start, rows in _layer_rows(layer):
        found = layer.minimum(start, rows)
        half = found.lower.shape[1] // 2
        lower.append(found.lower[:, :half].flatten(1))
        upper.append(-found.lower[:, half:].flatten(1))
        if pool is not None and isinstance(found.rows, PatchRows):
            shape = (count, half, *node.shape[1:])
            bounds = (lower[-1].reshape(shape), upper[-1].reshape(shape))
            center = layer.center[:, channel : channel + half]
            differences.append(bounded_differences(found, bounds, center, pool, layer.region))
            channel += half
    low, high = (torch.cat(parts, dim=1).reshape(-1, *node.shape) for parts in (lower, upper))
    return low, high, joined(differences) if differences else None


def _feeds_relus_only(layer: Layer) -> bool:
    """Tell whether a layer is read by ReLUs alone (and not bounded through two layers at once)."""
    if isinstance(layer.behind, Dense):
        return False
    return all(isinstance(user, Activation) and user.function == "relu" for user in layer.users)


def _decisive_bounds(layer: Layer, node: Dense) -> Bounds:
    """Return bounds of a dense layer that only ReLUs read.

    Where the bound on the side of zero shows that a neuron keeps its sign, its ReLU is linear
    whatever the bound on the other side is, and that one is left infinite.
    """
    center = layer.center
    count, size = center.shape
    cost = count * _widest(layer)
    sign = torch.where(center >= 0, 1.0, -1.0).to(center.dtype)

    def least_of(neurons: Tensor, signs: Tensor) -> Tensor:
        """Return lower bounds of signs * neurons; both [count, some of the neurons]."""
        found = [signs.new_empty(count, 0)]
        for part in _parts(neurons.shape[1], cost):
            chosen, turned = neurons[:, part], signs[:, part]
            rows = DenseRows(node.weight[chosen] * turned[..., None], node.bias[chosen] * turned)
            found.append(layer.minimum(layer.source, rows).lower)
        return torch.cat(found, dim=1)

    near = least_of(torch.arange(size, device=center.device).expand(count, -1), sign)
    unsettled = ~(near > SURE * (1.0 + center.abs()))
    width = int(unsettled.sum(dim=1).max())
    chosen = unsettled.to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :width]
    far = torch.full_like(near, -torch.inf)
    far = far.scatter(1, chosen, least_of(chosen, -sign.gather(1, chosen)))
    far = far.masked_fill(~unsettled, -torch.inf)
    return torch.where(sign > 0, near, far), -torch.where(sign > 0, far, near)


def _widest(layer: Layer) -> int:
    """Return how many neurons the largest node before a layer has, the image aside."""
    before = layer.network.nodes[1 : layer.index]
    return max(int(torch.Size(node.shape).numel()) for node in before)


def _layer_rows(layer: Layer) -> Iterator[tuple[int, Rows]]:
    """Yield rows for the lower bounds of a node and of its negative, and where they start.

    As many neurons at a time as keep the temporary tensors small.
    """
    node, count = layer.node, len(layer.region)
    if isinstance(node, Convolution):
        yield from _convolution_rows(layer, node)
    elif isinstance(node, Dense):
        yield from _dense_rows(layer, node)
    else:
        size = node.shape[0]
        identity = torch.eye(size, dtype=layer.network.dtype, device=layer.network.device)
        cost = 2 * count * 9 * int(torch.Size(node.shape).numel())
        for part in _parts(size, cost):
            yield layer.index, _identity_rows(identity[part], node.shape, count)


def _convolution_rows(layer: Layer, node: Convolution) -> Iterator[tuple[int, Rows]]:
    count, inner = len(layer.region), layer.behind
    if isinstance(inner, Convolution):
        outer = own_geometry(node).before(inner)
        if WIDE * node.shape[0] > outer.kernel[0] * outer.kernel[1] and inner.groups == 1:
            image = layer.network.nodes[inner.inputs[0]].shape
            yield inner.inputs[0], through_two(node, layer.planes[layer.source], inner, image)
            return
    shape = layer.network.nodes[layer.source].shape
    cost = 2 * count * node.shape[1] * node.shape[2] * node.weight[0].numel() * 3
    for part in _parts(node.shape[0], cost):
        yield layer.source, convolution_rows(node, part, count, shape)


def _dense_rows(layer: Layer, node: Dense) -> Iterator[tuple[int, Rows]]:
    count, inner = len(layer.region), layer.behind
    if isinstance(inner, Dense):
        planes = layer.planes[layer.source]
        for part in _parts(node.shape[0], count * inner.weight.shape[1]):
            yield inner.inputs[0], through_dense(node.weight[part], node.bias[part], planes, inner)
        return
    widest = _widest(layer) if layer.index > 1 else node.weight.shape[1]
    for part in _parts(node.shape[0], 2 * count * widest):
        yield layer.source, stacked_rows(node.weight[part], node.bias[part], count)


def _identity_rows(a: Tensor, shape: tuple[int, ...], count: int) -> Rows:
    if len(shape) == 1:
        return stacked_rows(a, a.new_zeros(len(a)), count)
    both = torch.cat([a, -a])[None, :, None].expand(count, -1, shape[1] * shape[2], -1)
    return PatchRows(both, both.new_zeros(both.shape[:3]), shape[0], single((shape[1], shape[2])))


def _parts(total: int, cost: int) -> Iterator[slice]:
    """Yield slices of `total` things that cost `cost` elements each, about equal in size."""
    size = max(1, math.ceil(total / max(1, round(total * cost / BLOCK))))
    for start in range(0, total, size):
        yield slice(start, min(start + size, total))
