"""Linear functions of a whole layer, one row per bounded quantity, and their way back.

A row says: the quantity is at least ``sum_i a_i x_i + constant`` for the neurons x of one node.
Each step rewrites x by the node's own inputs: affine maps exactly, nonlinear ones by the plane
below where ``a_i >= 0`` and the plane above where ``a_i < 0`` (Fast-Lin, Weng et al. 2018; CROWN,
Zhang et al. 2018). Convolutions go back as transposed convolutions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from nversion.certification.ball import CACHED, weighted_sums
from nversion.certification.network.graph import (
    Activation,
    Convolution,
    Dense,
    Flatten,
    MaxPool,
    Node,
    Scale,
    tiles,
)
from nversion.certification.planes.planes import Planes

__all__ = [
    "DenseRows",
    "both_constants",
    "both_slopes",
    "output_padding",
    "stacked_rows",
    "through_dense",
]


@dataclasses.dataclass(frozen=True)
class DenseRows:
    """Rows over all neurons of a node.

    Attributes:
        a: coefficients [count, rows, *shape].
        constant: [count, rows].
    """

    a: Tensor
    constant: Tensor

    def plus(self, other: DenseRows) -> DenseRows:
        """Return the sum of two branches' rows."""
        return DenseRows(self.a + other.a, self.constant + other.constant)

    def back(self, node: Node, planes: Planes | None, shape: tuple[int, ...]) -> DenseRows:
        """Return the rows over the node's inputs, of which each has `shape`."""
        match node:
            case Dense():
                return DenseRows(self.a @ node.weight, self.constant + self.a @ node.bias)
            case Flatten():
                return DenseRows(self.a.reshape(*self.a.shape[:2], *shape), self.constant)
            case Convolution():
                return self._convolution(node, shape)
            case Scale():
                shift = node.shift.expand(node.shape).reshape(-1)
                constant = self.constant + self.a.flatten(2) @ shift
                return DenseRows(self.a * node.scale, constant)
        if planes is None:
            raise TypeError(f"no rule for {type(node).__name__}")
        if isinstance(node, Activation):
            return self._activation(planes)
        if isinstance(node, MaxPool):
            return self._pool(node, planes, shape)
        raise TypeError(f"no rule for {type(node).__name__}")

    def _convolution(self, node: Convolution, shape: tuple[int, ...]) -> DenseRows:
        count, rows = self.a.shape[:2]
        stacked = self.a.reshape(count * rows, *node.shape)
        out = transposed(node, stacked, shape)
        constant = self.constant + self.a.sum(dim=(3, 4)) @ node.bias
        return DenseRows(out.reshape(count, rows, *shape), constant)

    def _above(self, planes: Planes, negative: Tensor) -> tuple[Tensor, Tensor]:
        """Return the constants with what the shifts add, and the rises that the rows take.

        The rises have an axis for the rows, of size 1 where all take the same.
        """
        flat, rise = negative.flatten(2), planes.rise[:, None]
        added = weighted_sums(flat, planes.lift.flatten(1))
        above = planes.together
        if above is not None:
            gain, better = above.ball.gain(flat)
            lift = above.upper_shift - planes.lower_shift
            together = weighted_sums(flat, lift.flatten(1)) + gain
            added = torch.where(better, together, added)
            if bool(better.all()):
                rise = above.rise[:, None]
            elif bool(better.any()):
                chosen = better.reshape(*better.shape, *([1] * (rise.ndim - 2)))
                rise = torch.where(chosen, above.rise[:, None], rise)
        below = weighted_sums(self.a.flatten(2), planes.lower_shift.flatten(1))
        return self.constant + below + added, rise

    def _activation(self, planes: Planes) -> DenseRows:
        negative = self.a.clamp(max=0.0)
        constant, rise = self._above(planes, negative)
        a = (self.a * planes.lower[:, None]).addcmul_(negative, rise)
        return DenseRows(a, constant)

    def _pool(self, node: MaxPool, planes: Planes, shape: tuple[int, ...]) -> DenseRows:
        negative = self.a.clamp(max=0.0)
        constant, rise = self._above(planes, negative)
        count, rows, channels, height, width = self.a.shape
        if not tiles(node):
            flat, least = (x.reshape(count, rows, channels, 1, -1) for x in (self.a, negative))
            a = flat * planes.lower[:, None] + least * rise
            a = functional.fold(
                a.reshape(count * rows, channels * a.shape[3], -1),
                shape[1:],
                node.size,
                1,
                node.padding,
                node.stride,
            )
            return DenseRows(a.reshape(count, rows, *shape), constant)
        down, across = node.size
        tall, wide = height * down, width * across
        # Inputs that no window reaches, at the far borders, have no part.
        a = self.a.new_zeros(count, rows, *shape)
        for i in range(down):
            for j in range(across):
                place = (..., slice(i, tall, down), slice(j, wide, across))
                lower = planes.lower[:, None][place]
                a[place] = (self.a * lower).addcmul_(negative, rise[place])
        return DenseRows(a, constant)


def transposed(node: Convolution, maps: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Apply the transpose of a convolution, in the way that was measured to be fastest.

    Libraries are slow at few output channels and in float64; there, a matrix product and a fold
    are several times faster.

    Args:
        node: the convolution.
        maps: [rows, *shape of its output].
        shape: of its input.
    """
    height, width = node.weight.shape[2:]
    if node.groups == 1 and (maps.dtype == torch.float64 or shape[0] <= 2):
        matrix = node.weight.flatten(1).t()
        kernel = (height, width)
        size = max(1, CACHED // (len(matrix) * node.shape[1] * node.shape[2]))
        folded = [
            functional.fold(
                matrix @ part, shape[1:], kernel, node.dilation, node.padding, node.stride
            )
            for part in torch.split(maps.flatten(2), size)
        ]
        return torch.cat(folded)
    padding = [node.dilation[i] * (node.weight.shape[2 + i] - 1) - node.padding[i] for i in (0, 1)]
    small = node.groups == 1 and maps.shape[1] <= 16
    if small and node.stride == (1, 1) and min(padding) >= 0:
        weight = node.weight.flip(2, 3).transpose(0, 1)
        return functional.conv2d(maps, weight, None, 1, padding, node.dilation)
    return functional.conv_transpose2d(
        maps,
        node.weight,
        None,
        node.stride,
        node.padding,
        output_padding(node, shape),
        node.groups,
        node.dilation,
    )


def output_padding(node: Convolution, shape: tuple[int, ...]) -> tuple[int, int]:
    """Return how many rows and columns at the far border a transposed convolution must add."""
    extra = []
    for axis in range(2):
        reach = node.dilation[axis] * (node.weight.shape[2 + axis] - 1) + 1
        covered = (node.shape[1 + axis] - 1) * node.stride[axis] - 2 * node.padding[axis] + reach
        extra.append(shape[1 + axis] - covered)
    return extra[0], extra[1]


def through_dense(weight: Tensor, bias: Tensor, planes: Planes, inner: Dense) -> DenseRows:
    """Return rows for neurons of a dense layer, over the inputs of the dense layer before it.

    The same as going back step by step. With slopes ``c + d`` where a weight is negative and
    ``c - d`` where it is positive, the rows are ``w c V - |w| d V`` (lower bounds) and
    ``-w c V - |w| d V`` (negated upper bounds), V being the inner weights. Image by image, the
    first product needs only the neurons that may be on, the second only those that may be either:
    mostly less than half of the multiplications.

    Args:
        weight: of the neurons that are bounded, [rows, neurons before].
        bias: [rows].
        planes: of the activation that they read, [count, neurons before].
        inner: the layer that the activation reads.
    """
    size, (middle, half) = weight.abs(), both_slopes(planes)
    count, rows = len(half), len(weight)
    a = weight.new_empty(count, 2, rows, inner.weight.shape[1])
    # Rows are picked several times faster than columns.
    columns, sizes = (x.t().contiguous() for x in (weight, size))
    for image in range(count):
        products = []
        for w, slopes in ((columns, middle[image]), (sizes, -half[image])):
            used = slopes.nonzero().squeeze(1)
            chosen = w.index_select(0, used).mul_(slopes[used, None])
            products.append(chosen.t() @ inner.weight.index_select(0, used))
        torch.add(products[1], products[0], out=a[image, 0])
        torch.sub(products[1], products[0], out=a[image, 1])

    def summed(x: Tensor, w: Tensor) -> Tensor:
        return x @ w.t()

    constant = both_constants(planes, (middle, half), inner.bias, weight, bias, summed)
    return DenseRows(a.flatten(1, 2), constant)


def both_slopes(planes: Planes) -> tuple[Tensor, Tensor]:
    """Return c and d: the slopes are ``c - d`` below and ``c + d`` above."""
    half = planes.rise / 2
    return planes.lower + half, half


def both_constants(
    planes: Planes,
    slopes: tuple[Tensor, Tensor],
    inner: Tensor,
    weight: Tensor,
    bias: Tensor,
    summed: Callable[[Tensor, Tensor], Tensor],
) -> Tensor:
    """Return the constants of a layer's rows that have gone through an activation and a layer.

    Args:
        planes: of the activation that the layer reads, [count, *shape].
        slopes: its c and d (:func:`both_slopes`).
        inner: the bias of the layer that the activation reads, which broadcasts to these.
        weight: of the layer's neurons.
        bias: likewise.
        summed: adds up values of the activation's neurons, [count, *shape], with such weights.

    Returns:
        Those of the lower bounds, then those of the negated upper bounds, in the first axis of
        neurons.
    """
    middle, half = slopes
    positive, negative = weight.clamp(min=0.0), weight.clamp(max=0.0)
    added = summed(middle * inner, weight) + bias
    taken = summed(half * inner, weight.abs())
    upper, lower = planes.upper_shift, planes.lower_shift
    low = added - taken + summed(upper, negative) + summed(lower, positive)
    high = -added - taken - summed(upper, positive) - summed(lower, negative)
    return torch.cat([low, high], dim=1)


def stacked_rows(weight: Tensor, bias: Tensor, count: int) -> DenseRows:
    """Return rows for the lower bounds of `weight x + bias` and of its negative.

    Args:
        weight: [rows, *shape]; the same for all images.
        bias: [rows].
        count: of images.

    Returns:
        2 rows for each row, first all lower bounds, then all negated upper bounds.
    """
    a = torch.cat([weight, -weight])
    constant = torch.cat([bias, -bias])
    return DenseRows(a.expand(count, *a.shape), constant.expand(count, -1))
