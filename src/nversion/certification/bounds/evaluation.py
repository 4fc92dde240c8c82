"""What a model's own rounding may change, carried along with the bounds of its neurons.

A certificate speaks of the model as it is evaluated, in float32 mostly. Each step of that
evaluation is off by a *local* error: a share of the absolute values that the step adds up
(:mod:`nversion.certification.arithmetic`), over all images of the ball, so the ranges of the step's
inputs give it. Where large numbers cancel, as in a batch norm with a large mean, the step's own
absolute values are far larger than what comes out (``added`` of the nodes), and so is the error.

Let ``v~`` be the evaluated neurons. A linear function above or below a nonlinear neuron holds for
whatever number it reads, so for ``v~`` too, if its range does; and with ``v~ = W v~' + b + e``,
``|e| <= E``, a row with the coefficients a over them continues as ``a W v~'`` and loses no more
than ``|a| E``. So the errors travel along the slopes of the bounds themselves and are paid for
where they arise: ``|slope| E`` is taken off the constants of the planes that read the layer
(:meth:`Errors.absorb`). No product of absolute weights over several layers is formed, unless
nothing nonlinear lies between them. The same step pays for the rounding of the bounds, which are
computed in float64: a computed row differs from ``a W`` by a share of ``|a| |W|``, which costs the
same share of ``|a| |W| |v'|``. That share is :data:`~nversion.certification.rounding.SAFETY` times
the number of terms on the longest path, twice, times ``2^-53``.

Bounds that compare the network with itself at the image (the Jacobian's range, stretches) are of
the network in real arithmetic. To them is added how far ``v~`` can be from it at the same image, in
L2: ``rho = |W| rho' + |E|``, with the largest singular values of the layers.
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor
from torch.nn import functional

from nversion.certification.arithmetic import OVERFLOW, SINGLE
from nversion.certification.ball import Ball, dual_norm
from nversion.certification.bounds.intervals import Bounds
from nversion.certification.lipschitz.stretches import Stretches
from nversion.certification.network.graph import (
    Activation,
    Convolution,
    Dense,
    Flatten,
    LogSoftmax,
    MaxPool,
    Network,
    Node,
    Scale,
    Sum,
    added,
    convolve,
    tiles,
)
from nversion.certification.planes.planes import Planes
from nversion.certification.planes.pools import windows
from nversion.certification.rounding import SAFETY, UNIT, path_terms

__all__ = ["Errors", "Spare"]

CURVE = 8.0
"""Units in the last place of 1: what a sigmoid or tanh is off by, at the most."""

AFTER = 4.0
"""Units in the last place of the logits, for what may follow them: a log-softmax, comparisons."""


@dataclasses.dataclass(frozen=True)
class Spare:
    """What evaluation may take off the margins.

    Attributes:
        errors: of the logits as bounds of evaluated neurons give them, [count, classes].
        local: of the last node alone, [count, classes].
        off: how far the evaluated inputs of a last linear map, or else the logits, may be from
            those in real arithmetic, [count, neurons]; None: not known.
        rho: the same in L2, [count].
        ranges: rounding of the Jacobian's range, [count].
    """

    errors: Tensor
    local: Tensor
    off: Tensor | None
    rho: Tensor | None
    ranges: Tensor

    def linear(self, labels: Tensor, others: Tensor) -> Tensor:
        """Return it for linear and interval bounds, [count, rows]."""
        return self.errors.gather(1, labels[:, None]) + self.errors.gather(1, others)

    def moved(self, labels: Tensor, others: Tensor, weight: Tensor) -> Tensor:
        """Return it for bounds of changes, [count, rows].

        Args:
            labels: int64 [count].
            others: int64 [count, rows].
            weight: of the margins over what `off` speaks of, [count, rows, neurons].
        """
        own = self.local.gather(1, labels[:, None]) + self.local.gather(1, others)
        if self.off is None or self.rho is None:
            return torch.full_like(own, torch.inf)
        together = torch.linalg.vector_norm(weight, dim=2) * self.rho[:, None]
        return own + torch.minimum(together, (weight.abs() @ self.off[:, :, None]).squeeze(2))


class Errors:
    """The errors of a network's nodes, found in the order of the nodes while their ranges are.

    Args:
        network: in the precision of the bounds.
        images: [count, *shape].
        radii: [count].
        ball: the norm and the box.
        values: of every node at the images.
        stretches: of the nodes; None: only what needs none.
    """

    def __init__(
        self,
        network: Network,
        images: Tensor,
        radii: Tensor,
        ball: Ball,
        values: list[Tensor],
        stretches: Stretches | None,
    ) -> None:
        self._network, self._values, self._stretches = network, values, stretches
        self._images, self._radii, self._ball = images, radii, ball
        exact = images.dtype == torch.float64
        self._own = 2.0 * SAFETY * path_terms(network)[-1] * UNIT if exact else 0.0
        self._ranges: dict[int, Bounds] = {}
        self._sizes: dict[int, Tensor] = {}
        self._carried: dict[int, Tensor | None] = {}
        self._local: dict[int, Tensor] = {}
        self._off: dict[int, Tensor] = {}
        self._left_out: dict[int, Tensor] = {}
        self._overflows = torch.zeros_like(radii, dtype=torch.bool)
        self.rho: list[Tensor] = []

    def enter(self, index: int) -> Tensor:
        """Return by how much bounds of a node's neurons must be moved outwards.

        That is how far evaluation may be from what the node's inputs give, [count, *shape].
        """
        node = self._network.nodes[index]
        local = self._local[index] = self._local_error(index, node)
        self._carried[index] = self._carry(node, local)
        if self._stretches is not None:
            self._deviate(index, node, local)
        found = self._carried[index]
        return local if found is None else found

    def leave(self, index: int, low: Tensor, high: Tensor) -> Bounds:
        """Take note of the range of a node's evaluated neurons, and return it.

        Where stretches are known it is cut with what they allow.
        """
        if self._stretches is not None:
            move = self._stretches.nodes[index] * self._radii + self.rho[index]
            move, center = columns(move, low), self._values[index]
            low, high = torch.maximum(low, center - move), torch.minimum(high, center + move)
        self._note(index, (low, high))
        return low, high

    def _note(self, index: int, bounds: Bounds) -> None:
        self._ranges[index] = bounds
        size = torch.maximum(bounds[0].abs(), bounds[1].abs())
        node = self._network.nodes[index]
        left_out = [self._left_out[i] for i in node.inputs if i in self._left_out]
        if isinstance(node, LogSoftmax):
            left_out.append(_logarithm(size))
        if left_out:
            # The model's own values are without what log-softmaxes took off.
            factor = node.scale.abs() if isinstance(node, Scale) else 1.0
            self._left_out[index] = torch.stack(left_out).sum(dim=0) * factor
            size = size + self._left_out[index]
        self._sizes[index] = size

    def neurons(self, index: int) -> Tensor:
        """Return how far a node's evaluated neurons may be from real arithmetic, elementwise."""
        return self._off[index]

    def absorb(self, index: int, planes: Planes, bounds: Bounds) -> Planes:
        """Return planes around a node that hold for evaluated neurons all the way back.

        Args:
            index: of the node.
            planes: around it.
            bounds: of what it reads.
        """
        node = self._network.nodes[index]
        assert isinstance(node, Activation | MaxPool)
        source = node.inputs[0]
        read = self._own * self._sizes[source]
        carried = self._carried[source]
        read = read if carried is None else read + carried
        if isinstance(node, MaxPool):
            read = windows(node, read, 0.0)
        own = self._local[index] if isinstance(node, Activation) else 0.0
        upper = planes.lower + planes.rise
        lower = planes.lower
        if isinstance(node, Activation) and node.function == "relu":
            # The slope below may be chosen anew, up to 1, where the neuron may be on or off.
            lower = torch.where((bounds[0] < 0) & (bounds[1] > 0), 1.0, lower)
        below = _weighed(node, lower, read) + own + self._own * planes.lower_shift.abs()
        above = _weighed(node, upper, read) + own + self._own * planes.upper_shift.abs()
        coupled = planes.coupled
        if coupled is not None:
            slopes = planes.lower + coupled.rise
            room = coupled.shared.room.reshape(above.shape)
            shift = self._own * (coupled.upper_shift.abs() + 2.0 * room)
            together = _weighed(node, slopes, read) + own + shift
            coupled = dataclasses.replace(coupled, upper_shift=coupled.upper_shift + together)
        curve = isinstance(node, Activation) and node.function != "relu"
        return dataclasses.replace(
            planes,
            lower_shift=planes.lower_shift - below,
            upper_shift=planes.upper_shift + above,
            coupled=coupled,
            slight=not curve and self._own == 0.0,
        )

    def spare(self, ranges: Tensor) -> Spare:
        """Return what is to be taken off the margins.

        Args:
            ranges: rounding of the Jacobian's range, [count].
        """
        last = len(self._network.nodes) - 1
        node = self._network.nodes[last]
        size = self._sizes[last]
        if self._network.shifted:
            size = size + _logarithm(size)
        # Logits are compared in float32, whatever they were computed in.
        after = AFTER * max(self._network.arithmetic.unit, SINGLE.unit) * size
        # Numbers that are infinite, or none any more, need not show in the ranges behind them.
        after = after + OVERFLOW * self._overflows[:, None]
        carried, local = self._carried[last], self._local[last]
        errors = after + (local if carried is None else carried)
        own = after + local if isinstance(node, Dense) else after
        if self._stretches is None:
            return Spare(errors, own, None, None, ranges)
        read = node.inputs[0] if isinstance(node, Dense) else last
        return Spare(errors, own, self._off[read], self.rho[read], ranges)

    @property
    def logits(self) -> Tensor:
        """The logits of the images in real arithmetic, [count, classes]."""
        return self._values[-1]

    def start(self, bounds: Bounds) -> None:
        """Begin with the range of the pixels, which are cast to the model's precision."""
        arithmetic = self._network.arithmetic
        size = torch.maximum(*(x.abs() for x in bounds))
        self._local[0] = arithmetic.unit * size + arithmetic.smallest
        self._carried[0] = self._local[0]
        if self._stretches is not None:
            self._off[0] = self._local[0]
            self.rho.append(torch.linalg.vector_norm(self._local[0].flatten(1), dim=1))
        self._note(0, bounds)

    def _local_error(self, index: int, node: Node) -> Tensor:
        arithmetic, size = self._network.arithmetic, self._sizes[node.inputs[0]]
        match node:
            case LogSoftmax():
                return (arithmetic.results(4) + self._own) * (size + _logarithm(size))
            case Convolution() | Dense() | Scale():
                terms = 1 if isinstance(node, Scale) else node.weight[0].numel()
                partial, total = self._sums(node, size)
                error = arithmetic.additions(terms) * partial
                if isinstance(node, Dense):
                    # Adding what is exactly zero, as dead neurons are, is exact.
                    share = (size != 0).sum(dim=1, keepdim=True).to(size.dtype) / terms
                    error = error * share
                error += (arithmetic.results(2 + node.steps) + self._own) * total
                error += arithmetic.smallest * (terms + 2 + node.steps)
                times, more = node.peak
                on_the_way = times * size.flatten(1).amax(dim=1) + more if times else more
                return self._mark(error, total, on_the_way)
            case Sum():
                both = size + self._sizes[node.inputs[1]]
                return self._mark((arithmetic.results(1) + self._own) * both, both)
            case Flatten():
                return torch.zeros_like(size).reshape(len(size), *node.shape)
            case Activation() if node.function != "relu":
                return torch.full_like(size, CURVE * arithmetic.unit + self._own)
            case Activation() if node.slope:
                leaked: Tensor = (arithmetic.unit * node.slope + self._own) * size
                return leaked + arithmetic.smallest
            case Activation():
                return torch.zeros_like(size)
            case MaxPool():
                return size.new_zeros(len(size), *node.shape)
        raise TypeError(f"no rule for {type(node).__name__}")

    def _mark(self, error: Tensor, size: Tensor, on_the_way: Tensor | float = 0.0) -> Tensor:
        """Return errors of values up to `size`, after taking note of what may overflow.

        An overflow is no number any more, whatever its bounds say. `on_the_way` is the model's
        largest number before, [count].
        """
        largest = self._network.arithmetic.largest
        over = ~(size <= largest)
        self._overflows = self._overflows | over.flatten(1).any(dim=1)
        self._overflows = self._overflows | ~(self._radii.new_zeros(()) + on_the_way <= largest)
        return error.masked_fill(over, OVERFLOW)

    def _sums(self, node: Convolution | Dense | Scale, size: Tensor) -> tuple[Tensor, Tensor]:
        """Return what a node has in hand while it adds up, and the sum of the absolute values.

        Whatever the order, it has the sum of some of the terms in hand, and that is no larger than
        the sum of the positive or of the negative ones.
        """
        plus = added(node)
        if isinstance(node, Scale):
            total = size * node.scale.abs() + plus
            return total, total
        source = node.inputs[0]
        found = None
        image = self._is_image(source)
        if not image and not bool((self._ranges[source][0] < 0).any()):
            found = self._signed(node, size, plus)
        if isinstance(node, Dense) or image:
            # Not all inputs can be at the far ends of their ranges at once.
            move = self._move(node, source)
            if move is not None and not bool((self._values[source] < 0).any()):
                here = [x + move for x in self._signed(node, self._values[source], plus)]
                found = here if found is None else list(map(torch.minimum, found, here))
        if found is None:
            total = _through(node, size, node.weight.abs(), plus)
            return total, total
        return found[0], found[1]

    def _signed(self, node: Convolution | Dense, x: Tensor, plus: Tensor) -> list[Tensor]:
        up = _through(node, x, node.weight.clamp(min=0.0), plus)
        down = _through(node, x, node.weight.clamp(max=0.0).neg(), plus)
        return [torch.maximum(up, down), up + down]

    def _move(self, node: Convolution | Dense, source: int) -> Tensor | None:
        """Return how much the terms of a node's sums can change in the ball; None: not known."""
        rows = node.weight.flatten(1).abs()
        if self._is_image(source):
            sizes, far = dual_norm(rows, self._ball.norm), self._radii
        elif self._stretches is not None:
            sizes = dual_norm(rows, 2.0)
            far = self._stretches.nodes[source] * self._radii + self.rho[source]
        else:
            return None
        return sizes.reshape(-1, *([1] * (len(node.shape) - 1))) * far.reshape(
            -1, *([1] * len(node.shape))
        )

    def _is_image(self, index: int) -> bool:
        while isinstance(self._network.nodes[index], Flatten):
            index = self._network.nodes[index].inputs[0]
        return index == 0

    def _carry(self, node: Node, local: Tensor) -> Tensor | None:
        """Return the errors that have come along to a node's neurons; None where planes took all.

        Between two nonlinear nodes there is mostly one affine one, and nothing comes along.
        """
        before = [self._carried[i] for i in node.inputs]
        if isinstance(node, Activation | MaxPool):
            return None
        total = local
        for carried in before:
            if carried is None:
                continue
            if isinstance(node, Flatten):
                total = total + carried.reshape(local.shape)
            elif isinstance(node, Sum):
                total = total + carried
            elif isinstance(node, Scale):
                total = total + carried * node.scale.abs()
            elif isinstance(node, Convolution | Dense):
                total = total + _through(node, carried, node.weight.abs(), None)
        return total

    def _deviate(self, index: int, node: Node, local: Tensor) -> None:
        """Find how far evaluated neurons may be from those in real arithmetic, and that in L2."""
        assert self._stretches is not None
        before = [self._off[i] for i in node.inputs]
        off = before[0]
        match node:
            case Convolution() | Dense():
                rows = torch.linalg.vector_norm(node.weight.flatten(1), dim=1)
                rows = rows.reshape(-1, *([1] * (local.ndim - 2)))
                moved = rows * columns(self.rho[node.inputs[0]], local)
                if isinstance(node, Dense):
                    moved = torch.minimum(moved, functional.linear(off, node.weight.abs()))
                off = local + moved
            case Scale():
                off = local + off * node.scale.abs()
            case Flatten():
                off = off.reshape(local.shape)
            case Sum():
                off = local + off + before[1]
            case MaxPool():
                off = functional.max_pool2d(off, node.size, node.stride, node.padding)
            case Activation() if node.function == "relu" and not node.slope:
                # A neuron that is off is exactly zero.
                off = off * (self._ranges[node.inputs[0]][1] > 0)
            case Activation():
                off = local + off
        own = torch.linalg.vector_norm(local.flatten(1), dim=1)
        rho = own + self._stretches.own[index] * sum(self.rho[i] for i in node.inputs)
        self._off[index] = off
        self.rho.append(torch.minimum(rho, torch.linalg.vector_norm(off.flatten(1), dim=1)))


def _logarithm(size: Tensor) -> Tensor:
    """Return how much a log-softmax takes off logits of some sizes [count, classes], [count, 1].

    That is the largest of them, and a logarithm of their number at the most.
    """
    return size.amax(dim=1, keepdim=True) + math.log(size.shape[1])


def columns(x: Tensor, like: Tensor) -> Tensor:
    return x.reshape(-1, *([1] * (like.ndim - 1)))


def _through(node: Convolution | Dense, x: Tensor, weight: Tensor, plus: Tensor | None) -> Tensor:
    """Apply a node with other weights."""
    if isinstance(node, Convolution):
        return convolve(node, x, weight, plus)
    return functional.linear(x, weight, plus)


def _weighed(node: Activation | MaxPool, slopes: Tensor, read: Tensor) -> Tensor:
    """Return ``|slopes| read`` for each of a node's neurons, added up over a pool's windows."""
    if isinstance(node, Activation):
        return slopes.abs() * read
    if tiles(node):
        return (windows(node, slopes.abs(), 0.0) * read).sum(dim=2)
    count, channels = read.shape[:2]
    laid = slopes.abs().reshape(count, channels, -1, *node.shape[1:])
    return (laid * read).sum(dim=2)
