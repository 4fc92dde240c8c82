"""What a model's own rounding may change, carried along with the bounds of its neurons.

A certificate speaks of the model as it is evaluated, in float32 mostly. Each step of that
evaluation is off by a *local* error (:mod:`nversion.certification.bounds.local_errors`). Where
large numbers cancel, as in a batch norm with a large mean, the step's own absolute values are far
larger than what comes out (``added`` of the nodes), and so is the error.

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

import torch
from torch import Tensor
from torch.nn import functional

from nversion.certification.arithmetic import OVERFLOW, SINGLE
from nversion.certification.ball import Ball
from nversion.certification.bounds.intervals import Bounds
from nversion.certification.bounds.local_errors import (
    LocalErrors,
    Read,
    columns,
    logarithm,
    through,
)
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
    tiles,
)
from nversion.certification.planes.planes import Planes
from nversion.certification.planes.pools import windows
from nversion.certification.rounding import SAFETY, UNIT, path_terms

__all__ = ["Errors", "NodeErrors", "Spare"]

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


@dataclasses.dataclass(frozen=True)
class NodeErrors:
    """The errors of a node's neurons.

    Attributes:
        local: of its own step, [count, *shape]; None: it is exact.
        carried: those that have come along to it, its own among them; None where planes took all.
        off: how far evaluated neurons may be from real arithmetic; None: not known.
        rho: the same in L2, [count]; None: not known.
    """

    local: Tensor | None
    carried: Tensor | None
    off: Tensor | None = None
    rho: Tensor | None = None


class Errors:
    """The errors of a network's nodes, found in the order of the nodes while their ranges are.

    Args:
        network: in the precision of the bounds.
        images: [count, *shape].
        radii: [count].
        ball: the norm and the box.
        values: of every node at the images.
        stretches: of the nodes; None: only what needs none.

    Attributes:
        nodes: those found so far.
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
        self._radii, self._ball = radii, ball
        exact = images.dtype == torch.float64
        self._own = 2.0 * SAFETY * path_terms(network)[-1] * UNIT if exact else 0.0
        self._local = LocalErrors(network.arithmetic, self._own, radii)
        self._ranges: list[Bounds] = []
        self._sizes: list[Tensor] = []
        self._left_out: dict[int, Tensor] = {}
        self.nodes: list[NodeErrors] = []

    def start(self, bounds: Bounds) -> None:
        """Begin with the range of the pixels, which are cast to the model's precision."""
        arithmetic = self._network.arithmetic
        size = torch.maximum(*(x.abs() for x in bounds))
        local = arithmetic.unit * size + arithmetic.smallest
        found = NodeErrors(local, local)
        if self._stretches is not None:
            rho = torch.linalg.vector_norm(local.flatten(1), dim=1)
            found = NodeErrors(local, local, local, rho)
        self.nodes.append(found)
        self._note(0, bounds)

    def enter(self, index: int) -> Tensor | None:
        """Return by how much bounds of a node's neurons must be moved outwards; None: not at all.

        That is how far evaluation may be from what the node's inputs give, [count, *shape].
        """
        node = self._network.nodes[index]
        local = self._local.of(node, [self._read(node, i) for i in node.inputs])
        found = NodeErrors(local, self._carry(node, local))
        if self._stretches is not None:
            off, rho = self._deviate(index, node, local)
            found = dataclasses.replace(found, off=off, rho=rho)
        self.nodes.append(found)
        return local if found.carried is None else found.carried

    def leave(self, index: int, low: Tensor, high: Tensor) -> Bounds:
        """Take note of the range of a node's evaluated neurons, and return it.

        Where stretches are known it is cut with what they allow.
        """
        if self._stretches is not None:
            move = self._stretches.nodes[index] * self._radii + self.rho(index)
            move, center = columns(move, low), self._values[index]
            low, high = torch.maximum(low, center - move), torch.minimum(high, center + move)
        self._note(index, (low, high))
        return low, high

    def _note(self, index: int, bounds: Bounds) -> None:
        self._ranges.append(bounds)
        size = torch.maximum(bounds[0].abs(), bounds[1].abs())
        node = self._network.nodes[index]
        left_out = [self._left_out[i] for i in node.inputs if i in self._left_out]
        if isinstance(node, LogSoftmax):
            left_out.append(logarithm(size))
        if left_out:
            # The model's own values are without what log-softmaxes took off.
            factor = node.scale.abs() if isinstance(node, Scale) else 1.0
            self._left_out[index] = torch.stack(left_out).sum(dim=0) * factor
            size = size + self._left_out[index]
        self._sizes.append(size)

    def neurons(self, index: int) -> Tensor:
        """Return how far a node's evaluated neurons may be from real arithmetic, elementwise."""
        off = self.nodes[index].off
        assert off is not None
        return off

    def rho(self, index: int) -> Tensor:
        """Return how far they may be from it together, in L2, [count]."""
        rho = self.nodes[index].rho
        assert rho is not None
        return rho

    @property
    def logits(self) -> Tensor:
        """The logits of the images in real arithmetic, [count, classes]."""
        return self._values[-1]

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
        carried = self.nodes[source].carried
        read = read if carried is None else read + carried
        if isinstance(node, MaxPool):
            read = windows(node, read, 0.0)
        local = self.nodes[index].local
        own = 0.0 if local is None else local
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
        node, found = self._network.nodes[last], self.nodes[last]
        size = self._sizes[last]
        if self._network.shifted:
            size = size + logarithm(size)
        # Logits are compared in float32, whatever they were computed in.
        after = AFTER * max(self._network.arithmetic.unit, SINGLE.unit) * size
        # Numbers that are infinite, or none any more, need not show in the ranges behind them.
        after = after + OVERFLOW * self._local.overflows[:, None]
        carried = found.local if found.carried is None else found.carried
        errors = after if carried is None else after + carried
        own = after + found.local if isinstance(node, Dense) and found.local is not None else after
        if self._stretches is None:
            return Spare(errors, own, None, None, ranges)
        read = self.nodes[node.inputs[0] if isinstance(node, Dense) else last]
        return Spare(errors, own, read.off, read.rho, ranges)

    def _read(self, node: Node, source: int) -> Read:
        """Return what is known of what a node reads."""
        pixels, far, norm = self._is_image(source), None, 2.0
        if pixels:
            far, norm = self._radii, self._ball.norm
        elif self._stretches is not None and isinstance(node, Dense):
            far = self._stretches.nodes[source] * self._radii + self.rho(source)
        low, center = self._ranges[source][0], self._values[source]
        return Read(self._sizes[source], low, center, far, norm, pixels)

    def _is_image(self, index: int) -> bool:
        while isinstance(self._network.nodes[index], Flatten):
            index = self._network.nodes[index].inputs[0]
        return index == 0

    def _carry(self, node: Node, local: Tensor | None) -> Tensor | None:
        """Return the errors that have come along to a node's neurons; None where planes took all.

        Between two nonlinear nodes there is mostly one affine one, and nothing comes along.
        """
        if isinstance(node, Activation | MaxPool):
            return None
        total = local
        for carried in (self.nodes[i].carried for i in node.inputs):
            if carried is not None:
                along = _along(node, carried)
                total = along if total is None else total + along
        return total

    def _deviate(self, index: int, node: Node, local: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return how far evaluated neurons may be from real arithmetic, each and in L2."""
        assert self._stretches is not None
        first, *others = (self.rho(i) for i in node.inputs)
        rho = self._stretches.own[index] * sum(others, first)
        off = self._moved(node)
        if local is not None:
            off = local + off
            rho = torch.linalg.vector_norm(local.flatten(1), dim=1) + rho
        return off, torch.minimum(rho, torch.linalg.vector_norm(off.flatten(1), dim=1))

    def _moved(self, node: Node) -> Tensor:
        """Return how far a node's neurons may be from real arithmetic by what it reads."""
        first, *others = (self.neurons(i) for i in node.inputs)
        match node:
            case Convolution() | Dense():
                rho = self.rho(node.inputs[0])
                moved = node.lengths * rho[:, None]
                if isinstance(node, Dense):
                    return torch.minimum(moved, functional.linear(first, node.sizes))
                return moved[:, :, None, None].expand(-1, *node.shape)
            case Scale():
                return first * node.scale.abs()
            case Flatten():
                return first.reshape(len(first), *node.shape)
            case Sum():
                return first + others[0]
            case MaxPool():
                return functional.max_pool2d(first, node.size, node.stride, node.padding)
            case Activation() if node.function == "relu" and not node.slope:
                # A neuron that is off is exactly zero.
                return first * (self._ranges[node.inputs[0]][1] > 0)
        return first


def _along(node: Node, carried: Tensor) -> Tensor:
    """Return what errors of a linear node's inputs are in its neurons."""
    match node:
        case Flatten():
            return carried.reshape(len(carried), *node.shape)
        case Scale():
            return carried * node.scale.abs()
        case Convolution() | Dense():
            return through(node, carried, node.sizes, None)
    return carried


def _weighed(node: Activation | MaxPool, slopes: Tensor, read: Tensor) -> Tensor:
    """Return ``|slopes| read`` for each of a node's neurons, added up over a pool's windows."""
    if isinstance(node, Activation):
        return slopes.abs() * read
    if tiles(node):
        return (windows(node, slopes.abs(), 0.0) * read).sum(dim=2)
    count, channels = read.shape[:2]
    laid = slopes.abs().reshape(count, channels, -1, *node.shape[1:])
    return (laid * read).sum(dim=2)
