"""How far the neurons of a layer can move together: Lipschitz constants in L2.

If the image moves by at most r in L2, the vector of all neurons of a node moves by at most its
*stretch* times r. An affine map stretches by its largest singular value; a convolution by no more
than the largest singular value of its transfer function at the frequencies of a torus that holds
its input (Sedghi et al. 2019), because with a border of zeros it is a part of the convolution on
the torus.

From layer to layer these factors multiply, and that overestimates: an activation whose slopes lie
in [0, s] passes on s / 2 of its input, and a part of at most s / 2 times its size. So for a chain
of maps W_1 .. W_k with activations between them the stretches L_j before these fulfil

    L_k  <=  sum over 0 < j < k of (s/2)^(k-j) |W_k .. W_{j+1}| L_j  + (s/2)^(k-1) |W_k .. W_1| L_0

(after Combettes & Pesquet 2020). What a later layer reads over the border as zeros has the slope 0
of an activation, so the products of convolutions are those of their transfer functions.

Before a max-pool the moves are measured in another norm: what the neurons of a window do together,
their mean, counts less (`MEAN`) than what tells them apart. Convolutions stretch slow waves most,
which are nearly the same for all neurons of a window, while the maximum depends on the differences
as well. On W neurons the square of that norm is ``|t|^2 - (1 - MEAN) W mean(t)^2``. Windows couple
the frequencies that differ by whole turns within a window, so there the transfer functions of all
those stand side by side.

On images larger than `GRID` the transfer function is looked at on a coarser grid. A trigonometric
polynomial of degree d exceeds its largest value at n equidistant points at most 1 / cos(pi d / n)
times (Ehlich & Zeller 1964), and with singular vectors held fixed each singular value is bounded by
one.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import torch
from torch import Tensor

from nversion.certification.coupling import Moved
from nversion.certification.graph import (
    Activation,
    Convolution,
    Dense,
    Image,
    MaxPool,
    Network,
    Node,
    Scale,
    Sum,
    tiles,
)
from nversion.certification.patches import dilated, ungrouped

__all__ = ["Move", "Stretches", "find_stretches"]

MEAN = 0.45
"""How much the squared mean of a window counts. From 0.35 to 0.55 the radii of one network fell by
4 % and those of another rose by 3 %."""

GRID = 40
"""Frequencies along an axis, at the most."""

SPECTRUM = 20_000_000
"""Elements of a transfer function, at the most; beyond, sums of absolute weights must do."""

WIDEST = 1024
"""Columns of the transfer functions of a window's frequencies side by side, at the most."""

LONGEST = 3
"""Layers that are taken together, at the most."""

ROUNDING = 1e-6
"""Relative, far more than singular values in float64 are wrong by."""


@dataclasses.dataclass(frozen=True)
class Move:
    """How far the neurons that a node reads move in L2, when the image moves by 1.

    Attributes:
        stretch: at the most; in windows that share neurons each counts as often as it is read.
        mean: how much the squared mean of a window counts in it, 1 if as all else.
    """

    stretch: float
    mean: float = 1.0

    def over(self, radii: Tensor) -> Moved:
        """Return by how much they can move while the image moves by `radii`, [count]."""
        return Moved(self.stretch * radii, self.mean)


@dataclasses.dataclass(frozen=True)
class Stretches:
    """What is known of a network's stretches.

    Attributes:
        nodes: of each node.
        read: by each activation and max-pool.
    """

    nodes: tuple[float, ...]
    read: dict[int, Move]


def find_stretches(network: Network) -> Stretches:
    """Return how far the nodes of a network move in L2, at the most, when the image moves by 1.

    Args:
        network: in any precision; what is found is rounded up from float64.
    """
    search = _Search(network.to(torch.float64))
    for node in search.network.nodes:
        search.step(node)
    return Stretches(tuple(search.found), search.read)


@dataclasses.dataclass(frozen=True)
class _Map:
    """A linear map, or several in a row.

    Attributes:
        weights: the last map first: matrices [out, in], or kernels [out, in, height, width].
        torus: the grid that convolutions are looked at on.
    """

    weights: tuple[Tensor, ...]
    torus: tuple[int, int]

    @property
    def convolves(self) -> bool:
        """Whether this is a convolution."""
        return self.weights[0].ndim == 4

    def after(self, first: _Map) -> _Map:
        """Return this map after another one."""
        return _Map((*self.weights, *first.weights), self.torus)

    def norm(self) -> float:
        """Return an upper bound of the largest singular value."""
        if not self.convolves:
            matrix = self.weights[0]
            for weight in self.weights[1:]:
                matrix = matrix @ weight
            return _largest(_gram(matrix))
        size = (min(self.torus[0], GRID), min(self.torus[1], GRID))
        found = _largest(_gram(self._transfer(range(size[0]), range(size[1] // 2 + 1), size)))
        if size == self.torus:
            return found
        for axis in (0, 1):
            degree = sum(weight.shape[2 + axis] - 1 for weight in self.weights) / 2
            angle = math.pi * degree / size[axis]
            if angle >= math.pi / 2:
                return math.inf
            found /= math.cos(angle)
        return found

    def window_norm(self, window: tuple[int, int]) -> float:
        """Return the same in the norm in which the means of windows count less."""
        down, across = window
        area = down * across
        size = self.torus
        fits = size[0] % down == 0 and size[1] % across == 0 and max(size) <= GRID
        if not fits or self.weights[-1].shape[1] * area > WIDEST:
            return self.norm()
        tall, wide = size[0] // down, size[1] // across
        parts, means = [], []
        for i in range(down):
            for j in range(across):
                rows = range(i * tall, (i + 1) * tall)
                columns = range(j * wide, j * wide + wide // 2 + 1)
                parts.append(self._transfer(rows, columns, size))
                sums = [
                    _waves(f, size[k], window[k]).sum(dim=1) for k, f in ((0, rows), (1, columns))
                ]
                means.append(torch.outer(*sums).flatten()[:, None, None] * parts[-1] / area)
        side_by_side, mean = torch.cat(parts, dim=2), torch.cat(means, dim=2)
        blocks = [_square(part) for part in parts]
        gram = torch.zeros(*side_by_side.shape[::2], side_by_side.shape[2], dtype=mean.dtype)
        each = parts[0].shape[2]
        for place, block in enumerate(blocks):
            here = slice(place * each, (place + 1) * each)
            gram[:, here, here] = block
        return _largest(gram - (1.0 - MEAN) * _square(mean))

    def _transfer(self, rows: range, columns: range, size: tuple[int, int]) -> Tensor:
        """Return the transfer function at frequencies, [frequencies, out, in]."""
        product: Tensor | None = None
        for weight in self.weights:
            height, width = weight.shape[2:]
            waves = torch.kron(_waves(rows, size[0], height), _waves(columns, size[1], width))
            taps = weight.permute(2, 3, 0, 1).flatten(2).flatten(0, 1).cpu().to(waves.dtype)
            found = (waves @ taps).reshape(-1, *weight.shape[:2])
            product = found if product is None else product @ found
        assert product is not None
        return product


def _waves(frequencies: range, size: int, taps: int) -> Tensor:
    """Return ``exp(2 pi i f t / size)`` for frequencies f and taps t, [frequencies, taps]."""
    at = torch.tensor(list(frequencies), dtype=torch.float64)
    angles = at[:, None] * torch.arange(taps, dtype=torch.float64) * (math.tau / size)
    return torch.polar(torch.ones_like(angles), angles)


def _square(a: Tensor) -> Tensor:
    return a.mH @ a


def _gram(a: Tensor) -> Tensor:
    """Return the smaller one of the two products of a matrix with its adjoint."""
    return _square(a) if a.shape[-1] <= a.shape[-2] else _square(a.mH)


def _largest(gram: Tensor) -> float:
    """Return the root of the largest eigenvalue of all the matrices, rounded up."""
    largest = float(torch.linalg.eigvalsh(gram)[..., -1].max())
    return math.sqrt(max(0.0, largest)) * (1.0 + ROUNDING)


@dataclasses.dataclass(frozen=True)
class _Link:
    """An affine layer of a chain.

    Attributes:
        map: its linear part.
        start: the stretch of what it reads.
        stretch: its own.
    """

    map: _Map
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

    def __init__(self, network: Network) -> None:
        self.network = network
        self.found: list[float] = []
        self.read: dict[int, Move] = {}
        # The chain that ends with each node so far; empty where none does.
        self._chains: list[_Chain] = []
        self._torus = _torus(network)

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
            assert isinstance(node, Convolution)
            return start * _by_sums(node), ()
        stretch = self._together(node, own, _Map.norm)
        if isinstance(node, Convolution) and node.stride != (1, 1):
            # What comes next is no product of transfer functions.
            return stretch, ()
        return stretch, (*self._before(node, own), _Link(own, start, stretch))[-LONGEST:]

    def _into_windows(self, node: MaxPool) -> Move:
        source = self.network.nodes[node.inputs[0]]
        plain = self.found[node.inputs[0]]
        if not tiles(node):
            return Move(plain * _shared(node))
        chain = self._chains[node.inputs[0]]
        if not isinstance(source, Convolution) or not chain:
            return Move(plain)
        return Move(self._together(source, chain[-1].map, lambda m: m.window_norm(node.size)), MEAN)

    def _before(self, node: Convolution | Dense, own: _Map) -> _Chain:
        """Return the chain that a layer goes on with."""
        source = self.network.nodes[node.inputs[0]]
        if not isinstance(source, Activation) or source.slope < 0.0:
            return ()
        chain = self._chains[source.inputs[0]]
        return chain if chain and chain[-1].map.convolves == own.convolves else ()

    def _together(
        self, node: Convolution | Dense, own: _Map, norm: Callable[[_Map], float]
    ) -> float:
        """Return the stretch of a layer, by the module's sum if that is less than a product."""
        chain = self._before(node, own)
        alone = norm(own)
        product = alone * self.found[node.inputs[0]]
        if not chain:
            return product
        total, share, combined, here = 0.0, 1.0, own, alone
        reader: Node = node
        for link in reversed(chain):
            activation = self.network.nodes[reader.inputs[0]]
            assert isinstance(activation, Activation)
            share *= _steepest(activation) / 2
            total += share * here * link.stretch
            combined = combined.after(link.map)
            here = norm(combined)
            reader = self.network.nodes[activation.inputs[0]]
        return min(product, total + share * here * chain[0].start)

    def _map(self, node: Convolution | Dense) -> _Map | None:
        """Return a layer's map, for a convolution that of stride 1; None if it is too large."""
        if isinstance(node, Dense):
            return _Map((node.weight,), self._torus)
        weight = dilated(node, ungrouped(node))
        area = min(self._torus[0], GRID) * min(self._torus[1], GRID)
        if area * weight.shape[0] * weight.shape[1] > SPECTRUM or max(weight.shape[2:]) > GRID:
            return None
        return _Map((weight,), self._torus)


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
