"""Convolutions and pools with any padding, as PyTorch's own layers.

PyTorch pads both ends of a side alike. Where a file pads one end more (as TensorFlow's "same" does
with a stride), a convolution's kernel is lengthened by zeros on the other end instead, which comes
to the same: with the padding p on both ends, a kernel that starts p - q later pads q there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from nversion.formats.plain import Act
from nversion.formats.weaver import Constant

__all__ = ["Convolution", "Padding", "average_pool", "largest_pool", "padded", "same_padding"]

Padding = tuple[tuple[int, int], tuple[int, int]]
"""What is put before and after, of rows and of columns."""


def same_padding(
    sides: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Padding:
    """Return TensorFlow's padding "same": as many results as steps of the stride fit."""
    pairs = []
    for side, size, step, apart in zip(sides, kernel, stride, dilation, strict=True):
        reach = (size - 1) * apart + 1
        total = max((-(-side // step) - 1) * step + reach - side, 0)
        pairs.append((total // 2, total - total // 2))
    return pairs[0], pairs[1]


@dataclasses.dataclass(frozen=True)
class Convolution:
    """A convolution of a file.

    Attributes:
        weight: [outputs, inputs / groups, height, width].
        bias: [outputs], or None.
        stride: down and across.
        padding: before and after, of rows and of columns.
        dilation: down and across.
        groups: of channels.
    """

    weight: Constant
    bias: Constant | None
    stride: Sequence[int]
    padding: Padding
    dilation: Sequence[int] = (1, 1)
    groups: int = 1

    def layer(self) -> nn.Conv2d:
        """Return PyTorch's layer that computes it."""
        apart = [int(step) for step in self.dilation]
        kernel = np.asarray(self.weight)
        for axis, (before, after) in enumerate(self.padding):
            lacking = abs(before - after)
            if lacking % apart[axis]:
                kernel, apart[axis] = _spread(kernel, axis + 2, apart[axis]), 1
            zeros = [(0, 0)] * 4
            more = lacking // apart[axis]
            zeros[axis + 2] = (more, 0) if before < after else (0, more)
            kernel = np.pad(kernel, zeros)
        layer = nn.Conv2d(
            kernel.shape[1] * self.groups,
            kernel.shape[0],
            (int(kernel.shape[2]), int(kernel.shape[3])),
            stride=(int(self.stride[0]), int(self.stride[1])),
            padding=(max(self.padding[0]), max(self.padding[1])),
            dilation=(apart[0], apart[1]),
            groups=self.groups,
            bias=self.bias is not None,
        )
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(np.array(kernel)))
            if self.bias is not None and layer.bias is not None:
                layer.bias.copy_(torch.from_numpy(np.array(self.bias)))
        return layer


def _spread(kernel: Constant, axis: int, apart: int) -> Constant:
    """Return a kernel of dilation 1 that computes what it does with a dilation."""
    shape = list(kernel.shape)
    shape[axis] = (shape[axis] - 1) * apart + 1
    wide = np.zeros(shape, dtype=kernel.dtype)
    place = [slice(None)] * kernel.ndim
    place[axis] = slice(None, None, apart)
    wide[tuple(place)] = kernel
    return wide


def padded(padding: Padding, value: float = 0.0) -> nn.Module:
    """Return the layer that puts values around, rows and columns."""
    (top, bottom), (left, right) = padding
    sides = (left, right, top, bottom)
    return nn.ZeroPad2d(sides) if value == 0.0 else nn.ConstantPad2d(sides, value)


def largest_pool(
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Padding,
    dilation: Sequence[int] = (1, 1),
    ceil: bool = False,
) -> list[nn.Module]:
    """Return the layers of a pool of largest values, where padding never is the largest."""
    size, step, apart = ((int(one[0]), int(one[1])) for one in (kernel, stride, dilation))
    alike = all(before == after for before, after in padding)
    if alike and all(2 * before <= side for (before, _), side in zip(padding, size, strict=True)):
        ends = (padding[0][0], padding[1][0])
        return [nn.MaxPool2d(size, step, ends, apart, ceil_mode=ceil)]
    behind = all(before == 0 for before, _ in padding) and apart == (1, 1) and not ceil
    if behind and all(after < one for (_, after), one in zip(padding, size, strict=True)):
        # What is put behind is what a last, incomplete window lacks.
        return [nn.MaxPool2d(size, step, ceil_mode=True)]
    return [padded(padding, -torch.inf), nn.MaxPool2d(size, step, dilation=apart, ceil_mode=ceil)]


def average_pool(
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Padding,
    counted: bool,
    ceil: bool = False,
) -> list[nn.Module]:
    """Return the layers of a pool of means; `counted` tells whether padding is part of them."""
    size, step = ((int(one[0]), int(one[1])) for one in (kernel, stride))
    if all(before == after for before, after in padding):
        ends = (padding[0][0], padding[1][0])
        counts = counted or ends == (0, 0)
        return [nn.AvgPool2d(size, step, ends, ceil_mode=ceil, count_include_pad=counts)]
    if counted:
        return [padded(padding), nn.AvgPool2d(size, step, ceil_mode=ceil)]
    return [Act(_mean_of_inside, size=size, step=step, padding=padding)]


def _mean_of_inside(
    values: torch.Tensor, size: tuple[int, int], step: tuple[int, int], padding: Padding
) -> torch.Tensor:
    """Return the mean of each window over what is not padding."""
    (top, bottom), (left, right) = padding
    sides = (left, right, top, bottom)
    ones = torch.ones_like(values[:1, :1])
    pool = torch.nn.functional.avg_pool2d
    inside = pool(torch.nn.functional.pad(ones, sides), size, step)
    return pool(torch.nn.functional.pad(values, sides), size, step) / inside
