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
from nversion.certification.lipschitz.linear_maps import GRID, MEAN, ROUNDING, SPECTRUM, LinearMap
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

__all__ = ["Move", "Moved", "Stretches", "find_stretches", "layer_stretches"]

LONGEST = 3
"""Layers that are taken together, at the most."""

LARGE = 1024
"""Rows and columns of a matrix from which its norm is bounded by sums, singular values taking
long."""


@dataclasses.dataclass(frozen=True)
class Moved:
    """By how much the neurons that a node reads can move together.

    Attributes:
        radii: R, [count].
        mean: how much the squared mean of a window counts in it.
    """

    radii: Tensor
    mean: float


@dataclasses.dataclass(frozen=True)
class Move:
    """How far the neurons that a node reads move in L2, when the image moves by 1.

    Attributes:
        stretch: at the most; in windows that share neurons each counts as often as it is read.
        mean: how much the squared mean of a window counts in it, 1 if as all else.
        often: the root of how often a neuron is read, at the most.
    """

    stretch: float
    mean: float = 1.0
    often: float = 1.0

    def over(self, radii: Tensor, off: Tensor) -> Moved:
        """Return by how much they can move while the image moves by `radii`, [count].

        Args:
            radii: [count].
            off: how far the evaluated neurons may be from real arithmetic, in L2, [count].
        """
        return Moved(self.stretch * radii + self.often * off, self.mean)


@dataclasses.dataclass(frozen=True)
class Stretches:
    """What is known of a network's stretches.

    Attributes:
        nodes: of each node.
        read: by each activation and max-pool; empty where layers were only looked at one by one.
        norm: in which the image moves.
        own: of each node by itself: how far it moves when its inputs move by 1.
    """

    nodes: tuple[float, ...]
    read: dict[int, Move]
    norm: float
    own: tuple[float, ...]

    def apart(self) -> Stretches:
        """Return the same without what nodes read, so that their neurons do not share the ball."""
        return dataclasses.replace(self, read={})

    def changes(self, network: Network, weight: Tensor) -> Tensor:
        """Return how much functions of the last neurons can change when the image moves by 1.

        Args:
            network: whose stretches these are.
            weight: over the inputs of a last linear map, or else over the logits, [..., neurons].
        """
        last = network.nodes[-1]
        before = last.inputs[0] if isinstance(last, Dense) else len(self.nodes) - 1
        size: Tensor = torch.linalg.vector_norm(weight, dim=-1)
        return size * (self.nodes[before] * (1.0 + ROUNDING))


def find_stretches(network: Network, norm: float = 2.0) -> Stretches:
    """Return how far the nodes of a network move in L2, at the most, when the image moves by 1.

    Args:
        network: in any precision; what is found is rounded up from float64.
        norm: in which the image moves, 1.0 or 2.0.
    """
    search = _Search(network.to(torch.float64), norm)
    for node in search.network.nodes:
        search.step(node)
    own = tuple(search.alone(node) for node in search.network.nodes)
    return Stretches(tuple(search.found), search.read, norm, own)


def layer_stretches(network: Network, norm: float = 2.0) -> Stretches:
    """Return stretches that are mere products of those of the layers, which takes little time.

    Args:
        network: in any precision.
        norm: in which the image moves: 1.0, 2.0 or infinity.
    """
    search = _Search(network.to(torch.float64), norm)
    own = tuple(search.alone(node) for node in search.network.nodes)
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


_Chain = tuple[_Link, ...]


class _Search:
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
        self._chains: list[_Chain] = []
        self._torus = _torus(network)
        self._norms: dict[int, float] = {}

    def alone(self, node: Node) -> float:
        """Return how far a node moves when its inputs move by 1 in L2."""
        if not isinstance(node, Convolution | Dense):
            return 1.0 if isinstance(node, Image | Sum) else _stretch(node, [1.0])
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
        return _by_sums(node) if own is None else min(_by_sums(node), own.norm())

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
        chain: _Chain = ()
        if isinstance(node, Convolution | Dense):
            stretch, chain = self._affine(node)
        else:
            if isinstance(node, MaxPool):
                self.read[len(self.found)] = self._into_windows(node)
            elif isinstance(node, Activation):
                self.read[len(self.found)] = Move(self.found[node.inputs[0]])
            stretch = _stretch(node, [self.found[i] for i in node.inputs])
        self.found.append(stretch)
        self._chains.append(chain)

    def _affine(self, node: Convolution | Dense) -> tuple[float, _Chain]:
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
            return Move(plain * _shared(node), often=_shared(node))
        chain = self._chains[node.inputs[0]]
        if not isinstance(source, Convolution) or not chain:
            return Move(plain)
        return Move(self._together(source, chain[-1].map, node.size), MEAN)

    def _before(self, node: Convolution | Dense, own: LinearMap) -> _Chain:
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
            slopes.append(_steepest(activation))
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
    own: LinearMap, alone: float, chain: _Chain, slopes: list[float], window: tuple[int, int]
) -> float:
    """Return the module's sum for a layer, whose norm is `alone`, after a chain."""
    total, share, combined, here = 0.0, 1.0, own, alone
    for link, slope in zip(reversed(chain), slopes, strict=True):
        share *= slope / 2
        total += share * here * link.stretch
        combined = combined.after(link.map)
        here = combined.norm(window)
    return total + share * here * chain[0].start


def _stretch(node: Node, before: list[float]) -> float:
    match node:
        case Image():
            return 1.0
        case Scale():
            return before[0] * float(node.scale.abs().max()) * (1.0 + ROUNDING)
        case Activation():
            return before[0] * _steepest(node)
        case MaxPool():
            return before[0] * _shared(node)
        case Sum():
            return before[0] + before[1]
    return before[0]


def _steepest(node: Activation) -> float:
    return 0.25 if node.function == "sigmoid" else max(1.0, abs(node.slope))


def _shared(node: MaxPool) -> float:
    """Return the root of how many windows a neuron may be in, rounded up."""
    windows = [math.ceil(node.size[i] / node.stride[i]) for i in (0, 1)]
    return 1.0 if windows == [1, 1] else math.sqrt(windows[0] * windows[1]) * (1.0 + ROUNDING)


def _by_sums(node: Convolution) -> float:
    """Return the root of the largest sums of absolute weights of a neuron and of an input."""
    size = ungrouped(node).abs()
    reads, read_by = size.sum(dim=(1, 2, 3)).max(), size.sum(dim=(0, 2, 3)).max()
    return math.sqrt(float(reads * read_by)) * (1.0 + ROUNDING)


def _torus(network: Network) -> tuple[int, int]:
    """Return a grid on which no convolution's windows reach around, and pools' windows fit."""
    sizes, windows = [(1, 1)], [(1, 1)]
    for node in network.nodes:
        if isinstance(node, Convolution):
            shape = network.nodes[node.inputs[0]].shape
            sizes.append((shape[1] + 2 * node.padding[0], shape[2] + 2 * node.padding[1]))
        elif isinstance(node, MaxPool) and tiles(node):
            windows.append(node.size)
    found = []
    for axis in (0, 1):
        step = math.lcm(*(window[axis] for window in windows))
        found.append(step * math.ceil(max(size[axis] for size in sizes) / step))
    return found[0], found[1]
