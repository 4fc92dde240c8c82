"""Backward linear bounds of one layer: its rows taken back to the image, and minimised there."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from nversion.certification.ball import Ball
from nversion.certification.bounds.intervals import Bounds
from nversion.certification.bounds.window_differences import bounded_differences, joined
from nversion.certification.network.graph import Activation, Convolution, Dense, MaxPool, Network
from nversion.certification.planes.planes import Planes
from nversion.certification.planes.pools import Differences
from nversion.certification.rows.dense import DenseRows, stacked_rows, through_dense
from nversion.certification.rows.geometry import Geometry, own_geometry
from nversion.certification.rows.patches import BLOCK, PatchRows, convolution_rows
from nversion.certification.rows.two_convolutions import through_two
from nversion.certification.rows.walk import Rows, least, walk

__all__ = ["layer_bounds"]

WIDE = 3
"""How many times fewer channels than pixels in a window a convolution may have and still be bounded
through two layers at once."""


def layer_bounds(
    network: Network,
    index: int,
    images: Tensor,
    radii: Tensor,
    ball: Ball,
    planes: dict[int, Planes],
    center: Tensor,
    pool: MaxPool | None = None,
) -> tuple[Tensor, Tensor, Differences | None]:
    """Return backward bounds of one node's neurons, [count, *shape] each, up to rounding.

    With `pool`, which reads the node, the differences within its windows are bounded as well
    where the rows that come out are over windows of the image.
    """
    node = network.nodes[index]
    if isinstance(node, Dense) and planes and _feeds_relus_only(network, index):
        return *_decisive_bounds(network, index, node, images, radii, ball, planes, center), None
    lower, upper, differences = [], [], []
    channel = 0
    for start, rows in _layer_rows(network, index, planes, len(images)):
        back = walk(network, start, rows, planes)
        values, middle = least(back, images, radii, ball)[:2]
        half = values.shape[1] // 2
        lower.append(values[:, :half].flatten(1))
        upper.append(-values[:, half:].flatten(1))
        if pool is not None and isinstance(back, PatchRows):
            part = slice(channel, channel + half)
            shape = (len(images), half, *node.shape[1:])
            here = (lower[-1].reshape(shape), upper[-1].reshape(shape))
            given = (images, radii, ball)
            differences.append(
                bounded_differences(back, middle, here, center[:, part], pool, *given)
            )
            channel += half
    bounds = [torch.cat(parts, dim=1).reshape(-1, *node.shape) for parts in (lower, upper)]
    return bounds[0], bounds[1], joined(differences) if differences else None


def _feeds_relus_only(network: Network, index: int) -> bool:
    """Tell whether a layer is read by ReLUs alone (and not bounded through two layers at once)."""
    before = network.nodes[network.nodes[index].inputs[0]]
    if isinstance(before, Activation) and isinstance(network.nodes[before.inputs[0]], Dense):
        return False
    users = [node for node in network.nodes if index in node.inputs]
    return all(isinstance(user, Activation) and user.function == "relu" for user in users)


def _decisive_bounds(
    network: Network,
    index: int,
    node: Dense,
    images: Tensor,
    radii: Tensor,
    ball: Ball,
    planes: dict[int, Planes],
    center: Tensor,
) -> Bounds:
    """Return bounds of a dense layer that only ReLUs read.

    Where the bound on the side of zero shows that a neuron keeps its sign, its ReLU is linear
    whatever the bound on the other side is, and that one is left infinite.
    """
    count, size = center.shape
    widest = max(int(torch.Size(n.shape).numel()) for n in network.nodes[1:index])
    sign = torch.where(center >= 0, 1.0, -1.0).to(center.dtype)

    def least_of(neurons: Tensor, signs: Tensor) -> Tensor:
        """Return lower bounds of signs * neurons; both [count, some of the neurons]."""
        found = [signs.new_empty(count, 0)]
        for part in _parts(neurons.shape[1], count * widest):
            chosen, turned = neurons[:, part], signs[:, part]
            rows = DenseRows(node.weight[chosen] * turned[..., None], node.bias[chosen] * turned)
            back = walk(network, node.inputs[0], rows, planes)
            found.append(least(back, images, radii, ball)[0])
        return torch.cat(found, dim=1)

    near = least_of(torch.arange(size, device=center.device).expand(count, -1), sign)
    unsettled = ~(near > 1e-6 * (1.0 + center.abs()))
    width = int(unsettled.sum(dim=1).max())
    chosen = unsettled.to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :width]
    far = torch.full_like(near, -torch.inf)
    far = far.scatter(1, chosen, least_of(chosen, -sign.gather(1, chosen)))
    far = far.masked_fill(~unsettled, -torch.inf)
    return torch.where(sign > 0, near, far), -torch.where(sign > 0, far, near)


def _layer_rows(
    network: Network, index: int, planes: dict[int, Planes], count: int
) -> Iterator[tuple[int, Rows]]:
    """Yield rows for the lower bounds of a node and of its negative, and where they start.

    As many neurons at a time as keep the temporary tensors small.
    """
    node = network.nodes[index]
    before = node.inputs[0]
    if isinstance(node, Convolution):
        shape = network.nodes[before].shape
        activation = network.nodes[before]
        inner = network.nodes[activation.inputs[0]] if activation.inputs else activation
        if isinstance(activation, Activation) and isinstance(inner, Convolution):
            outer = own_geometry(node).before(inner)
            if WIDE * node.shape[0] > outer.kernel[0] * outer.kernel[1] and inner.groups == 1:
                image = network.nodes[inner.inputs[0]].shape
                yield inner.inputs[0], through_two(node, planes[before], inner, image)
                return
        cost = 2 * count * node.shape[1] * node.shape[2] * node.weight[0].numel() * 3
        for part in _parts(node.shape[0], cost):
            yield before, convolution_rows(node, part, count, shape)
    elif isinstance(node, Dense):
        widest = (
            max(int(torch.Size(n.shape).numel()) for n in network.nodes[1:index])
            if index > 1
            else node.weight.shape[1]
        )
        activation = network.nodes[before]
        inner = network.nodes[activation.inputs[0]] if activation.inputs else activation
        if isinstance(activation, Activation) and isinstance(inner, Dense):
            for part in _parts(node.shape[0], count * inner.weight.shape[1]):
                rows = through_dense(node.weight[part], node.bias[part], planes[before], inner)
                yield inner.inputs[0], rows
            return
        for part in _parts(node.shape[0], 2 * count * widest):
            yield before, stacked_rows(node.weight[part], node.bias[part], count)
    else:
        size = node.shape[0]
        identity = torch.eye(size, dtype=network.dtype, device=network.device)
        cost = 2 * count * 9 * int(torch.Size(node.shape).numel())
        for part in _parts(size, cost):
            yield index, _identity_rows(identity[part], node.shape, count)


def _identity_rows(a: Tensor, shape: tuple[int, ...], count: int) -> Rows:
    if len(shape) == 1:
        return stacked_rows(a, a.new_zeros(len(a)), count)
    geometry = Geometry((shape[1], shape[2]), (1, 1), (1, 1), (0, 0))
    both = torch.cat([a, -a])[None, :, None].expand(count, -1, shape[1] * shape[2], -1)
    return PatchRows(both, both.new_zeros(both.shape[:3]), shape[0], geometry)


def _parts(total: int, cost: int) -> Iterator[slice]:
    """Yield slices of `total` things that cost `cost` elements each, about equal in size."""
    size = max(1, math.ceil(total / max(1, round(total * cost / BLOCK))))
    for start in range(0, total, size):
        yield slice(start, min(start + size, total))
