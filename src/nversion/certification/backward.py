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
from collections.abc import Collection

import torch
from torch import Tensor

from nversion.certification.ball import Ball
from nversion.certification.graph import (
    Activation,
    Dense,
    MaxPool,
    Network,
    Node,
    tiles,
)
from nversion.certification.intervals import Bounds, interval_step
from nversion.certification.jacobian import Derivatives, image_derivatives
from nversion.certification.layers import layer_bounds
from nversion.certification.lipschitz import Stretches
from nversion.certification.nested import Inner
from nversion.certification.relaxations import FAR, Leads, Planes, relax, windows
from nversion.certification.rounding import magnitudes, margin, path_terms
from nversion.certification.worth import SETTLED, linear_pays

__all__ = ["Relaxation", "relax_network"]


@dataclasses.dataclass(frozen=True)
class Relaxation:
    """Linear bounds of a network around some images.

    Attributes:
        network: in the precision of the bounds.
        images: [count, *shape].
        radii: [count], for which (and all smaller ones) the planes hold.
        ball: the norm and the box.
        planes: by node; those that nothing needs may be missing (see :func:`relax_network`).
        bounds: by node, of all nodes before the last.
        slack: [count], by how much rounding may have raised a bound of a margin.
        logits: [count, classes], of the images themselves.
        derivatives: of the neurons that the last node reads, if it is linear, otherwise of the
            logits; None where they were not asked for or not found.
        linear: the nodes for which backward linear bounds were drawn.
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
    linear: frozenset[int]


def relax_network(
    network: Network,
    images: Tensor,
    radii: Tensor,
    ball: Ball,
    *,
    jacobian: bool = False,
    inner: Inner | None = None,
    linear: Collection[int] | None = None,
    settled: float = SETTLED,
    stretches: Stretches | None = None,
    differences: bool = True,
) -> Relaxation:
    """Bound all layers and lay planes around all nonlinear nodes.

    With `jacobian`, the ranges of derivatives are carried along, and bounds drawn from them too;
    with `inner`, what was found for smaller balls helps them. Then backward linear bounds are drawn
    for the nodes in `linear`, or, if that is None, where a sample shows that they settle a share of
    the signs of more than `settled` (:mod:`nversion.certification.worth`). If there shall be none,
    and ranges of derivatives reach the end, no planes are laid either.
    With `stretches` (:mod:`nversion.certification.lipschitz`, for this norm or a larger one) rows
    over whole layers gain by what the neurons can only do together.
    With `differences` those within windows of max-pools are bounded as well
    (:mod:`nversion.certification.leads`).
    In float64 the bounds are moved outwards by a margin for rounding (see
    :mod:`nversion.certification.rounding`); in float32 they are not, and prove nothing.
    """
    if stretches is not None and ball.norm > stretches.norm:
        raise ValueError(
            f"stretches for moves in L{stretches.norm:g} do not bound those in L{ball.norm:g}"
        )
    exact = images.dtype == torch.float64
    sizes = magnitudes(network, images, radii) if exact else None
    terms = path_terms(network)
    values = network.forward(images)
    bounds: dict[int, Bounds] = {0: ball.sides(images, radii)}
    planes: dict[int, Planes] = {}
    relaxed = {node.inputs[0] for node in network.nodes if isinstance(node, Activation | MaxPool)}
    pools = _tiling_pools(network) if differences else {}
    slack = images.new_zeros(len(images))
    last = len(network.nodes) - 1
    leads: dict[int, Leads] = {}
    drawn: set[int] = set()
    derivatives: dict[int, Derivatives | None] = {}
    derivatives[0] = image_derivatives(images) if jacobian else None
    waiting: list[int] = []

    def lay_planes() -> None:
        """Lay what is waiting, now that it is needed."""
        for i in waiting:
            node, source = network.nodes[i], network.nodes[i].inputs[0]
            assert isinstance(node, Activation | MaxPool)
            moved = None if stretches is None else stretches.read[i].over(radii)
            given = (*bounds[source], values[source], leads.get(source), moved)
            planes[i] = relax(node, *given)
        waiting.clear()

    for index, node in enumerate(network.nodes):
        if index == 0:
            continue
        if isinstance(node, Activation | MaxPool):
            waiting.append(index)
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
            wanted = by_range is None or linear is None or index in linear
            if wanted:
                lay_planes()
            if by_range is not None and wanted and linear is None:
                wanted = linear_pays(*given, by_range, settled)
            if wanted:
                drawn.add(index)
                lower, upper, found = layer_bounds(*given, center, pool)
                if by_range is not None:
                    lower = torch.maximum(lower, by_range[0])
                    upper = torch.minimum(upper, by_range[1])
            else:
                assert by_range is not None
                lower, upper = by_range
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
    if kept is None or drawn or linear is None:
        lay_planes()
    return Relaxation(
        network, images, radii, ball, planes, bounds, slack, values[-1], kept, frozenset(drawn)
    )


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
