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
    dilated,
    tiles,
    ungrouped,
)
from nversion.certification.planes.planes import Planes
from nversion.certification.rows.dense import DenseRows
from nversion.certification.rows.geometry import Geometry, own_geometry

__all__ = ["BLOCK", "PatchRows", "convolution_rows", "window_matrix"]

WASTE = 6.0
"""Through a convolution as one matrix product, unless that multiplies this many times more."""

BLOCK = 1_000_000
"""Elements of a temporary tensor, about: small enough for the processor's cache, and for memory
that the allocator hands out again; fresh memory costs several times the arithmetic."""


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
        border = large.geometry.border(small.geometry)
        if border is None:
            raise ValueError("windows of two branches do not fit into each other")
        windows = small.a.reshape(*small.a.shape[:3], small.channels, *small.geometry.kernel)
        widened = functional.pad(windows, border)
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

    def _shifted(self, planes: Planes, image: int, negative: Tensor) -> Tensor:
        """Return the constants of an image's rows with what the planes' shifts add."""
        added = negative * cut_once(planes, "lift", self.geometry)[image]
        if not planes.slight:
            added.addcmul_(self.a[image], cut_once(planes, "lower_shift", self.geometry)[image])
        return self.constant[image] + added.sum(dim=2)

    def _activation(self, planes: Planes) -> PatchRows:
        # Image by image, what is computed on the way stays in the cache.
        a = self.a.new_empty(self.a.shape)
        constants = []
        for image, (rows, out) in enumerate(zip(self.a, a, strict=True)):
            negative = rows.clamp(max=0.0)
            constants.append(self._shifted(planes, image, negative))
            lower, rise = (cut_once(planes, x, self.geometry)[image] for x in ("lower", "rise"))
            torch.mul(rows, lower, out=out).addcmul_(negative, rise)
        return dataclasses.replace(self, a=a, constant=torch.stack(constants))

    def _pool(self, node: MaxPool, planes: Planes) -> PatchRows:
        negative = self.a.clamp(max=0.0)
        constant = torch.stack([self._shifted(planes, i, x) for i, x in enumerate(negative)])
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
