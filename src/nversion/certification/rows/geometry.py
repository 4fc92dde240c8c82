"""Where the windows lie that the neurons of a layer read in an earlier one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from torch import Tensor
from torch.nn import functional

from nversion.certification.network.graph import Convolution, MaxPool

__all__ = ["Geometry", "own_geometry", "single"]

COVERED = 0.7
"""The share of a layer from which a window of it counts as the whole."""


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
        kernel, stride, padding = [], [], []
        for i in range(2):
            kernel.append((self.kernel[i] - 1) * node.stride[i] + node.reach[i])
            stride.append(self.stride[i] * node.stride[i])
            padding.append(self.padding[i] * node.stride[i] + node.padding[i])
        return Geometry(
            self.grid, (kernel[0], kernel[1]), (stride[0], stride[1]), (padding[0], padding[1])
        )

    def after(self, node: Convolution | MaxPool) -> Geometry:
        """Return the windows over the image of a node that reads neurons with these windows."""
        kernel, stride, padding = [], [], []
        for i in range(2):
            kernel.append(self.kernel[i] + self.stride[i] * (node.reach[i] - 1))
            stride.append(self.stride[i] * node.stride[i])
            padding.append(self.padding[i] + self.stride[i] * node.padding[i])
        return Geometry(
            (node.shape[1], node.shape[2]),
            (kernel[0], kernel[1]),
            (stride[0], stride[1]),
            (padding[0], padding[1]),
        )

    def border(self, inner: Geometry) -> tuple[int, int, int, int] | None:
        """Return how far each window reaches beyond one of smaller windows at the same position.

        Returns:
            On the left, right, top and bottom, as ``functional.pad`` has it; None where the smaller
            windows do not lie in these.
        """
        first = [self.padding[i] - inner.padding[i] for i in range(2)]
        last = [self.kernel[i] - inner.kernel[i] - first[i] for i in range(2)]
        if self.stride != inner.stride or min(*first, *last) < 0:
            return None
        return first[1], last[1], first[0], last[0]

    def inside(self, shape: tuple[int, ...]) -> bool:
        """Tell whether all windows lie within a layer of this shape."""
        return all(
            self.padding[i] == 0
            and (self.grid[i] - 1) * self.stride[i] + self.kernel[i] <= shape[1 + i]
            for i in range(2)
        )

    def covers(self, shape: tuple[int, ...]) -> bool:
        """Tell whether windows are so large that rows over the whole layer are as cheap."""
        return self.kernel[0] * self.kernel[1] >= COVERED * shape[1] * shape[2]

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

    def fold(self, x: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Add up windows over the image.

        Args:
            x: [count, positions, rows, pixels of a window].
            shape: of the image.

        Returns:
            [count, rows, all pixels].
        """
        count, positions, rows, pixels = x.shape
        sizes = [(self.grid[i] - 1) * self.stride[i] + self.kernel[i] for i in (0, 1)]
        columns = x.permute(0, 2, 3, 1).reshape(count * rows, pixels, positions)
        image = functional.fold(columns, (sizes[0], sizes[1]), self.kernel, 1, 0, self.stride)
        top, left = self.padding
        below, beside = top + shape[1] - sizes[0], left + shape[2] - sizes[1]
        if below > 0 or beside > 0:
            image = functional.pad(image, (0, max(beside, 0), 0, max(below, 0)))
        image = image[:, :, top : top + shape[1], left : left + shape[2]]
        return image.reshape(count, rows, -1)

    def places(self, node: Convolution | MaxPool, x: Tensor) -> Iterator[tuple[int, int, Tensor]]:
        """Yield each place (row, column) of a node's window with what belongs to the neurons there.

        Args:
            node: a convolution or pool that reads neurons with these windows.
            x: of these neurons, [count, channels, pixels, positions].

        Yields:
            Row, column, and [channels, count, pixels, height, width] for the node's positions;
            zeros stand for neurons over the border. Positions come last, so that whole maps are
            worked on and not windows of a few pixels.
        """
        size, dilation = node.size, node.dilation
        x = x.transpose(0, 1).reshape(x.shape[1], len(x), x.shape[2], *self.grid)
        over = [
            (node.shape[1 + i] - 1) * node.stride[i]
            + node.reach[i]
            - self.grid[i]
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

    def window(self, row: int, column: int) -> tuple[slice, ...]:
        """Return where in a larger window, in axes 3 and 4, that of a neuron at some place lies."""
        y, x = row * self.stride[0], column * self.stride[1]
        tall, wide = self.kernel
        return (slice(None),) * 3 + (slice(y, y + tall), slice(x, x + wide))

    def around(self, cut: tuple[slice, ...]) -> Iterator[tuple[slice, ...]]:
        """Yield what a smaller window, as :meth:`window` gives it, leaves of one of these.

        That is in up to four parts.
        """
        every, (rows, columns) = cut[:3], cut[3:]
        for tall in (slice(0, rows.start), slice(rows.stop, self.kernel[0])):
            if tall.stop > tall.start:
                yield (*every, tall, slice(0, self.kernel[1]))
        for wide in (slice(0, columns.start), slice(columns.stop, self.kernel[1])):
            if wide.stop > wide.start:
                yield (*every, rows, wide)


def single(grid: tuple[int, int]) -> Geometry:
    """Return windows of one neuron each, for all neurons of a layer."""
    return Geometry(grid, (1, 1), (1, 1), (0, 0))


def own_geometry(node: Convolution) -> Geometry:
    """Return the windows that a convolution itself reads."""
    return single((node.shape[1], node.shape[2])).before(node)
