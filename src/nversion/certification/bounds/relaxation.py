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
from nversion.certification.bounds.backward import layer_bounds
from nversion.certification.bounds.evaluation import Errors, Spare
from nversion.certification.bounds.intervals import Bounds, interval_step
from nversion.certification.bounds.jacobian import Derivatives, image_derivatives
from nversion.certification.bounds.sampling import SETTLED, linear_bounds_pay
from nversion.certification.bounds.smaller_ball import SmallerBall
from nversion.certification.lipschitz.stretches import Stretches, layer_stretches
from nversion.certification.network.graph import Activation, Dense, MaxPool, Network, Node, tiles
from nversion.certification.planes.planes import Planes
from nversion.certification.planes.pools import FAR, Differences, windows
from nversion.certification.planes.relax import relax
from nversion.certification.rounding import magnitudes, margin, path_terms

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
        spare: what evaluation in the model's precision, and rounding, may take off the margins.
        logits: [count, classes], of the images themselves.
        derivatives: of the neurons that the last node reads, if it is linear, otherwise of the
            logits; None where they were not asked for or not found.
        linear: the nodes for which backward linear bounds were drawn.
        stretches: of the nodes, where they are known.
    """

    network: Network
    images: Tensor
    radii: Tensor
    ball: Ball
    planes: dict[int, Planes]
    bounds: dict[int, Bounds]
    spare: Spare
    logits: Tensor
    derivatives: Derivatives | None
    linear: frozenset[int]
    stretches: Stretches | None


def relax_network(
    network: Network,
    images: Tensor,
    radii: Tensor,
    ball: Ball,
    *,
    jacobian: bool = False,
    inner: SmallerBall | None = None,
    linear: Collection[int] | None = None,
    settled: float = SETTLED,
    stretches: Stretches | None = None,
    differences: bool = True,
) -> Relaxation:
    """Bound all layers and lay planes around all nonlinear nodes.

    With `jacobian`, the ranges of derivatives are carried along, and bounds drawn from them too;
    with `inner`, what was found for smaller balls helps them. Then backward linear bounds are drawn
    for the nodes in `linear`, or, if that is None, where a sample shows that they settle a share of
    the signs of more than `settled` (:mod:`nversion.certification.bounds.sampling`). If there shall
    be none, and ranges of derivatives reach the end, no planes are laid either.
    With `stretches` (:mod:`nversion.certification.lipschitz.stretches`, for this norm or a larger
    one) rows over whole layers gain by what the neurons can only do together.
    With `differences` those within windows of max-pools are bounded as well
    (:mod:`nversion.certification.bounds.window_differences`).
    The bounds are of the network as it is evaluated
    (:mod:`nversion.certification.bounds.evaluation`). In float64 they are also moved outwards for
    their own rounding; in float32 they are not, and prove nothing.
    """
    if stretches is not None and ball.norm > stretches.norm:
        raise ValueError(
            f"stretches for moves in L{stretches.norm:g} do not bound those in L{ball.norm:g}"
        )
    if stretches is None and jacobian:
        stretches = layer_stretches(network, ball.norm)
    values = network.forward(images)
    errors = Errors(network, images, radii, ball, values, stretches)
    rounded = _Rounding(network, images, radii, jacobian)
    bounds: dict[int, Bounds] = {0: ball.sides(images, radii)}
    errors.start(bounds[0])
    planes: dict[int, Planes] = {}
    relaxed = {node.inputs[0] for node in network.nodes if isinstance(node, Activation | MaxPool)}
    pools = _tiling_pools(network) if differences else {}
    last = len(network.nodes) - 1
    within: dict[int, Differences] = {}
    drawn: set[int] = set()
    derivatives: dict[int, Derivatives | None] = {}
    derivatives[0] = image_derivatives(images) if jacobian else None
    waiting: list[int] = []

    def lay_planes() -> None:
        """Lay what is waiting, now that it is needed."""
        for i in waiting:
            node, source = network.nodes[i], network.nodes[i].inputs[0]
            assert isinstance(node, Activation | MaxPool)
            moved = None
            if stretches is not None and stretches.read:
                moved = stretches.read[i].over(radii, errors.rho(source))
            given = (*bounds[source], values[source], within.get(source), moved)
            planes[i] = errors.absorb(i, relax(node, *given), bounds[source])
        waiting.clear()

    for index, node in enumerate(network.nodes):
        if index == 0:
            continue
        if isinstance(node, Activation | MaxPool):
            waiting.append(index)
        spare = errors.enter(index)
        low, high = interval_step(node, [bounds[i] for i in node.inputs])
        if spare is not None:
            low, high = low - spare, high + spare
        first, second = derivatives[node.inputs[0]], derivatives[node.inputs[-1]]
        here = None
        if first is not None and second is not None and not (index == last and _linear(node)):
            here = first.step(node, bounds[node.inputs[0]], second, within.get(node.inputs[0]))
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
                off = errors.neurons(index) + rounded.of(index)
                by_range = by_range[0] - off, by_range[1] + off
            found = None
            wanted = by_range is None or linear is None or index in linear
            if wanted:
                lay_planes()
            if by_range is not None and wanted and linear is None:
                wanted = linear_bounds_pay(*given, by_range, settled)
            if wanted:
                drawn.add(index)
                lower, upper, found = layer_bounds(*given, center, pool)
                if spare is not None:
                    lower, upper = lower - spare, upper + spare
                    found = None if found is None else _widened(found, spare, pools[index])
                if by_range is not None:
                    lower = torch.maximum(lower, by_range[0])
                    upper = torch.minimum(upper, by_range[1])
            else:
                assert by_range is not None
                lower, upper = by_range
            low, high = torch.maximum(low, lower), torch.minimum(high, upper)
            if found is not None:
                within[index] = found
        bounds[index] = errors.leave(index, low, high)
    final = network.nodes[last]
    kept = derivatives[final.inputs[0] if _linear(final) else last]
    if kept is None or drawn or linear is None:
        lay_planes()
    return Relaxation(
        network,
        images,
        radii,
        ball,
        planes,
        bounds,
        errors.spare(rounded.margins()),
        values[-1],
        kept,
        frozenset(drawn),
        stretches,
    )


class _Rounding:
    """What rounding can do to the Jacobian's range, for each node; nothing in float32."""

    def __init__(self, network: Network, images: Tensor, radii: Tensor, wanted: bool) -> None:
        self._none = images.new_zeros(len(images))
        exact = wanted and images.dtype == torch.float64
        self._sizes = magnitudes(network, images, radii) if exact else None
        self._terms = path_terms(network)

    def of(self, index: int) -> Tensor | float:
        """Return it for the neurons of a node."""
        return 0.0 if self._sizes is None else margin(self._terms[index], self._sizes[index])

    def margins(self) -> Tensor:
        """Return it for the margins, [count]."""
        if self._sizes is None:
            return self._none
        return margin(2 * self._terms[-1], self._sizes[-1].amax(dim=1)) * 2


def _widened(found: Differences, spare: Tensor, pool: MaxPool) -> Differences:
    """Return differences with a margin for the rounding of both neurons of a difference."""
    each = windows(pool, spare, FAR)
    both = 2.0 * (each + each.gather(2, found.chosen))
    return dataclasses.replace(found, low=found.low - both, high=found.high + both)


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
