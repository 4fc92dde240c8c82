"""Rows through two convolutions and the activation between them at once."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from nversion.certification.network.graph import Convolution, dilated, ungrouped
from nversion.certification.planes.planes import Planes
from nversion.certification.rows.dense import both_constants, both_slopes
from nversion.certification.rows.geometry import own_geometry
from nversion.certification.rows.patches import BLOCK, PatchRows, window_matrix

__all__ = ["FILTERS", "mixed_filters", "through_two", "windows_of"]

FILTERS = 4_000_000
"""Elements of the filters that go through two convolutions at once, at the most."""


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
    middle, half = both_slopes(planes)

    def summed(x: Tensor, w: Tensor) -> Tensor:
        return functional.conv2d(x, w, None, node.stride, node.padding).flatten(2)

    before, bias = inner.bias[:, None, None], node.bias[:, None]
    constant = both_constants(planes, (middle, half), before, kernels, bias, summed)
    if weight.numel() * matrix.shape[1] <= FILTERS:
        taken_a = windows_of(half, node, mixed_filters(kernels.abs(), matrix))
        a = _both_signs(
            windows_of(middle, node, mixed_filters(kernels, matrix)), taken_a, len(weight)
        )
    else:
        middle_w, half_w = (own.cut(x).transpose(1, 2) for x in (middle, half))
        a = _both_products(weight, weight.abs(), middle_w, half_w, matrix)
    a = a.flatten(1, 2)
    if not outer.inside(shape):
        a = a * outer.cut(a.new_ones(1, *shape))[:, None]
    return PatchRows(a, constant, shape[0], outer)


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
