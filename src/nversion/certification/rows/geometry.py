"""Where the windows lie that the neurons of a layer read in an earlier one."""

from __future__ import annotations

import dataclasses

from torch import Tensor
from torch.nn import functional

from nversion.certification.network.graph import Convolution, MaxPool

__all__ = ["Geometry", "own_geometry"]


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


def own_geometry(node: Convolution) -> Geometry:
    """Return the windows that a convolution itself reads."""
    one = Geometry((node.shape[1], node.shape[2]), (1, 1), (1, 1), (0, 0))
    return one.before(node)
