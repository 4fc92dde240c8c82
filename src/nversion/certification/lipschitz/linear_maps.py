"""Linear maps of layers, and how far they stretch in L2: their largest singular values.

A convolution stretches by no more than the largest singular value of its transfer function at the
frequencies of a torus that holds its input (Sedghi et al. 2019), because with a border of zeros it
is a part of the convolution on the torus.

Before a max-pool the moves are measured in another norm: what the neurons of a window do together,
their mean, counts less (`MEAN`) than what tells them apart. Convolutions stretch slow waves most,
which are nearly the same for all neurons of a window, while the maximum depends on the differences
as well. On W neurons the square of that norm is ``|t|^2 - (1 - MEAN) W mean(t)^2``. Windows couple
the frequencies that differ by whole turns within a window, so there the transfer functions of all
those stand side by side.

On images larger than `GRID` the transfer function is looked at on a coarser grid. A trigonometric
polynomial of degree d exceeds its largest value at n equidistant points at most 1 / cos(pi d / n)
times (Ehlich & Zeller 1964), and with singular vectors held fixed each singular value is bounded by
one.
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

__all__ = ["GRID", "MEAN", "ROUNDING", "SPECTRUM", "WIDEST", "LinearMap", "block_diagonal"]

MEAN = 0.55
"""How much the squared mean of a window counts. From 0.3 to 0.55 the radii of two networks rose by
6 and 8 %; at 0.6 those of one had begun to fall."""

GRID = 40
"""Frequencies along an axis, at the most."""

SPECTRUM = 20_000_000
"""Elements of a transfer function, at the most; beyond, sums of absolute weights must do."""

WIDEST = 1024
"""Columns of the transfer functions of a window's frequencies side by side, at the most."""

ROUNDING = 1e-6
"""Relative, far more than singular values in float64 are wrong by."""


@dataclasses.dataclass(frozen=True)
class LinearMap:
    """A linear map, or several in a row.

    Attributes:
        weights: the last map first: matrices [out, in], or kernels [out, in, height, width].
        torus: the grid that convolutions are looked at on.
    """

    weights: tuple[Tensor, ...]
    torus: tuple[int, int]

    @property
    def convolves(self) -> bool:
        """Whether this is a convolution."""
        return self.weights[0].ndim == 4

    def after(self, first: LinearMap) -> LinearMap:
        """Return this map after another one."""
        return LinearMap((*self.weights, *first.weights), self.torus)

    def norm(self, window: tuple[int, int] = (1, 1)) -> float:
        """Return an upper bound of the largest singular value.

        Args:
            window: of a max-pool that reads what comes out, in whose norm it is measured, where
                it and the image are not too large; (1, 1) for none.
        """
        form = None if window == (1, 1) else self.form(window)
        if form is not None:
            return _largest(form)
        if not self.convolves:
            return _largest(_gram(self._matrix()))
        size = (min(self.torus[0], GRID), min(self.torus[1], GRID))
        found = _largest(_gram(self._transfer(range(size[0]), range(size[1] // 2 + 1), size)))
        if size == self.torus:
            return found
        for axis in (0, 1):
            degree = sum(weight.shape[2 + axis] - 1 for weight in self.weights) / 2
            angle = math.pi * degree / size[axis]
            if angle >= math.pi / 2:
                return math.inf
            found /= math.cos(angle)
        return found

    def sides(self, window: tuple[int, int]) -> list[Tensor] | None:
        """Return the transfer functions that stand side by side, [frequencies, out, in] each.

        A matrix counts as one frequency. None: it, the windows or the images are too large.

        Args:
            window: over what comes out; (1, 1) for none.
        """
        if not self.convolves:
            matrix = self._matrix()
            return [matrix[None]] if window == (1, 1) and matrix.shape[1] <= WIDEST else None
        (down, across), size = window, self.torus
        fits = size[0] % down == 0 and size[1] % across == 0 and max(size) <= GRID
        if not fits or self.weights[-1].shape[1] * down * across > WIDEST:
            return None
        return [self._transfer(*turn, size) for turn in self._turns(window)]

    def form(self, window: tuple[int, int]) -> Tensor | None:
        """Return the square of the norm of what comes out as a form of what comes in.

        Returns:
            [frequencies, in, in], with the inputs of all turns in a row; None as in `sides`.
        """
        sides = self.sides(window)
        if sides is None:
            return None
        form = block_diagonal([_square(side) for side in sides])
        if window == (1, 1):
            return form
        means = []
        for side, turn in zip(sides, self._turns(window), strict=True):
            sums = [
                _waves(f, self.torus[axis], window[axis]).sum(dim=1) for axis, f in enumerate(turn)
            ]
            share = torch.outer(*sums).flatten() / (window[0] * window[1])
            means.append(share[:, None, None] * side)
        return form - (1.0 - MEAN) * _square(torch.cat(means, dim=2))

    def pixels(self, window: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return what a move of one pixel is at the frequencies.

        Returns:
            For how many of all frequencies each of those of `sides` stands, as shares of 1; and the
            move there, up to a factor of modulus 1, with the inputs of all turns in a row: for
            each input and each place in a window, [in, moves].
        """
        if not self.convolves:
            matrix = self._matrix()
            return matrix.new_ones(1), torch.eye(matrix.shape[1], dtype=matrix.dtype)
        (down, across), size = window, self.torus
        phases = torch.kron(_waves(range(down), down, down), _waves(range(across), across, across))
        own = torch.eye(self.weights[-1].shape[1], dtype=phases.dtype)
        moves = torch.kron(phases, own) / math.sqrt(down * across)
        tall, wide = size[0] // down, size[1] // across
        twice = torch.full((wide // 2 + 1,), 2.0, dtype=torch.float64)
        twice[0] = 1.0
        if wide % 2 == 0:
            twice[-1] = 1.0
        return twice.repeat(tall) / (tall * wide), moves

    def _matrix(self) -> Tensor:
        matrix = self.weights[0].cpu()
        for weight in self.weights[1:]:
            matrix = matrix @ weight.cpu()
        return matrix

    def _turns(self, window: tuple[int, int]) -> list[tuple[range, range]]:
        """Return the frequencies for each whole turn within a window, half of those across."""
        tall, wide = self.torus[0] // window[0], self.torus[1] // window[1]
        return [
            (range(i * tall, (i + 1) * tall), range(j * wide, j * wide + wide // 2 + 1))
            for i in range(window[0])
            for j in range(window[1])
        ]

    def _transfer(self, rows: range, columns: range, size: tuple[int, int]) -> Tensor:
        """Return the transfer function at frequencies, [frequencies, out, in]."""
        product: Tensor | None = None
        for weight in self.weights:
            height, width = weight.shape[2:]
            waves = torch.kron(_waves(rows, size[0], height), _waves(columns, size[1], width))
            taps = weight.permute(2, 3, 0, 1).flatten(2).flatten(0, 1).cpu().to(waves.dtype)
            found = (waves @ taps).reshape(-1, *weight.shape[:2])
            product = found if product is None else product @ found
        assert product is not None
        return product


def block_diagonal(blocks: list[Tensor]) -> Tensor:
    """Return matrices of the same size in a row along the diagonal, [..., sum of out, of in]."""
    if len(blocks) == 1:
        return blocks[0]
    count, out, into = blocks[0].shape
    whole = blocks[0].new_zeros(count, len(blocks) * out, len(blocks) * into)
    for i, block in enumerate(blocks):
        whole[:, i * out : (i + 1) * out, i * into : (i + 1) * into] = block
    return whole


def _waves(frequencies: range, size: int, taps: int) -> Tensor:
    """Return ``exp(2 pi i f t / size)`` for frequencies f and taps t, [frequencies, taps]."""
    at = torch.tensor(list(frequencies), dtype=torch.float64)
    angles = at[:, None] * torch.arange(taps, dtype=torch.float64) * (math.tau / size)
    return torch.polar(torch.ones_like(angles), angles)


def _square(a: Tensor) -> Tensor:
    return a.mH @ a


def _gram(a: Tensor) -> Tensor:
    """Return the smaller one of the two products of a matrix with its adjoint."""
    return _square(a) if a.shape[-1] <= a.shape[-2] else _square(a.mH)


def _largest(gram: Tensor) -> float:
    """Return the root of the largest eigenvalue of all the matrices, rounded up."""
    largest = float(torch.linalg.eigvalsh(gram)[..., -1].max())
    return math.sqrt(max(0.0, largest)) * (1.0 + ROUNDING)
