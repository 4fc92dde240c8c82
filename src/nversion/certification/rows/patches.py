"""Linear functions of small windows of a layer: rows for every position of a convolution at once.

The neuron of a convolution reads a window, and through earlier convolutions and pools a larger
window; all others have the coefficient zero. Rows of the same channel at different positions have
windows of the same size, ``kernel`` wide and ``stride`` apart, the first one starting ``padding``
before the border. So the rows of a whole layer are one tensor [count, rows, positions, window],
and a step back through a convolution is one matrix product with a small constant matrix.

Coefficients that fall outside the layer are kept zero.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor
from torch.nn import functional

from nversion.certification.network.graph import (
    Activation,
    Convolution,
    MaxPool,
    Node,
    Scale,
    tiles,
)
from nversion.certification.planes.relax import Planes
from nversion.certification.rows.dense import DenseRows

__all__ = [
    "BLOCK",
    "FILTERS",
    "Geometry",
    "PatchRows",
    "convolution_rows",
    "dilated",
    "mixed_filters",
    "own_geometry",
    "through_two",
    "ungrouped",
    "window_matrix",
    "windows_of",
]

WASTE = 6.0
"""Through a convolution as one matrix product, unless that multiplies this many times more."""

BLOCK = 1_000_000
"""Elements of a temporary tensor, about: small enough for the processor's cache, and for memory
that the allocator hands out again; fresh memory costs several times the arithmetic."""


FILTERS = 4_000_000
"""Elements of the filters that go through two convolutions at once, at the most."""


@dataclasses.dataclass(frozen=True)
class Geometry:
    """Where the windows lie, (vertical, horizontal).

    Attributes:
        grid: how many positions.
        kernel: the size of a window.
        stride: from one window to the next.
        padding: how far the first window starts before the border.
    """

    grid: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]

    def before(self, node: Convolution | MaxPool) -> Geometry:
        """Return the geometry over the inputs of a convolution or pool."""
        size = node.weight.shape[2:] if isinstance(node, Convolution) else node.size
        dilation = node.dilation if isinstance(node, Convolution) else (1, 1)
        kernel, stride, padding = [], [], []
        for i in range(2):
            reach = dilation[i] * (size[i] - 1) + 1
            kernel.append((self.kernel[i] - 1) * node.stride[i] + reach)
            stride.append(self.stride[i] * node.stride[i])
            padding.append(self.padding[i] * node.stride[i] + node.padding[i])
        return Geometry(
            self.grid, (kernel[0], kernel[1]), (stride[0], stride[1]), (padding[0], padding[1])
        )

    def inside(self, shape: tuple[int, ...]) -> bool:
        """Tell whether all windows lie within a layer of this shape."""
        return all(
            self.padding[i] == 0
            and (self.grid[i] - 1) * self.stride[i] + self.kernel[i] <= shape[1 + i]
            for i in range(2)
        )

    def covers(self, shape: tuple[int, ...]) -> bool:
        """Tell whether windows are so large that rows over the whole layer are as cheap."""
        return self.kernel[0] * self.kernel[1] >= 0.7 * shape[1] * shape[2]

    def cut(self, x: Tensor) -> Tensor:
        """Return the windows of maps [count, channels, height, width], zero outside.

        Returns:
            [count, positions, channels * kernel].
        """
        far = [
            (self.grid[i] - 1) * self.stride[i] + self.kernel[i] - self.padding[i] - x.shape[2 + i]
            for i in range(2)
        ]
        vertical, horizontal = self.padding
        if any(self.padding) or far[0] > 0 or far[1] > 0:
            x = functional.pad(x, (horizontal, max(far[1], 0), vertical, max(far[0], 0)))
        x = x.unfold(2, self.kernel[0], self.stride[0]).unfold(3, self.kernel[1], self.stride[1])
        x = x[:, :, : self.grid[0], : self.grid[1]].permute(0, 2, 3, 1, 4, 5)
        return x.reshape(len(x), self.grid[0] * self.grid[1], -1)


@dataclasses.dataclass(frozen=True)
class PatchRows:
    """Rows over windows of a node.

    Attributes:
        a: coefficients [count, rows, positions, channels * kernel].
        constant: [count, rows, positions].
        channels: of the node.
        geometry: of the windows.
    """

    a: Tensor
    constant: Tensor
    channels: int
    geometry: Geometry

    def plus(self, other: PatchRows) -> PatchRows:
        """Return the sum of two branches' rows, the smaller windows widened to the larger."""
        large, small = self, other
        if small.geometry.kernel[0] > large.geometry.kernel[0]:
            large, small = small, large
        inner, outer = small.geometry, large.geometry
        first = [outer.padding[i] - inner.padding[i] for i in range(2)]
        last = [outer.kernel[i] - inner.kernel[i] - first[i] for i in range(2)]
        if outer.stride != inner.stride or min(*first, *last) < 0:
            raise ValueError("windows of two branches do not fit into each other")
        windows = small.a.reshape(*small.a.shape[:3], small.channels, *inner.kernel)
        widened = functional.pad(windows, (first[1], last[1], first[0], last[0]))
        return dataclasses.replace(
            large,
            a=large.a + widened.flatten(3),
            constant=large.constant + small.constant,
        )

    def dense(self, shape: tuple[int, ...]) -> DenseRows:
        """Return the same rows over the whole node, row by row and position by position."""
        geometry = self.geometry
        count, rows, positions = self.constant.shape
        sizes = [
            max(
                (geometry.grid[i] - 1) * geometry.stride[i] + geometry.kernel[i],
                geometry.padding[i] + shape[1 + i],
            )
            for i in range(2)
        ]
        out = self.a.new_zeros(count, rows, positions, shape[0], *sizes)
        windows = self.a.reshape(count, rows, positions, shape[0], *geometry.kernel)
        for position in range(positions):
            y = position // geometry.grid[1] * geometry.stride[0]
            x = position % geometry.grid[1] * geometry.stride[1]
            out[:, :, position, :, y : y + geometry.kernel[0], x : x + geometry.kernel[1]] = (
                windows[:, :, position]
            )
        top, left = geometry.padding
        out = out[..., top : top + shape[1], left : left + shape[2]]
        return DenseRows(out.reshape(count, rows * positions, *shape), self.constant.flatten(1))

    def back(self, node: Node, planes: Planes | None, shape: tuple[int, ...]) -> PatchRows:
        """Return the rows over the inputs of a node, of which each has `shape`."""
        if isinstance(node, Convolution):
            return self._convolution(node, shape)
        if isinstance(node, Scale):
            scale, shift = (t.expand(node.shape)[None] for t in (node.scale, node.shift))
            added = (self.a * self.geometry.cut(shift)[:, None]).sum(dim=3)
            a = self.a * self.geometry.cut(scale)[:, None]
            return dataclasses.replace(self, a=a, constant=self.constant + added)
        if planes is None:
            raise TypeError(f"no rule for {type(node).__name__}")
        if isinstance(node, Activation):
            return self._activation(planes)
        if isinstance(node, MaxPool) and tiles(node):
            return self._pool(node, planes)
        raise TypeError(f"no rule for {type(node).__name__}")

    def _convolution(self, node: Convolution, shape: tuple[int, ...]) -> PatchRows:
        kernel = self.geometry.kernel
        geometry = self.geometry.before(node)
        leading = self.a.shape[:3]
        area = kernel[0] * kernel[1]
        waste = geometry.kernel[0] * geometry.kernel[1] / node.weight[0, 0].numel()
        bias = node.bias.repeat_interleave(area)
        constant = self.constant + self.a @ bias
        if waste * node.groups <= WASTE:
            a = self.a @ window_matrix(node, kernel)
        else:
            maps = self.a.reshape(-1, self.channels, *kernel)
            a = window_transpose(node, maps).reshape(*leading, -1)
        if not geometry.inside(shape):
            a = a * geometry.cut(a.new_ones(1, *shape))[:, None]
        return PatchRows(a, constant, shape[0], geometry)

    def _shifted(self, planes: Planes, negative: Tensor) -> Tensor:
        """Return the constants with what the planes' shifts add."""
        added = negative * cut_once(planes, "lift", self.geometry)
        if not planes.slight:
            added.addcmul_(self.a, cut_once(planes, "lower_shift", self.geometry))
        return self.constant + added.sum(dim=3)

    def _activation(self, planes: Planes) -> PatchRows:
        negative = self.a.clamp(max=0.0)
        constant = self._shifted(planes, negative)
        lower, rise = (cut_once(planes, name, self.geometry) for name in ("lower", "rise"))
        a = (self.a * lower).addcmul_(negative, rise)
        return dataclasses.replace(self, a=a, constant=constant)

    def _pool(self, node: MaxPool, planes: Planes) -> PatchRows:
        negative = self.a.clamp(max=0.0)
        constant = self._shifted(planes, negative)
        geometry = self.geometry.before(node)
        (tall, wide), (down, across) = self.geometry.kernel, node.size

        def lifted(x: Tensor) -> Tensor:
            return x.reshape(*x.shape[:3], self.channels, tall, 1, wide, 1)

        def tiled(name: str) -> Tensor:
            x = cut_once(planes, name, geometry)
            return x.reshape(*x.shape[:3], self.channels, tall, down, wide, across)

        a = (lifted(self.a) * tiled("lower")).addcmul_(lifted(negative), tiled("rise"))
        return PatchRows(a.flatten(3), constant, self.channels, geometry)


def cut_once(planes: Planes, name: str, geometry: Geometry) -> Tensor:
    """Return the windows of one of the planes' tensors, [count, 1, positions, window].

    Rows are taken back in blocks, all with the same windows; cutting is as dear as multiplying.
    """
    key = (name, geometry)
    if key not in planes.cuts:
        planes.cuts[key] = geometry.cut(getattr(planes, name))[:, None]
    return planes.cuts[key]


def window_transpose(node: Convolution, maps: Tensor) -> Tensor:
    """Take windows [rows, out channels, kernel] back through a convolution, borders ignored."""
    return functional.conv_transpose2d(
        maps, node.weight, None, node.stride, 0, 0, node.groups, node.dilation
    )


def window_matrix(node: Convolution, kernel: tuple[int, int]) -> Tensor:
    """Return :func:`window_transpose` as a matrix, [channels * kernel, channels' * kernel']."""
    size = node.shape[0] * kernel[0] * kernel[1]
    identity = torch.eye(size, dtype=node.weight.dtype, device=node.weight.device)
    maps = identity.reshape(size, node.shape[0], *kernel)
    return window_transpose(node, maps).reshape(size, -1)


def convolution_rows(
    node: Convolution, channels: slice, count: int, shape: tuple[int, ...]
) -> PatchRows:
    """Return rows for the neurons of some of a convolution's channels, over the node before it.

    Two rows a channel, as in :func:`~nversion.certification.rows.dense.stacked_rows`.
    """
    weight, bias = ungrouped(node)[channels], node.bias[channels]
    weight = dilated(node, weight)
    geometry = own_geometry(node)
    rows = torch.cat([weight, -weight]).flatten(1)
    constant = torch.cat([bias, -bias])
    positions = node.shape[1] * node.shape[2]
    a = rows[None, :, None].expand(count, -1, positions, -1)
    constant = constant[None, :, None].expand(count, -1, positions)
    if not geometry.inside(shape):
        a = a * geometry.cut(weight.new_ones(1, *shape))[:, None]
    return PatchRows(a, constant, shape[0], geometry)


def own_geometry(node: Convolution) -> Geometry:
    """Return the windows that a convolution itself reads."""
    one = Geometry((node.shape[1], node.shape[2]), (1, 1), (1, 1), (0, 0))
    return one.before(node)


def dilated(node: Convolution, weight: Tensor) -> Tensor:
    """Return a weight with the gaps of its dilation filled with zeros."""
    if node.dilation == (1, 1):
        return weight
    kernel = own_geometry(node).kernel
    dilated = weight.new_zeros(*weight.shape[:2], *kernel)
    dilated[:, :, :: node.dilation[0], :: node.dilation[1]] = weight
    return dilated


def through_two(
    node: Convolution, planes: Planes, inner: Convolution, shape: tuple[int, ...]
) -> PatchRows:
    """Return rows for all neurons of a convolution, over the inputs of the one before it.

    The same as going back step by step, but faster where a layer has many channels: the first
    step starts from the same weights w at every position, and with slopes c + d where a
    coefficient is negative and c - d where it is positive,

        w c - |w| d   (lower bounds)   and   -w c - |w| d   (negated upper bounds),

    so two products of the weights with the slopes' windows serve both, and the rows over the
    activation itself, many times larger than what comes out, are never written down.

    Args:
        node: the convolution that is bounded.
        planes: of the activation that it reads.
        inner: the convolution that the activation reads.
        shape: of the inner convolution's input.
    """
    kernels = dilated(node, ungrouped(node))
    weight = kernels.flatten(1)
    own = own_geometry(node)
    outer = own.before(inner)
    matrix = window_matrix(inner, own.kernel)
    half = planes.rise / 2
    middle = planes.lower + half
    bias = inner.bias[:, None, None]

    def summed(x: Tensor, w: Tensor) -> Tensor:
        return functional.conv2d(x, w, None, node.stride, node.padding).flatten(2)

    size, negative, positive = kernels.abs(), kernels.clamp(max=0.0), kernels.clamp(min=0.0)
    added = summed(middle * bias, kernels) + node.bias[:, None]
    taken = summed(half * bias, size)
    low = added - taken + summed(planes.upper_shift, negative)
    low = low + summed(planes.lower_shift, positive)
    high = -added - taken - summed(planes.upper_shift, positive)
    high = high - summed(planes.lower_shift, negative)
    if weight.numel() * matrix.shape[1] <= FILTERS:
        taken_a = windows_of(half, node, mixed_filters(size, matrix))
        a = _both_signs(
            windows_of(middle, node, mixed_filters(kernels, matrix)), taken_a, len(weight)
        )
    else:
        middle_w, half_w = (own.cut(x).transpose(1, 2) for x in (middle, half))
        a = _both_products(weight, weight.abs(), middle_w, half_w, matrix)
    a = a.flatten(1, 2)
    if not outer.inside(shape):
        a = a * outer.cut(a.new_ones(1, *shape))[:, None]
    return PatchRows(a, torch.cat([low, high], dim=1), shape[0], outer)


def mixed_filters(kernels: Tensor, matrix: Tensor) -> Tensor:
    """Return filters that map slopes to the coefficients of the pixels behind them.

    A coefficient is the sum over a window of weight times slope times what one more step back
    makes of that neuron, so a convolution gives it for all positions.

    Args:
        kernels: of the convolution that reads the slopes, [rows, channels, height, width].
        matrix: the step back, [channels * height * width, pixels].

    Returns:
        [rows * pixels, channels, height, width].
    """
    mixed = kernels.flatten(1)[:, None] * matrix.t()
    return mixed.reshape(-1, *kernels.shape[1:])


def windows_of(x: Tensor, node: Convolution, filters: Tensor) -> Tensor:
    """Return what a convolution with other filters makes of its inputs, as one matrix product.

    Args:
        x: [count, channels, height, width].
        node: the convolution, whose stride and padding count.
        filters: [many, channels, height, width], the gaps of a dilation filled.

    Returns:
        [count, many, positions].
    """
    windows = functional.unfold(x, filters.shape[2:], 1, node.padding, node.stride)
    return filters.flatten(1) @ windows


def _both_signs(middle: Tensor, half: Tensor, rows: int) -> Tensor:
    """Return ``middle - half`` and ``-middle - half``, [count, 2, rows, positions, pixels].

    Args:
        middle: [count, rows * pixels, positions]; overwritten.
        half: the same.
        rows: how many.
    """
    middle, half = (x.reshape(len(x), rows, -1, x.shape[2]) for x in (middle, half))
    count, _, pixels, positions = middle.shape
    out = middle.new_empty(count, 2, rows, positions, pixels)
    torch.sub(middle, half, out=out[:, 0].transpose(2, 3))
    torch.sub(middle.neg_(), half, out=out[:, 1].transpose(2, 3))
    return out


def _both_products(
    weight: Tensor, size: Tensor, middle: Tensor, half: Tensor, matrix: Tensor
) -> Tensor:
    """Return ``w c M - |w| d M`` and ``-w c M - |w| d M``, [count, 2, rows, positions, pixels].

    Args:
        weight: w [rows, window].
        size: |w|.
        middle: the slopes c at each position, [count, window, positions].
        half: d.
        matrix: M [window, pixels].
    """
    count, window, positions = middle.shape
    rows, pixels = len(weight), matrix.shape[1]
    out = weight.new_empty(count, 2, rows, positions, pixels)
    # Slopes into the weights or into the matrix, whichever is the smaller.
    narrow = rows <= pixels
    if narrow:
        middle, half = (x.transpose(1, 2).contiguous()[:, None] for x in (middle, half))
    else:
        middle, half = (x.contiguous() for x in (middle, half))
    block = max(1, BLOCK // (window * min(rows, pixels) * count))
    for start in range(0, positions, block):
        part = slice(start, min(start + block, positions))
        products = []
        for w, slopes in ((weight, middle), (size, half)):
            if narrow:
                product = (w[:, None] * slopes[:, :, part]) @ matrix
            else:
                spread = slopes[:, :, part, None] * matrix[:, None]
                product = (w @ spread.flatten(2)).reshape(count, rows, -1, pixels)
            products.append(product)
        torch.sub(products[0], products[1], out=out[:, 0, :, part])
        torch.sub(products[0].neg_(), products[1], out=out[:, 1, :, part])
    return out


def ungrouped(node: Convolution) -> Tensor:
    """Return a convolution's weight with zeros for the channels that its groups do not read."""
    if node.groups == 1:
        return node.weight
    out, size = node.weight.shape[:2]
    full = node.weight.new_zeros(out, size * node.groups, *node.weight.shape[2:])
    each = out // node.groups
    for group in range(node.groups):
        rows = slice(group * each, (group + 1) * each)
        full[rows, group * size : (group + 1) * size] = node.weight[rows]
    return full
