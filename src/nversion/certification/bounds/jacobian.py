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

import torch
from torch import Tensor
from torch.nn import functional

from nversion.certification.ball import Reach, lowest
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
    dilated,
    ungrouped,
)
from nversion.certification.planes.activations import derivative_range
from nversion.certification.planes.pools import OUTSIDE, Differences, windows, winners
from nversion.certification.region import Region
from nversion.certification.rows.geometry import Geometry, single
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

    def bounds(self, values: Tensor, region: Region) -> Bounds:
        """Return bounds of the neurons over the balls, like `values` in shape."""
        spread = region.radii[:, None, None]
        if region.ball.box is None and region.norm == 1.0:
            steepest = torch.maximum(-self.low.amin(dim=2), self.high.amax(dim=2))
            change = (spread * steepest).reshape(values.shape)
            return values - change, values + change
        reach = region.reach()
        changes = []
        for upward in (False, True):
            sizes, caps = self.items(reach, upward)
            changes.append(lowest(sizes, caps, spread, region.norm)[0].reshape(values.shape))
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
            results.append(self.geometry.fold(product, self.shape)[..., None])
        return Derivatives(results[0] - results[1], results[0] + results[1], self.shape, None)

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
        if mine is None or theirs is None:
            return None
        if theirs.kernel[0] > mine.kernel[0]:
            return other._sum(self)
        border = mine.border(theirs)
        if border is None:
            return None

        def widened(x: Tensor) -> Tensor:
            windows = x.reshape(*x.shape[:2], self.shape[0], *theirs.kernel, x.shape[3])
            return functional.pad(windows, (0, 0, *border)).flatten(2, 4)

        return self._with(self.low + widened(other.low), self.high + widened(other.high))

    def _convolution(self, node: Convolution, inner: Geometry) -> Derivatives:
        outer = inner.after(node)
        fast = self._by_filters(node, outer)
        if fast is not None:
            return fast._within()
        weight = ungrouped(node)
        window = (self.shape[0], *inner.kernel)
        results = []
        for x, w in zip(self._halves(), (weight, weight.abs()), strict=True):
            sums = x.new_zeros(len(w), len(x), self.shape[0], *outer.kernel, *node.shape[1:])
            for i, j, part in inner.places(node, x):
                product = w[:, :, i, j] @ part.flatten(1)
                cut = inner.window(i * node.dilation[0], j * node.dilation[1])
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
        low, high = (windows(node, x, OUTSIDE) for x in bounds)
        floor = low.amax(dim=2, keepdim=True)
        zero_wins = torch.zeros_like(floor, dtype=torch.bool)
        if node.rectified:
            zero_wins = floor <= 0.0
            floor = floor.clamp(min=0.0)
        wins = winners(low, high, floor, differences).transpose(0, 1)
        zero_wins, outer = zero_wins.transpose(0, 1), inner.after(node)
        shape = (low.shape[1], len(low), self.shape[0], *outer.kernel, *node.shape[1:])
        least = torch.full(shape, torch.inf, dtype=low.dtype, device=low.device)
        least.masked_fill_(zero_wins[:, :, 0, None, None, None], 0.0)
        most = -least
        pairs = zip(inner.places(node, self.low), inner.places(node, self.high), strict=True)
        for k, ((i, j, lows), (_, _, highs)) in enumerate(pairs):
            out = ~wins[:, :, k, None, None, None]
            cut = inner.window(i, j)
            window = (*lows.shape[:2], self.shape[0], *inner.kernel, *node.shape[1:])
            lows, highs = lows.reshape(window), highs.reshape(window)
            here = least[cut], most[cut]
            torch.minimum(here[0], torch.where(out, torch.inf, lows), out=here[0])
            torch.maximum(here[1], torch.where(out, -torch.inf, highs), out=here[1])
            # Pixels of the large window that this neuron does not read.
            for beside in outer.around(cut):
                here = least[beside], most[beside]
                none = torch.zeros_like(here[0]).masked_fill_(out, torch.inf)
                torch.minimum(here[0], none, out=here[0])
                torch.maximum(here[1], none.neg_(), out=here[1])
        return Derivatives(_neurons_first(least), _neurons_first(most), self.shape, outer)


def _neurons_first(x: Tensor) -> Tensor:
    """Turn [channels, count, *window, *grid] into [count, channels, pixels, positions]."""
    return x.flatten(5).flatten(2, 4).transpose(0, 1)


def image_derivatives(image: Tensor) -> Derivatives:
    """Return the derivatives of the pixels by themselves; `image` [count, *shape]."""
    channels, height, width = image.shape[1:]
    eye = torch.eye(channels, dtype=image.dtype, device=image.device)
    ranges = eye[None, :, :, None].expand(1, channels, channels, height * width)
    return Derivatives(ranges, ranges, (channels, height, width), single((height, width)))
