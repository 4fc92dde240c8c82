"""How far the neurons of a layer can move together: Lipschitz constants in L2.

If the image moves by at most r in L2 (or in L1), the vector of all neurons of a node moves in L2 by
at most its *stretch* times r. An affine map stretches by its largest singular value
(:mod:`nversion.certification.lipschitz.linear_maps`), which before a max-pool is that of a norm of
its own.

From layer to layer these factors multiply, and that overestimates. A chain of layers with
activations between them is bounded as a whole where it is not too large
(:mod:`nversion.certification.lipschitz.chains`). Otherwise, an activation whose slopes lie in [0,
s] passes on s / 2 of its input, and a part of at most s / 2 times its size; so for a chain of maps
W_1 .. W_k with activations between them the stretches L_j before these fulfil

    L_k  <=  sum over 0 < j < k of (s/2)^(k-j) |W_k .. W_{j+1}| L_j  + (s/2)^(k-1) |W_k .. W_1| L_0

(after Combettes & Pesquet 2020). What a later layer reads over the border as zeros has the slope 0
of an activation, so the products of convolutions are those of their transfer functions.
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor
from torch.nn import functional

from nversion.certification.lipschitz.chains import chain_stretch
from nversion.certification.lipschitz.layers import (
    common_torus,
    node_stretch,
    norm_by_sums,
    steepest,
    window_overlap,
)
from nversion.certification.lipschitz.linear_maps import GRID, MEAN, ROUNDING, SPECTRUM, LinearMap
from nversion.certification.lipschitz.moves import Move, Stretches
from nversion.certification.network.graph import (
    Activation,
    Convolution,
    Dense,
    Flatten,
    Image,
    MaxPool,
    Network,
    Node,
    Scale,
    Sum,
    dilated,
    tiles,
    ungrouped,
)

__all__ = ["find_stretches", "layer_stretches"]

LONGEST = 3
"""Layers that are taken together, at the most."""

LARGE = 1024
"""Rows and columns of a matrix from which its norm is bounded by sums, singular values taking
long."""


def find_stretches(network: Network, norm: float = 2.0) -> Stretches:
    """Return how far the nodes of a network move in L2, at the most, when the image moves by 1.

    Args:
        network: in any precision; what is found is rounded up from float64.
        norm: in which the image moves, 1.0 or 2.0.
    """
    finder = _Finder(network.to(torch.float64), norm)
    for node in finder.network.nodes:
        finder.step(node)
    own = tuple(finder.alone(node) for node in finder.network.nodes)
    return Stretches(tuple(finder.found), finder.read, norm, own)


def layer_stretches(network: Network, norm: float = 2.0) -> Stretches:
    """Return stretches that are mere products of those of the layers, which takes little time.

    Args:
        network: in any precision.
        norm: in which the image moves: 1.0, 2.0 or infinity.
    """
    finder = _Finder(network.to(torch.float64), norm)
    own = tuple(finder.alone(node) for node in finder.network.nodes)
    pixels = math.prod(network.nodes[0].shape)
    found = [math.sqrt(pixels) * (1.0 + ROUNDING) if norm == math.inf else 1.0]
    for node, factor in zip(network.nodes[1:], own[1:], strict=True):
        found.append(factor * sum(found[i] for i in node.inputs))
    return Stretches(tuple(found), {}, norm, own)


@dataclasses.dataclass(frozen=True)
class _Link:
    """An affine layer of a chain.

    Attributes:
        map: its linear part.
        start: the stretch of what it reads.
        stretch: its own.
    """

    map: LinearMap
    start: float
    stretch: float


_Links = tuple[_Link, ...]


class _Finder:
    """Goes through the nodes in order.

    Attributes:
        network: in float64.
        found: the stretch of each node so far.
        read: what each activation and max-pool so far reads.
    """

    def __init__(self, network: Network, norm: float) -> None:
        self.network = network
        self._one_pixel = norm == 1.0
        self.found: list[float] = []
        self.read: dict[int, Move] = {}
        # The chain that ends with each node so far; empty where none does.
        self._chains: list[_Links] = []
        self._torus = common_torus(network)
        self._norms: dict[int, float] = {}

    def alone(self, node: Node) -> float:
        """Return how far a node moves when its inputs move by 1 in L2."""
        if not isinstance(node, Convolution | Dense):
            return 1.0 if isinstance(node, Image | Sum) else node_stretch(node, [1.0])
        if isinstance(node, Dense) and min(node.weight.shape) > LARGE:
            size = node.weight.abs()
            sums = float(size.sum(dim=0).max() * size.sum(dim=1).max())
            found = min(sums, float(size.square().sum()))
            return math.sqrt(found) * (1.0 + ROUNDING)
        key = id(node)
        if key not in self._norms:
            self._norms[key] = self._norm(node)
        return self._norms[key]

    def _norm(self, node: Convolution | Dense) -> float:
        if isinstance(node, Dense):
            return LinearMap((node.weight,), self._torus).norm()
        own = self._map(node) if node.stride == (1, 1) else self._phases(node)
        return norm_by_sums(node) if own is None else min(norm_by_sums(node), own.norm())

    def _phases(self, node: Convolution) -> LinearMap | None:
        """Return a convolution with strides as one without them; None if it is too large.

        The pixels of a block as large as the stride become channels, which moves nothing.
        """
        weight, (down, across) = dilated(node, ungrouped(node)), node.stride
        out, channels, height, width = weight.shape
        weight = functional.pad(weight, (0, -width % across, 0, -height % down))
        tall, wide = weight.shape[2] // down, weight.shape[3] // across
        weight = weight.reshape(out, channels, tall, down, wide, across)
        weight = weight.permute(0, 1, 3, 5, 2, 4).reshape(out, -1, tall, wide)
        torus = (math.ceil(self._torus[0] / down), math.ceil(self._torus[1] / across))
        return self._fitting(weight, torus)

    def step(self, node: Node) -> None:
        """Find the stretch of the next node."""
        chain: _Links = ()
        if isinstance(node, Convolution | Dense):
            stretch, chain = self._affine(node)
        else:
            if isinstance(node, MaxPool):
                self.read[len(self.found)] = self._into_windows(node)
            elif isinstance(node, Activation):
                self.read[len(self.found)] = Move(self.found[node.inputs[0]])
            stretch = node_stretch(node, [self.found[i] for i in node.inputs])
        self.found.append(stretch)
        self._chains.append(chain)

    def _affine(self, node: Convolution | Dense) -> tuple[float, _Links]:
        start = self.found[node.inputs[0]]
        own = self._map(node)
        if own is None:
            return start * self.alone(node), ()
        stretch = self._together(node, own)
        if isinstance(node, Convolution) and node.stride != (1, 1):
            # What comes next is no product of transfer functions.
            return min(stretch, start * self.alone(node)), ()
        return stretch, (*self._before(node, own), _Link(own, start, stretch))[-LONGEST:]

    def _into_windows(self, node: MaxPool) -> Move:
        source = self.network.nodes[node.inputs[0]]
        plain = self.found[node.inputs[0]]
        if not tiles(node):
            return Move(plain * window_overlap(node), often=window_overlap(node))
        chain = self._chains[node.inputs[0]]
        if not isinstance(source, Convolution) or not chain:
            return Move(plain)
        return Move(self._together(source, chain[-1].map, node.size), MEAN)

    def _before(self, node: Convolution | Dense, own: LinearMap) -> _Links:
        """Return the chain that a layer goes on with."""
        source = self.network.nodes[node.inputs[0]]
        if not isinstance(source, Activation) or source.slope < 0.0:
            return ()
        chain = self._chains[source.inputs[0]]
        return chain if chain and chain[-1].map.convolves == own.convolves else ()

    def _together(
        self, node: Convolution | Dense, own: LinearMap, window: tuple[int, int] = (1, 1)
    ) -> float:
        """Return the stretch of a layer, together with those before it where that is less."""
        chain, start = self._before(node, own), self.found[node.inputs[0]]
        if not chain:
            if not self._moves_pixels(node):
                return own.norm(window) * start
            pixel = chain_stretch([own], [], window, one_pixel=True)
            return start * (pixel if math.isfinite(pixel) else own.norm(window))
        slopes, reader = [], node
        for _ in chain:
            activation = self.network.nodes[reader.inputs[0]]
            assert isinstance(activation, Activation)
            slopes.append(steepest(activation))
            before = self.network.nodes[activation.inputs[0]]
            assert isinstance(before, Convolution | Dense)
            reader = before
        maps = [own, *(link.map for link in reversed(chain))]
        single = self._moves_pixels(reader)
        together = chain_stretch(maps, slopes, window, one_pixel=single) * chain[0].start
        if math.isfinite(together) and len(chain) == 1:
            # The search for it begins with the product of both layers' own.
            return together
        alone = own.norm(window)
        if not math.isfinite(together):
            together = _averaged(own, alone, chain, slopes, window)
        return min(alone * start, together)

    def _moves_pixels(self, node: Node) -> bool:
        """Return whether what a layer reads moves in L1 by no more than its stretch."""
        source = self.network.nodes[node.inputs[0]]
        while isinstance(source, Scale | Flatten):
            source = self.network.nodes[source.inputs[0]]
        return self._one_pixel and isinstance(source, Image)

    def _map(self, node: Convolution | Dense) -> LinearMap | None:
        """Return a layer's map, for a convolution that of stride 1; None if it is too large."""
        if isinstance(node, Dense):
            return LinearMap((node.weight,), self._torus)
        return self._fitting(dilated(node, ungrouped(node)), self._torus)

    def _fitting(self, weight: Tensor, torus: tuple[int, int]) -> LinearMap | None:
        area = min(torus[0], GRID) * min(torus[1], GRID)
        if area * weight.shape[0] * weight.shape[1] > SPECTRUM or max(weight.shape[2:]) > GRID:
            return None
        return LinearMap((weight,), torus)


def _averaged(
    own: LinearMap, alone: float, chain: _Links, slopes: list[float], window: tuple[int, int]
) -> float:
    """Return the module's sum for a layer, whose norm is `alone`, after a chain."""
    total, share, combined, here = 0.0, 1.0, own, alone
    for link, slope in zip(reversed(chain), slopes, strict=True):
        share *= slope / 2
        total += share * here * link.stretch
        combined = combined.after(link.map)
        here = combined.norm(window)
    return total + share * here * chain[0].start
