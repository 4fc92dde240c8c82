"""Bounds from the range of the Jacobian, neuron by neuron.

After Fast-Lip (Weng et al. 2018) and RecurJac (Zhang et al. 2019).
Along the straight line from an image x to x + d, which stays in the ball and in the box, a neuron
f changes by the mean of its gradient on the way, times d. If every derivative by pixel i stays
within [lo_i, hi_i] on the whole set, then

    f(x + d) - f(x)  >=  sum_i (lo_i d_i if d_i > 0 else hi_i d_i),

which is minimised over the set exactly as a linear function is, with one item for each pixel and
direction. In L1 this is the largest |derivative| instead of a sum over pixels, and on
convolutional networks often beats linear bounds by far.

The ranges go forward through the layers: affine maps by interval arithmetic, activations by the
range of their own derivative, a max-pool by the hull over the neurons that may win. As in
:mod:`nversion.certification.rows.patches`, a neuron early in the network knows only its window.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from nversion.certification.ball import Ball, Reach, lowest
from nversion.certification.bounds.intervals import Bounds
from nversion.certification.network.graph import (
    Activation,
    Convolution,
    Dense,
    Flatten,
    MaxPool,
    Node,
    Scale,
    Sum,
    activate,
    dilated,
    ungrouped,
)
from nversion.certification.planes.pools import FAR, Differences, windows
from nversion.certification.rows.geometry import Geometry
from nversion.certification.rows.patches import window_matrix
from nversion.certification.rows.two_convolutions import FILTERS, mixed_filters, windows_of

__all__ = ["Derivatives", "image_derivatives"]


@dataclasses.dataclass(frozen=True)
class Derivatives:
    """Ranges of the derivatives of a node's neurons by the pixels.

    Attributes:
        low: [count or 1, channels, pixels of a window, positions]; where each neuron has all
            pixels, [count or 1, neurons, pixels, 1].
        high: the same.
        shape: of the image.
        geometry: of the windows; None where each neuron has all pixels.
        behind: the convolution of the image that these neurons are, if they are one's.
        slopes: with `behind`: the neurons are that convolution's, times slopes between these,
            [count, *shape of the node] each; None: the convolution itself.
    """

    low: Tensor
    high: Tensor
    shape: tuple[int, ...]
    geometry: Geometry | None
    behind: Convolution | None = None
    slopes: Bounds | None = None

    def bounds(self, values: Tensor, images: Tensor, radii: Tensor, ball: Ball) -> Bounds:
        """Return bounds of the neurons over the balls, like `values` in shape."""
        spread = radii[:, None, None]
        if ball.box is None and ball.norm == 1.0:
            steepest = torch.maximum(-self.low.amin(dim=2), self.high.amax(dim=2))
            change = (spread * steepest).reshape(values.shape)
            return values - change, values + change
        reach = ball.reach(images)
        changes = []
        for upward in (False, True):
            sizes, caps = self.items(reach, upward)
            changes.append(lowest(sizes, caps, spread, ball.norm)[0].reshape(values.shape))
            if caps is None:
                changes.append(changes[0])
        return values + changes[0], values - changes[1]

    def items(self, reach: Reach, upward: bool) -> tuple[Tensor, Tensor | None]:
        """Return how fast each pixel can lower (or raise) the neurons, and how far it may go.

        Args:
            reach: of the images, [count, *shape of the image] each way.
            upward: whether the neurons are to be raised.

        Returns:
            Sizes [count, channels, positions, items], not negative, and caps that broadcast to
            them (None: no box).
        """
        low, high = self.low.transpose(2, 3), self.high.transpose(2, 3)
        if reach.down is None or reach.up is None:
            return torch.maximum(-low, high), None
        first, second = (high, -low) if upward else (-low, high)
        sizes = torch.cat([first.clamp(min=0.0), second.clamp(min=0.0)], dim=-1)
        return sizes, torch.cat([self._laid(reach.up), self._laid(reach.down)], dim=-1)

    def _laid(self, x: Tensor) -> Tensor:
        if self.geometry is not None:
            return self.geometry.cut(x)[:, None]
        return x.reshape(len(x), 1, 1, -1)

    def step(
        self, node: Node, bounds: Bounds, other: Derivatives, differences: Differences | None = None
    ) -> Derivatives | None:
        """Return the ranges for a node, from those of its inputs; None where there is no rule.

        Args:
            node: reads the neurons of these ranges.
            bounds: of the node's inputs.
            other: the ranges of the second branch of a sum.
            differences: of a pool's windows, where they are known.
        """
        match node:
            case Dense():
                return self.combined(node.weight)
            case Scale():
                return self._scale(node)
            case Activation():
                return self._activation(node, bounds)
            case Sum():
                return self._sum(other)
        if self.geometry is None:
            return None
        match node:
            case Flatten():
                return self
            case Convolution():
                return self._convolution(node, self.geometry)
            case MaxPool():
                return self._pool(node, bounds, self.geometry, differences)
        return None

    def _with(self, low: Tensor, high: Tensor) -> Derivatives:
        return Derivatives(low, high, self.shape, self.geometry)

    def _for_each(self, x: Tensor) -> Tensor:
        """Return values of the node's neurons, [count, *shape], so that they meet its ranges."""
        return x.reshape(len(x), self.low.shape[1], 1, self.low.shape[3])

    def _halves(self) -> tuple[Tensor, Tensor]:
        return (self.low + self.high) / 2, (self.high - self.low) / 2

    def combined(self, weight: Tensor) -> Derivatives:
        """Return the ranges of linear functions of the neurons.

        Args:
            weight: [rows, neurons], or [count, rows, neurons].
        """
        middle, half = self._halves()
        results = []
        for x, w in ((middle, weight), (half, weight.abs())):
            if self.geometry is None:
                results.append((w @ x.squeeze(3))[..., None])
                continue
            channels, positions = x.shape[1], x.shape[3]
            w = w.reshape(-1, w.shape[-2], channels, positions).permute(0, 3, 1, 2)
            product = w @ x.permute(0, 3, 1, 2)
            results.append(fold(product, self.geometry, self.shape)[..., None])
        middle, half = results
        return Derivatives(middle - half, middle + half, self.shape, None)

    def _scale(self, node: Scale) -> Derivatives:
        scale = self._for_each(node.scale.expand(1, *node.shape))
        first, second = self.low * scale, self.high * scale
        return self._with(torch.minimum(first, second), torch.maximum(first, second))

    def _activation(self, node: Activation, bounds: Bounds) -> Derivatives:
        slopes = derivative_range(node, *bounds)
        least, most = (self._for_each(x) for x in slopes)
        low = torch.minimum(self.low * least, self.low * most)
        high = torch.maximum(self.high * least, self.high * most)
        known = slopes if self.slopes is None else None
        behind = None if known is None else self.behind
        return dataclasses.replace(self, low=low, high=high, behind=behind, slopes=known)

    def _sum(self, other: Derivatives) -> Derivatives | None:
        mine, theirs = self.geometry, other.geometry
        if mine is None and theirs is None:
            return self._with(self.low + other.low, self.high + other.high)
        if mine is None or theirs is None or mine.stride != theirs.stride:
            return None
        if theirs.kernel[0] > mine.kernel[0]:
            return other._sum(self)
        first = [mine.padding[i] - theirs.padding[i] for i in range(2)]
        last = [mine.kernel[i] - theirs.kernel[i] - first[i] for i in range(2)]
        if min(*first, *last) < 0:
            return None

        def widened(x: Tensor) -> Tensor:
            windows = x.reshape(*x.shape[:2], self.shape[0], *theirs.kernel, x.shape[3])
            around = (0, 0, first[1], last[1], first[0], last[0])
            return functional.pad(windows, around).flatten(2, 4)

        return self._with(self.low + widened(other.low), self.high + widened(other.high))

    def _convolution(self, node: Convolution, inner: Geometry) -> Derivatives:
        outer = after(inner, node)
        fast = self._by_filters(node, outer)
        if fast is not None:
            return fast._within()
        weight = ungrouped(node)
        window = (self.shape[0], *inner.kernel)
        results = []
        for x, w in zip(self._halves(), (weight, weight.abs()), strict=True):
            sums = x.new_zeros(len(w), len(x), self.shape[0], *outer.kernel, *node.shape[1:])
            for i, j, part in places(node, x, inner):
                product = w[:, :, i, j] @ part.flatten(1)
                cut = _window(inner, i * node.dilation[0], j * node.dilation[1])
                sums[cut] += product.reshape(len(w), len(x), *window, *node.shape[1:])
            results.append(_neurons_first(sums))
        middle, half = results
        first = node if self._is_image() else None
        return Derivatives(middle - half, middle + half, self.shape, outer, behind=first)._within()

    def _is_image(self) -> bool:
        """Tell whether the neurons are the pixels themselves."""
        return self.behind is None and self.geometry is not None and self.low is self.high

    def _by_filters(self, node: Convolution, outer: Geometry) -> Derivatives | None:
        """Return the ranges of a convolution of gated neurons of the image's first one, if cheap.

        Their windows differ by slopes alone, so two convolutions of the slopes' maps give all.
        """
        if self.behind is None or self.slopes is None or self.behind.groups > 1:
            return None
        kernels = dilated(node, ungrouped(node))
        matrix = window_matrix(self.behind, (kernels.shape[2], kernels.shape[3]))
        if kernels.numel() * matrix.shape[1] > FILTERS:
            return None
        least, most = self.slopes
        middle, half = (
            windows_of(x, node, mixed_filters(w, m)).reshape(
                len(x), len(kernels), matrix.shape[1], -1
            )
            for x, w, m in (
                (least + most, kernels / 2, matrix),
                (most - least, kernels.abs() / 2, matrix.abs()),
            )
        )
        return Derivatives(middle - half, middle + half, self.shape, outer)

    def _within(self) -> Derivatives:
        """Return the ranges with zeros for pixels over the border, which do not exist."""
        if self.geometry is None or self.geometry.inside(self.shape):
            return self
        mask = self.geometry.cut(self.low.new_ones(1, *self.shape))[:, None].transpose(2, 3)
        return dataclasses.replace(self, low=self.low * mask, high=self.high * mask)

    def _pool(
        self, node: MaxPool, bounds: Bounds, inner: Geometry, differences: Differences | None
    ) -> Derivatives:
        """Return the hull over the neurons of each window that may be its maximum."""
        low, high = (windows(node, x, FAR) for x in bounds)
        floor = low.amax(dim=2, keepdim=True)
        zero_wins = torch.zeros_like(floor, dtype=torch.bool)
        if node.rectified:
            zero_wins = floor <= 0.0
            floor = floor.clamp(min=0.0)
        wins = (high > floor) | (low >= floor)
        if differences is not None:
            wins = wins & (differences.high >= 0.0)
        outer = after(inner, node)
        wins, zero_wins = wins.transpose(0, 1), zero_wins.transpose(0, 1)
        shape = (low.shape[1], len(low), self.shape[0], *outer.kernel, *node.shape[1:])
        dead = zero_wins[:, :, 0, None, None, None]
        least = torch.full(shape, torch.inf, dtype=low.dtype, device=low.device)
        least.masked_fill_(dead, 0.0)
        most = -least
        pairs = zip(places(node, self.low, inner), places(node, self.high, inner), strict=True)
        for k, ((i, j, lows), (_, _, highs)) in enumerate(pairs):
            out = ~wins[:, :, k, None, None, None]
            cut = _window(inner, i, j)
            window = (*lows.shape[:2], self.shape[0], *inner.kernel, *node.shape[1:])
            lows, highs = lows.reshape(window), highs.reshape(window)
            here = least[cut], most[cut]
            torch.minimum(here[0], torch.where(out, torch.inf, lows), out=here[0])
            torch.maximum(here[1], torch.where(out, -torch.inf, highs), out=here[1])
            # Pixels of the large window that this neuron does not read.
            for beside in _around(cut, outer.kernel):
                here = least[beside], most[beside]
                none = torch.zeros_like(here[0]).masked_fill_(out, torch.inf)
                torch.minimum(here[0], none, out=here[0])
                torch.maximum(here[1], none.neg_(), out=here[1])
        return Derivatives(_neurons_first(least), _neurons_first(most), self.shape, outer)


def _window(inner: Geometry, row: int, column: int) -> tuple[slice, ...]:
    """Return where in a larger window, in axes 3 and 4, that of a neuron at some place lies."""
    y, x = row * inner.stride[0], column * inner.stride[1]
    tall, wide = inner.kernel
    return (slice(None),) * 3 + (slice(y, y + tall), slice(x, x + wide))


def _around(cut: tuple[slice, ...], kernel: tuple[int, int]) -> Iterator[tuple[slice, ...]]:
    """Yield what a window (see :func:`_window`) leaves of a larger one, in up to four parts."""
    every, (rows, columns) = cut[:3], cut[3:]
    for tall in (slice(0, rows.start), slice(rows.stop, kernel[0])):
        if tall.stop > tall.start:
            yield (*every, tall, slice(0, kernel[1]))
    for wide in (slice(0, columns.start), slice(columns.stop, kernel[1])):
        if wide.stop > wide.start:
            yield (*every, rows, wide)


def _neurons_first(x: Tensor) -> Tensor:
    """Turn [channels, count, *window, *grid] into [count, channels, pixels, positions]."""
    return x.flatten(5).flatten(2, 4).transpose(0, 1)


def image_derivatives(image: Tensor) -> Derivatives:
    """Return the derivatives of the pixels by themselves; `image` [count, *shape]."""
    channels, height, width = image.shape[1:]
    eye = torch.eye(channels, dtype=image.dtype, device=image.device)
    ranges = eye[None, :, :, None].expand(1, channels, channels, height * width)
    geometry = Geometry((height, width), (1, 1), (1, 1), (0, 0))
    return Derivatives(ranges, ranges, (channels, height, width), geometry)


def after(inner: Geometry, node: Convolution | MaxPool) -> Geometry:
    """Return the windows over the image of a node that reads neurons with windows `inner`."""
    size, dilation = node.size, node.dilation
    kernel = [inner.kernel[i] + inner.stride[i] * dilation[i] * (size[i] - 1) for i in (0, 1)]
    stride = [inner.stride[i] * node.stride[i] for i in (0, 1)]
    padding = [inner.padding[i] + inner.stride[i] * node.padding[i] for i in (0, 1)]
    grid = (node.shape[1], node.shape[2])
    return Geometry(grid, (kernel[0], kernel[1]), (stride[0], stride[1]), (padding[0], padding[1]))


def places(
    node: Convolution | MaxPool, x: Tensor, inner: Geometry
) -> Iterator[tuple[int, int, Tensor]]:
    """Yield each place (row, column) of the node's window with the ranges of the neurons there.

    Args:
        node: a convolution or pool.
        x: [count, channels, pixels, positions].
        inner: the geometry of `x`.

    Yields:
        Row, column, and [channels, count, pixels, height, width] for the node's positions; zeros
        stand for neurons over the border. Positions come last, so that whole maps are worked on
        and not windows of a few pixels.
    """
    size, dilation = node.size, node.dilation
    x = x.transpose(0, 1).reshape(x.shape[1], len(x), x.shape[2], *inner.grid)
    over = [
        (node.shape[1 + i] - 1) * node.stride[i]
        + dilation[i] * (size[i] - 1)
        + 1
        - inner.grid[i]
        - node.padding[i]
        for i in (0, 1)
    ]
    vertical, horizontal = node.padding
    if vertical or horizontal or max(over) > 0:
        x = functional.pad(x, (horizontal, max(over[1], 0), vertical, max(over[0], 0)))
    for i in range(size[0]):
        for j in range(size[1]):
            part = x[..., i * dilation[0] :: node.stride[0], j * dilation[1] :: node.stride[1]]
            yield i, j, part[..., : node.shape[1], : node.shape[2]]


def fold(x: Tensor, geometry: Geometry, shape: tuple[int, ...]) -> Tensor:
    """Add up windows [count, positions, rows, pixels] over the image, [count, rows, all pixels]."""
    count, positions, rows, pixels = x.shape
    sizes = [(geometry.grid[i] - 1) * geometry.stride[i] + geometry.kernel[i] for i in (0, 1)]
    columns = x.permute(0, 2, 3, 1).reshape(count * rows, pixels, positions)
    image = functional.fold(columns, (sizes[0], sizes[1]), geometry.kernel, 1, 0, geometry.stride)
    top, left = geometry.padding
    below, beside = top + shape[1] - sizes[0], left + shape[2] - sizes[1]
    if below > 0 or beside > 0:
        image = functional.pad(image, (0, max(beside, 0), 0, max(below, 0)))
    image = image[:, :, top : top + shape[1], left : left + shape[2]]
    return image.reshape(count, rows, -1)


def derivative_range(node: Activation, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Return the least and the largest derivative of the activation over each range."""
    if node.function == "relu":
        least = torch.where(low >= 0, 1.0, node.slope).to(low.dtype)
        most = torch.where(high <= 0, node.slope, 1.0).to(low.dtype)
        return least, torch.maximum(least, most)
    slopes = []
    for x in (low, high):
        y = activate(node, x)
        slopes.append(y * (1.0 - y) if node.function == "sigmoid" else 1.0 - y.square())
    top = 0.25 if node.function == "sigmoid" else 1.0
    most = torch.where((low < 0) & (high > 0), top, torch.maximum(*slopes))
    return torch.minimum(*slopes), most
