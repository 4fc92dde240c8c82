"""Backward linear bounds of every layer, and of the margins between classes.

:func:`relax_network` goes through the nodes in order. Before each nonlinear node it bounds that
node's inputs: rows for all of them are taken back to the image through the planes found so far,
and minimised over the ball. The ranges are cut with the interval bounds, and with the bounds that
the Jacobian's range gives where that is asked for; then planes are laid around the node.

What comes out, a :class:`Relaxation`, holds for its radius and for every smaller one, because the
ranges it was built from do.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import torch
from torch import Tensor

from nversion.certification.ball import Ball, Reach, dual_norm
from nversion.certification.dense import DenseRows, stacked_rows, through_dense
from nversion.certification.graph import (
    Activation,
    Convolution,
    Dense,
    Flatten,
    MaxPool,
    Network,
    Node,
    Sum,
    tiles,
)
from nversion.certification.intervals import Bounds, interval_step
from nversion.certification.jacobian import Derivatives, image_derivatives
from nversion.certification.leads import bounded_leads, joined
from nversion.certification.nested import Inner
from nversion.certification.patches import (
    BLOCK,
    Geometry,
    PatchRows,
    convolution_rows,
    own_geometry,
    through_two,
)
from nversion.certification.relaxations import FAR, Leads, Planes, relax, windows
from nversion.certification.rounding import magnitudes, margin, path_terms

__all__ = ["Relaxation", "Rows", "margin_rows", "relax_network", "walk"]

Rows = DenseRows | PatchRows

SAMPLE = 6
"""Neurons of a dense layer that are bounded to see whether it pays to bound all of them."""

WIDE = 3
"""How many times fewer channels than pixels in a window a convolution may have and still be bounded
through two layers at once."""


@dataclasses.dataclass(frozen=True)
class Relaxation:
    """Linear bounds of a network around some images.

    Attributes:
        network: in the precision of the bounds.
        images: [count, *shape].
        radii: [count], for which (and all smaller ones) the planes hold.
        ball: the norm and the box.
        planes: by node.
        bounds: by node, of all nodes before the last.
        slack: [count], by how much rounding may have raised a bound of a margin.
        logits: [count, classes], of the images themselves.
        derivatives: of the neurons that the last node reads, if it is linear, otherwise of the
            logits; None where they were not asked for or not found.
    """

    network: Network
    images: Tensor
    radii: Tensor
    ball: Ball
    planes: dict[int, Planes]
    bounds: dict[int, Bounds]
    slack: Tensor
    logits: Tensor
    derivatives: Derivatives | None


def relax_network(
    network: Network,
    images: Tensor,
    radii: Tensor,
    ball: Ball,
    *,
    jacobian: bool = False,
    inner: Inner | None = None,
) -> Relaxation:
    """Bound all layers and lay planes around all nonlinear nodes.

    With `jacobian`, the ranges of derivatives are carried along, and bounds drawn from them too;
    with `inner`, what was found for smaller balls helps them.
    In float64 the bounds are moved outwards by a margin for rounding (see
    :mod:`nversion.certification.rounding`); in float32 they are not, and prove nothing.
    """
    exact = images.dtype == torch.float64
    sizes = magnitudes(network, images, radii) if exact else None
    terms = path_terms(network)
    values = network.forward(images)
    bounds: dict[int, Bounds] = {0: ball.sides(images, radii)}
    planes: dict[int, Planes] = {}
    relaxed = {node.inputs[0] for node in network.nodes if isinstance(node, Activation | MaxPool)}
    pools = _tiling_pools(network)
    slack = images.new_zeros(len(images))
    last = len(network.nodes) - 1
    leads: dict[int, Leads] = {}
    derivatives: dict[int, Derivatives | None] = {}
    derivatives[0] = image_derivatives(images) if jacobian else None
    for index, node in enumerate(network.nodes):
        if index == 0:
            continue
        if isinstance(node, Activation | MaxPool):
            source = node.inputs[0]
            planes[index] = relax(node, *bounds[source], values[source], leads.get(source))
        low, high = interval_step(node, [bounds[i] for i in node.inputs])
        first, second = derivatives[node.inputs[0]], derivatives[node.inputs[-1]]
        here = None
        if first is not None and second is not None and not (index == last and _linear(node)):
            here = first.step(node, bounds[node.inputs[0]], second, leads.get(node.inputs[0]))
        derivatives[index] = here
        if index in relaxed:
            given = (network, index, images, radii, ball, planes)
            pool = pools.get(index)
            center = values[index]
            by_range = None
            if here is not None:
                by_range = here.bounds(center, images, radii, ball)
                if inner is not None:
                    by_range = inner.neurons(index, center, by_range, radii)
            found = None
            if by_range is None:
                lower, upper, found = layer_bounds(*given, center, pool)
            elif isinstance(node, Dense) and not _linear_pays(*given, by_range):
                lower, upper = by_range
            else:
                lower, upper, found = layer_bounds(*given, center, pool)
                lower = torch.maximum(lower, by_range[0])
                upper = torch.minimum(upper, by_range[1])
            if sizes is not None:
                spare = margin(terms[index], sizes[index])
                lower, upper = lower - spare, upper + spare
                found = None if found is None else _widened(found, spare, pools[index])
                low, high = low - spare, high + spare
            low, high = torch.maximum(low, lower), torch.minimum(high, upper)
            if found is not None:
                leads[index] = found
        elif sizes is not None:
            spare = margin(terms[index], sizes[index])
            low, high = low - spare, high + spare
        bounds[index] = (low, high)
    if sizes is not None:
        slack = margin(2 * terms[last], sizes[last].amax(dim=1)) * 2
    final = network.nodes[last]
    kept = derivatives[final.inputs[0] if _linear(final) else last]
    return Relaxation(network, images, radii, ball, planes, bounds, slack, values[-1], kept)


def _widened(leads: Leads, spare: Tensor, pool: MaxPool) -> Leads:
    """Return the leads with a margin for the rounding of both neurons of a difference."""
    each = windows(pool, spare, FAR)
    both = 2.0 * (each + each.gather(2, leads.chosen))
    return dataclasses.replace(leads, low=leads.low - both, high=leads.high + both)


def _linear(node: Node) -> bool:
    return isinstance(node, Dense)


def _tiling_pools(network: Network) -> dict[int, MaxPool]:
    """Return the nodes that a single max-pool reads whose windows tile them, with the pool."""
    readers: dict[int, list[Node]] = {}
    for node in network.nodes[1:]:
        for source in node.inputs:
            readers.setdefault(source, []).append(node)
    pools = {}
    for source, nodes in readers.items():
        if len(nodes) == 1 and isinstance(nodes[0], MaxPool) and tiles(nodes[0]):
            pools[source] = nodes[0]
    return pools


def layer_bounds(
    network: Network,
    index: int,
    images: Tensor,
    radii: Tensor,
    ball: Ball,
    planes: dict[int, Planes],
    center: Tensor,
    pool: MaxPool | None = None,
) -> tuple[Tensor, Tensor, Leads | None]:
    """Return backward bounds of one node's neurons, [count, *shape] each, up to rounding.

    With `pool`, which reads the node, the differences within its windows are bounded as well
    where the rows that come out are over windows of the image.
    """
    node = network.nodes[index]
    if isinstance(node, Dense) and planes and _feeds_relus_only(network, index):
        return *_decisive_bounds(network, index, node, images, radii, ball, planes, center), None
    lower, upper, leads = [], [], []
    channel = 0
    for start, rows in _layer_rows(network, index, planes, len(images)):
        back = walk(network, start, rows, planes)
        values = least(back, images, radii, ball)[0]
        half = values.shape[1] // 2
        lower.append(values[:, :half].flatten(1))
        upper.append(-values[:, half:].flatten(1))
        if pool is not None and isinstance(back, PatchRows):
            part = slice(channel, channel + half)
            shape = (len(images), half, *node.shape[1:])
            here = (lower[-1].reshape(shape), upper[-1].reshape(shape))
            leads.append(bounded_leads(back, here, center[:, part], pool, images, radii, ball))
            channel += half
    bounds = [torch.cat(parts, dim=1).reshape(-1, *node.shape) for parts in (lower, upper)]
    return bounds[0], bounds[1], joined(leads) if leads else None


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


def _linear_pays(
    network: Network,
    index: int,
    images: Tensor,
    radii: Tensor,
    ball: Ball,
    planes: dict[int, Planes],
    by_range: Bounds,
) -> bool:
    """Tell whether linear bounds of a dense layer are worth their time beside the Jacobian's.

    A few neurons, spread over the layer, answer for all. In L1 the Jacobian's range mostly gives
    bounds several times tighter there, and linear ones are the dearest part of the whole work.
    """
    node = network.nodes[index]
    assert isinstance(node, Dense)
    sample = torch.arange(0, node.shape[0], max(1, node.shape[0] // SAMPLE), device=images.device)
    rows = stacked_rows(node.weight[sample], node.bias[sample], len(images))
    values = least(walk(network, node.inputs[0], rows, planes), images, radii, ball)[0]
    lower, upper = values[:, : len(sample)], -values[:, len(sample) :]
    low, high = (bound[:, sample] for bound in by_range)
    return bool(((lower > low) | (upper < high)).any())


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
    """Yield slices of `total` things that cost `cost` elements each."""
    size = max(1, BLOCK // cost)
    for start in range(0, total, size):
        yield slice(start, min(start + size, total))


def walk(network: Network, start: int, rows: Rows, planes: dict[int, Planes]) -> Rows:
    """Take rows over node `start` back to the image."""
    pending: dict[int, Rows] = {start: rows}
    for index in range(start, 0, -1):
        if index not in pending:
            continue
        node, here = network.nodes[index], pending.pop(index)
        if isinstance(node, Sum):
            other = dataclasses.replace(here, constant=torch.zeros_like(here.constant))
            _deposit(network, pending, node.inputs[0], here)
            _deposit(network, pending, node.inputs[1], other)
            continue
        overlapping = isinstance(node, MaxPool) and not tiles(node)
        if isinstance(here, PatchRows) and (
            isinstance(node, Flatten) or overlapping or here.geometry.covers(node.shape)
        ):
            here = here.dense(node.shape)
        before = node.inputs[0]
        moved = here.back(node, planes.get(index), network.nodes[before].shape)
        _deposit(network, pending, before, moved)
    return pending[0]


def _deposit(network: Network, pending: dict[int, Rows], index: int, rows: Rows) -> None:
    present = pending.get(index)
    if present is None:
        pending[index] = rows
    elif isinstance(present, PatchRows) and isinstance(rows, PatchRows):
        pending[index] = present.plus(rows)
    else:
        shape = network.nodes[index].shape
        first, second = (r.dense(shape) if isinstance(r, PatchRows) else r for r in (present, rows))
        pending[index] = first.plus(second)


def least(
    rows: Rows, images: Tensor, radii: Tensor, ball: Ball
) -> tuple[Tensor, Tensor, Tensor, Reach]:
    """Minimise rows over the image.

    Returns:
        The minima [count, rows (and positions)], the values at the image itself, the coefficients
        with pixels as the last axis, and the reach laid out to fit them.
    """
    reach = ball.reach(images)

    def laid(x: Tensor) -> Tensor:
        if isinstance(rows, PatchRows):
            return rows.geometry.cut(x)[:, None]
        return x.reshape(len(x), 1, -1)

    a = rows.a if isinstance(rows, PatchRows) else rows.a.flatten(2)
    spread = radii.reshape(-1, *([1] * (rows.constant.ndim - 1)))
    if isinstance(rows, PatchRows):
        center = rows.constant + (a * laid(images)).sum(dim=-1)
    elif a.stride(0) == 0:
        center = rows.constant + images.flatten(1) @ a[0].t()
        if ball.box is None:
            # The first layer's rows are the same for all images, and so are their norms.
            return center - dual_norm(a[0], ball.norm) * spread, center, a, reach
    else:
        center = rows.constant + (a @ images.flatten(1)[:, :, None]).squeeze(2)
    if reach.down is not None and reach.up is not None:
        reach = Reach(reach.norm, laid(reach.down), laid(reach.up))
    return center + reach.minimum(a, spread)[0], center, a, reach


def margin_rows(network: Network, labels: Tensor, others: Tensor) -> DenseRows:
    """Return rows ``logit[label] - logit[other]`` over the last node.

    Args:
        network: gives the number of classes and the precision.
        labels: int64 [count].
        others: int64 [count, rows].
    """
    identity = torch.eye(network.classes, dtype=network.dtype, device=labels.device)
    a = identity[labels][:, None] - identity[others]
    return DenseRows(a, a.new_zeros(a.shape[:2]))
