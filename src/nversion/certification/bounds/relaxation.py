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

from nversion.certification.bounds.backward import layer_bounds
from nversion.certification.bounds.evaluation import Errors
from nversion.certification.bounds.intervals import Bounds, interval_step
from nversion.certification.bounds.jacobian import Derivatives, image_derivatives
from nversion.certification.bounds.layer import Layer
from nversion.certification.bounds.sampling import SETTLED, linear_bounds_pay
from nversion.certification.bounds.smaller_ball import SmallerBall
from nversion.certification.bounds.spare import Spare
from nversion.certification.lipschitz.moves import Stretches
from nversion.certification.lipschitz.stretches import layer_stretches
from nversion.certification.network.graph import Activation, Dense, MaxPool, Network, Node, tiles
from nversion.certification.planes.planes import Planes
from nversion.certification.planes.pools import OUTSIDE, Differences, windows
from nversion.certification.planes.relax import relax
from nversion.certification.region import Region
from nversion.certification.rounding import magnitudes, margin, path_terms
from nversion.certification.rows.dense import DenseRows
from nversion.certification.rows.walk import Minimum, back_to_image, minimum

__all__ = ["Bounding", "Relaxation", "relax_network"]


@dataclasses.dataclass(frozen=True)
class Relaxation:
    """Linear bounds of a network around some images.

    Attributes:
        network: in the precision of the bounds.
        region: the images, and the balls for which (and all smaller ones) the planes hold.
        planes: by node; those that nothing needs may be missing (see :class:`Bounding`).
        bounds: by node, of all nodes before the last.
        spare: what evaluation in the model's precision, and rounding, may take off the margins.
        logits: [count, classes], of the images themselves.
        derivatives: of the neurons that the last node reads, if it is linear, otherwise of the
            logits; None where they were not asked for or not found.
        linear: the nodes for which backward linear bounds were drawn.
        stretches: of the nodes, where they are known.
    """

    network: Network
    region: Region
    planes: dict[int, Planes]
    bounds: dict[int, Bounds]
    spare: Spare
    logits: Tensor
    derivatives: Derivatives | None
    linear: frozenset[int]
    stretches: Stretches | None

    def values(self, rows: DenseRows) -> Tensor:
        """Return the values at the images of rows over the logits, [count, rows]."""
        return (rows.a @ self.logits[:, :, None]).squeeze(2)

    def minimum(self, rows: DenseRows) -> Minimum:
        """Take rows over the logits back to the image, and minimise them there."""
        last = len(self.network.nodes) - 1
        return minimum(back_to_image(self.network, last, rows, self.planes), self.region)


@dataclasses.dataclass(frozen=True)
class Bounding:
    """What a bounding pass may use besides linear and interval bounds.

    Attributes:
        jacobian: whether to carry the ranges of derivatives along, and draw bounds from them too.
        linear: the nodes for which backward linear bounds are drawn where there are ranges of
            derivatives; None: those where a sample shows that they pay. If there shall be none,
            and those ranges reach the end, no planes are laid either.
        settled: the share of the open signs that they must settle to pay
            (:mod:`nversion.certification.bounds.sampling`).
        stretches: of the nodes, for the ball's norm or a larger one: rows over whole layers gain
            by what the neurons can only do together; None: what is known without search, and that
            only beside ranges of derivatives.
        differences: whether to bound those within windows of max-pools
            (:mod:`nversion.certification.bounds.window_differences`).
        inner: what was found for smaller balls, which helps ranges of derivatives.
    """

    jacobian: bool = False
    linear: Collection[int] | None = None
    settled: float = SETTLED
    stretches: Stretches | None = None
    differences: bool = True
    inner: SmallerBall | None = None


def relax_network(network: Network, region: Region, use: Bounding = Bounding()) -> Relaxation:
    """Bound all layers and lay planes around all nonlinear nodes.

    The bounds are of the network as it is evaluated
    (:mod:`nversion.certification.bounds.evaluation`). In float64 they are also moved outwards for
    their own rounding; in float32 they are not, and prove nothing.

    Args:
        network: in the precision of the images.
        region: the images and the balls around them.
        use: what the pass may use.
    """
    stretches = use.stretches
    if stretches is not None and region.norm > stretches.norm:
        raise ValueError(
            f"stretches for moves in L{stretches.norm:g} do not bound those in L{region.norm:g}"
        )
    if stretches is None and use.jacobian:
        use = dataclasses.replace(use, stretches=layer_stretches(network, region.norm))
    return _Pass(network, region, use).run()


class _Pass:
    """Goes through a network's nodes in order."""

    def __init__(self, network: Network, region: Region, use: Bounding) -> None:
        self._network, self._region, self._use = network, region, use
        self._last = len(network.nodes) - 1
        self._values = network.forward(region.images)
        self._errors = Errors(network, region, self._values, use.stretches)
        self._rounding = _Rounding(network, region, use.jacobian)
        nonlinear = [node for node in network.nodes if isinstance(node, Activation | MaxPool)]
        self._relaxed = {node.inputs[0] for node in nonlinear}
        self._pools = _tiling_pools(network) if use.differences else {}
        # What has been found for the nodes so far.
        self._bounds: dict[int, Bounds] = {0: self._errors.start()}
        self._planes: dict[int, Planes] = {}
        self._waiting: list[int] = []
        self._differences: dict[int, Differences] = {}
        self._linear: set[int] = set()
        first = image_derivatives(region.images) if use.jacobian else None
        self._derivatives: dict[int, Derivatives | None] = {0: first}

    def run(self) -> Relaxation:
        """Bound all nodes, and return what was found."""
        for index in range(1, len(self._network.nodes)):
            self._bound(index)
        final = self._network.nodes[self._last]
        derivatives = self._derivatives[final.inputs[0] if _linear(final) else self._last]
        if derivatives is None or self._linear or self._use.linear is None:
            self._lay_planes()
        return Relaxation(
            self._network,
            self._region,
            self._planes,
            self._bounds,
            self._errors.spare(self._rounding.margins()),
            self._values[-1],
            derivatives,
            frozenset(self._linear),
            self._use.stretches,
        )

    def _bound(self, index: int) -> None:
        """Bound a node's neurons, from those of its inputs and, where planes follow, backward."""
        node = self._network.nodes[index]
        if isinstance(node, Activation | MaxPool):
            self._waiting.append(index)
        spare = self._errors.enter(index)
        low, high = interval_step(node, [self._bounds[i] for i in node.inputs])
        if spare is not None:
            low, high = low - spare, high + spare
        self._derivatives[index] = self._derive(index, node)
        if index in self._relaxed:
            lower, upper = self._tighter(index, spare)
            low, high = torch.maximum(low, lower), torch.minimum(high, upper)
        self._bounds[index] = self._errors.leave(index, low, high)

    def _derive(self, index: int, node: Node) -> Derivatives | None:
        """Return the ranges of a node's derivatives; None where there are none, or none needed."""
        source = node.inputs[0]
        first, second = self._derivatives[source], self._derivatives[node.inputs[-1]]
        if first is None or second is None or (index == self._last and _linear(node)):
            return None
        return first.step(node, self._bounds[source], second, self._differences.get(source))

    def _tighter(self, index: int, spare: Tensor | None) -> Bounds:
        """Return bounds of a node that planes are laid behind, from derivatives and from rows.

        Args:
            index: of the node.
            spare: how far evaluation may be from what the node's inputs give.
        """
        by_range = self._by_range(index)
        linear = self._use.linear
        if by_range is not None and linear is not None and index not in linear:
            return by_range
        self._lay_planes()
        layer = Layer(self._network, index, self._region, self._planes, self._values[index])
        if by_range is None:
            return self._backward(layer, spare)
        if linear is None and not linear_bounds_pay(layer, by_range, self._use.settled):
            return by_range
        lower, upper = self._backward(layer, spare)
        return torch.maximum(lower, by_range[0]), torch.minimum(upper, by_range[1])

    def _by_range(self, index: int) -> Bounds | None:
        """Return bounds from the derivatives' ranges; None where these are not known."""
        derivatives, center = self._derivatives[index], self._values[index]
        if derivatives is None:
            return None
        low, high = derivatives.bounds(center, self._region)
        if self._use.inner is not None:
            low, high = self._use.inner.neurons(index, center, (low, high), self._region.radii)
        off = self._errors.neurons(index) + self._rounding.of(index)
        return low - off, high + off

    def _backward(self, layer: Layer, spare: Tensor | None) -> Bounds:
        """Return backward linear bounds, and keep the differences that come with them."""
        index = layer.index
        self._linear.add(index)
        lower, upper, differences = layer_bounds(layer, self._pools.get(index))
        if spare is not None:
            lower, upper = lower - spare, upper + spare
        if differences is not None:
            if spare is not None:
                differences = _widened(differences, spare, self._pools[index])
            self._differences[index] = differences
        return lower, upper

    def _lay_planes(self) -> None:
        """Lay the planes that are waiting, now that they are needed."""
        for index in self._waiting:
            node = self._network.nodes[index]
            assert isinstance(node, Activation | MaxPool)
            source, moved = node.inputs[0], None
            if self._use.stretches is not None and self._use.stretches.read:
                move = self._use.stretches.read[index]
                moved = move.over(self._region.radii, self._errors.rho(source))
            low, high = self._bounds[source]
            differences = self._differences.get(source)
            planes = relax(node, low, high, self._values[source], differences, moved)
            self._planes[index] = self._errors.absorb(index, planes, (low, high))
        self._waiting.clear()


class _Rounding:
    """What rounding can do to the Jacobian's range, for each node; nothing in float32."""

    def __init__(self, network: Network, region: Region, wanted: bool) -> None:
        self._none = torch.zeros_like(region.radii)
        exact = wanted and region.exact
        self._sizes = magnitudes(network, region.images, region.radii) if exact else None
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
    each = windows(pool, spare, OUTSIDE)
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
