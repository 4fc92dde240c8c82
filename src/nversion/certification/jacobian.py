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
:mod:`nversion.certification.patches`, a neuron early in the network knows only its window.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from nversion.certification.ball import Ball, Reach, lowest
from nversion.certification.graph import (
    Activation,
    Convolution,
    Dense,
    Flatten,
    MaxPool,
    Node,
    Scale,
    Sum,
    activate,
)
from nversion.certification.intervals import Bounds
from nversion.certification.patches import Geometry, ungrouped
from nversion.certification.relaxations import FAR, Leads, windows

__all__ = ["Derivatives", "image_derivatives"]


@dataclasses.dataclass(frozen=True)
class Derivatives:
    """Ranges of the derivatives of a node's neurons by the pixels.

    Attributes:
        low: [count or 1, channels, positions, pixels of a window]; where each neuron has all
            pixels, [count or 1, neurons, 1, pixels].
        high: the same.
        shape: of the image.
        geometry: of the windows; None where each neuron has all pixels.
    """

    low: Tensor
    high: Tensor
    shape: tuple[int, ...]
    geometry: Geometry | None

    def bounds(self, values: Tensor, images: Tensor, radii: Tensor, ball: Ball) -> Bounds:
        """Return bounds of the neurons over the balls, like `values` in shape."""
        spread = radii[:, None, None]
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
            Sizes [..., items], not negative, and caps that broadcast to them (None: no box).
        """
        if reach.down is None or reach.up is None:
            return torch.maximum(-self.low, self.high), None
        first, second = (self.high, -self.low) if upward else (-self.low, self.high)
        sizes = torch.cat([first.clamp(min=0.0), second.clamp(min=0.0)], dim=-1)
        return sizes, torch.cat([self._laid(reach.up), self._laid(reach.down)], dim=-1)

    def _laid(self, x: Tensor) -> Tensor:
        if self.geometry is not None:
            return self.geometry.cut(x)[:, None]
        return x.reshape(len(x), 1, 1, -1)

    def step(
        self, node: Node, bounds: Bounds, other: Derivatives, leads: Leads | None = None
    ) -> Derivatives | None:
        """Return the ranges for a node, from those of its inputs; None where there is no rule.

        Args:
            node: reads the neurons of these ranges.
            bounds: of the node's inputs.
            other: the ranges of the second branch of a sum.
            leads: of a pool's windows, where they are known.
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
                return self._pool(node, bounds, self.geometry, leads)
        return None

    def _with(self, low: Tensor, high: Tensor) -> Derivatives:
        return dataclasses.replace(self, low=low, high=high)

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
                results.append((w @ x.squeeze(2))[:, :, None])
                continue
            channels, positions = x.shape[1:3]
            w = w.reshape(-1, w.shape[-2], channels, positions).permute(0, 3, 1, 2)
            product = w @ x.permute(0, 2, 1, 3)
            results.append(fold(product, self.geometry, self.shape)[:, :, None])
        middle, half = results
        return Derivatives(middle - half, middle + half, self.shape, None)

    def _scale(self, node: Scale) -> Derivatives:
        scale = node.scale.expand(node.shape).reshape(1, *self.low.shape[1:3], 1)
        first, second = self.low * scale, self.high * scale
        return self._with(torch.minimum(first, second), torch.maximum(first, second))

    def _activation(self, node: Activation, bounds: Bounds) -> Derivatives:
        slopes = derivative_range(node, *bounds)
        least, most = (x.reshape(len(x), *self.low.shape[1:3], 1) for x in slopes)
        low = torch.minimum(self.low * least, self.low * most)
        return self._with(low, torch.maximum(self.high * least, self.high * most))

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
            windows = x.reshape(*x.shape[:3], self.shape[0], *theirs.kernel)
            return functional.pad(windows, (first[1], last[1], first[0], last[0])).flatten(3)

        return self._with(self.low + widened(other.low), self.high + widened(other.high))

    def _convolution(self, node: Convolution, inner: Geometry) -> Derivatives:
        weight = ungrouped(node)
        outer = after(inner, node)
        window = (self.shape[0], *inner.kernel)
        results = []
        for x, w in zip(self._halves(), (weight, weight.abs()), strict=True):
            sums = x.new_zeros(len(w), len(x), self.shape[0], *outer.kernel, *node.shape[1:])
            for i, j, part in places(node, x, inner):
                product = w[:, :, i, j] @ part.flatten(1)
                cut = _window(inner, i * node.dilation[0], j * node.dilation[1])
                sums[cut] += product.reshape(len(w), len(x), *window, *node.shape[1:])
            results.append(_positions_first(sums))
        middle, half = results
        return Derivatives(middle - half, middle + half, self.shape, outer)._within()

    def _within(self) -> Derivatives:
        """Return the ranges with zeros for pixels over the border, which do not exist."""
        if self.geometry is None or self.geometry.inside(self.shape):
            return self
        mask = self.geometry.cut(self.low.new_ones(1, *self.shape))[:, None]
        return self._with(self.low * mask, self.high * mask)

    def _pool(
        self, node: MaxPool, bounds: Bounds, inner: Geometry, leads: Leads | None
    ) -> Derivatives:
        """Return the hull over the neurons of each window that may be its maximum."""
        low, high = (windows(node, x, FAR) for x in bounds)
        floor = low.amax(dim=2, keepdim=True)
        zero_wins = torch.zeros_like(floor, dtype=torch.bool)
        if node.rectified:
            zero_wins = floor <= 0.0
            floor = floor.clamp(min=0.0)
        wins = (high > floor) | (low >= floor)
        if leads is not None:
            wins = wins & (leads.high >= 0.0)
        outer = after(inner, node)
        wins, zero_wins = wins.transpose(0, 1), zero_wins.transpose(0, 1)
        shape = (low.shape[1], len(low), self.shape[0], *outer.kernel, *node.shape[1:])
        none = torch.full(shape, torch.inf, dtype=low.dtype, device=low.device)
        dead = zero_wins[:, :, 0, None, None, None]
        least, most = none.masked_fill(dead, 0.0), (-none).masked_fill(dead, 0.0)
        pairs = zip(places(node, self.low, inner), places(node, self.high, inner), strict=True)
        for k, ((i, j, lows), (_, _, highs)) in enumerate(pairs):
            lower, upper = torch.zeros_like(least), torch.zeros_like(most)
            cut = _window(inner, i, j)
            window = (*lows.shape[:2], self.shape[0], *inner.kernel, *node.shape[1:])
            lower[cut], upper[cut] = lows.reshape(window), highs.reshape(window)
            alive = wins[:, :, k, None, None, None]
            least = torch.where(alive, torch.minimum(least, lower), least)
            most = torch.where(alive, torch.maximum(most, upper), most)
        return Derivatives(_positions_first(least), _positions_first(most), self.shape, outer)


def _window(inner: Geometry, row: int, column: int) -> tuple[slice, ...]:
    """Return where in a larger window, in axes 3 and 4, that of a neuron at some place lies."""
    y, x = row * inner.stride[0], column * inner.stride[1]
    tall, wide = inner.kernel
    return (slice(None),) * 3 + (slice(y, y + tall), slice(x, x + wide))


def _positions_first(x: Tensor) -> Tensor:
    """Turn [channels, count, *window, *grid] into [count, channels, positions, pixels]."""
    return x.flatten(5).flatten(2, 4).permute(1, 0, 3, 2).contiguous()


def image_derivatives(image: Tensor) -> Derivatives:
    """Return the derivatives of the pixels by themselves; `image` [count, *shape]."""
    channels, height, width = image.shape[1:]
    eye = torch.eye(channels, dtype=image.dtype, device=image.device)
    ranges = eye[None, :, None].expand(1, channels, height * width, channels)
    geometry = Geometry((height, width), (1, 1), (1, 1), (0, 0))
    return Derivatives(ranges, ranges, (channels, height, width), geometry)


def after(inner: Geometry, node: Convolution | MaxPool) -> Geometry:
    """Return the windows over the image of a node that reads neurons with windows `inner`."""
    size = node.weight.shape[2:] if isinstance(node, Convolution) else node.size
    dilation = node.dilation if isinstance(node, Convolution) else (1, 1)
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
        x: [count, channels, positions, pixels].
        inner: the geometry of `x`.

    Yields:
        Row, column, and [channels, count, pixels, height, width] for the node's positions; zeros
        stand for neurons over the border. Positions come last, so that whole maps are worked on
        and not windows of a few pixels.
    """
    size = node.weight.shape[2:] if isinstance(node, Convolution) else node.size
    dilation = node.dilation if isinstance(node, Convolution) else (1, 1)
    x = x.permute(1, 0, 3, 2).reshape(x.shape[1], len(x), x.shape[3], *inner.grid)
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
