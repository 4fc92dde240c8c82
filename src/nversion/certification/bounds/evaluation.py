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
from nversion.certification.ball import per_image
from nversion.certification.bounds.intervals import Bounds
from nversion.certification.bounds.local_errors import (
    LocalErrors,
    NodeErrors,
    Read,
    carried_on,
    logarithm,
)
from nversion.certification.bounds.spare import Spare
from nversion.certification.lipschitz.moves import Stretches
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
)
from nversion.certification.planes.planes import Planes
from nversion.certification.planes.pools import windows
from nversion.certification.planes.relax import weighed_slopes
from nversion.certification.region import Region
from nversion.certification.rounding import SAFETY, UNIT, path_terms

__all__ = ["Errors"]

AFTER = 4.0
"""Units in the last place of the logits, for what may follow them: a log-softmax, comparisons."""


class Errors:
    """The errors of a network's nodes, found in the order of the nodes while their ranges are.

    Args:
        network: in the precision of the bounds.
        region: the images and the balls around them.
        values: of every node at the images.
        stretches: of the nodes; None: only what needs none.

    Attributes:
        nodes: those found so far.
    """

    def __init__(
        self,
        network: Network,
        region: Region,
        values: list[Tensor],
        stretches: Stretches | None,
    ) -> None:
        self._network, self._values, self._stretches = network, values, stretches
        self._region = region
        self._own = 2.0 * SAFETY * path_terms(network)[-1] * UNIT if region.exact else 0.0
        self._local = LocalErrors(network.arithmetic, self._own, region.radii)
        self._ranges: list[Bounds] = []
        self._sizes: list[Tensor] = []
        self._left_out: dict[int, Tensor] = {}
        self.nodes: list[NodeErrors] = []

    def start(self) -> Bounds:
        """Begin with the range of the pixels, which are cast to the model's precision."""
        bounds = self._region.sides()
        arithmetic = self._network.arithmetic
        size = torch.maximum(*(x.abs() for x in bounds))
        local = arithmetic.unit * size + arithmetic.smallest
        found = NodeErrors(local, local)
        if self._stretches is not None:
            rho = torch.linalg.vector_norm(local.flatten(1), dim=1)
            found = NodeErrors(local, local, local, rho)
        self.nodes.append(found)
        self._note(0, bounds)
        return bounds

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
            move = self._stretches.nodes[index] * self._region.radii + self.rho(index)
            move, center = per_image(move, low), self._values[index]
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
        below = weighed_slopes(node, lower, read) + own + self._own * planes.lower_shift.abs()
        above = weighed_slopes(node, upper, read) + own + self._own * planes.upper_shift.abs()
        together = planes.together
        if together is not None:
            slopes = planes.lower + together.rise
            room = together.ball.room.reshape(above.shape)
            shift = self._own * (together.upper_shift.abs() + 2.0 * room)
            more = weighed_slopes(node, slopes, read) + own + shift
            together = dataclasses.replace(together, upper_shift=together.upper_shift + more)
        curve = isinstance(node, Activation) and node.function != "relu"
        return dataclasses.replace(
            planes,
            lower_shift=planes.lower_shift - below,
            upper_shift=planes.upper_shift + above,
            together=together,
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
            far, norm = self._region.radii, self._region.norm
        elif self._stretches is not None and isinstance(node, Dense):
            far = self._stretches.nodes[source] * self._region.radii + self.rho(source)
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
                along = carried_on(node, carried)
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
