"""Transfer functions say of a convolution what its matrix would."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nversion.certification.lipschitz import linear_maps
from nversion.certification.lipschitz.linear_maps import MEAN, WIDEST, LinearMap, block_diagonal

SIZE = 6


def _kernel(out: int = 3, into: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randn(out, into, 3, 3, generator=generator, dtype=torch.float64)


def _on_torus(kernel: Tensor, x: Tensor) -> Tensor:
    """Convolve [count, channels, SIZE, SIZE] on the torus."""
    padded = torch.cat([x, x[:, :, :2]], dim=2)
    padded = torch.cat([padded, padded[:, :, :, :2]], dim=3)
    return torch.nn.functional.conv2d(padded, kernel)


def _matrix(kernel: Tensor) -> Tensor:
    """Return the convolution on the torus as a matrix, [out, in]."""
    size = kernel.shape[1] * SIZE * SIZE
    units = torch.eye(size, dtype=torch.float64).reshape(size, -1, SIZE, SIZE)
    return _on_torus(kernel, units).flatten(1).t()


def _norm_form(window: tuple[int, int], channels: int) -> Tensor:
    """Return the matrix of the squared norm, in which means of windows count less."""
    size = channels * SIZE * SIZE
    if window == (1, 1):
        return torch.eye(size, dtype=torch.float64)
    places = torch.arange(size).reshape(channels, SIZE, SIZE)
    down, across = window
    cut = places.reshape(channels, SIZE // down, down, SIZE // across, across)
    groups = cut.permute(0, 1, 3, 2, 4).reshape(-1, down * across)
    form = torch.eye(size, dtype=torch.float64)
    for group in groups:
        form[group[:, None], group] -= (1.0 - MEAN) / len(group)
    return form


@pytest.mark.parametrize("window", [(1, 1), (2, 2), (3, 2)])
def test_the_norm_is_that_of_the_matrix(window: tuple[int, int]) -> None:
    kernel = _kernel()
    matrix, form = _matrix(kernel), _norm_form(window, len(kernel))
    exact = float(torch.linalg.eigvalsh(matrix.t() @ form @ matrix)[-1].sqrt())
    found = LinearMap((kernel,), (SIZE, SIZE)).norm(window)
    assert exact <= found <= exact * (1.0 + 1e-5)


@pytest.mark.parametrize("window", [(1, 1), (2, 2), (3, 2)])
def test_pixels_are_columns_of_the_matrix(window: tuple[int, int]) -> None:
    kernel = _kernel()
    matrix, form = _matrix(kernel), _norm_form(window, len(kernel))
    exact = (matrix * (form @ matrix)).sum(dim=0)
    own = LinearMap((kernel,), (SIZE, SIZE))
    shares, moves = own.pixels(window)
    assert float(shares.sum()) == pytest.approx(1.0)
    own_form = own.form(window)
    assert own_form is not None
    found = shares @ (moves.conj() * (own_form @ moves)).real.sum(dim=1)
    # For each channel of the input, and each place in a window.
    expected = exact.reshape(2, SIZE // window[0], window[0], SIZE // window[1], window[1])
    expected = expected[:, 0, :, 0].permute(1, 2, 0).flatten()
    assert sorted(found.tolist()) == pytest.approx(sorted(expected.tolist()))


def test_maps_in_a_row_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = _kernel(3, 2), _kernel(4, 3)
    both = LinearMap((second,), (SIZE, SIZE)).after(LinearMap((first,), (SIZE, SIZE)))
    exact = float(torch.linalg.matrix_norm(_matrix(second) @ _matrix(first), 2))
    assert exact <= both.norm() <= exact * (1.0 + 1e-5)
    monkeypatch.setattr(linear_maps, "GRID", 5)
    own = LinearMap((first,), (SIZE, SIZE))
    assert float(torch.linalg.matrix_norm(_matrix(first), 2)) <= own.norm()
    assert own.form((1, 1)) is None


def test_what_is_too_large_has_no_form() -> None:
    wide = LinearMap((torch.ones(2, WIDEST + 1, dtype=torch.float64),), (1, 1))
    assert wide.form((1, 1)) is None
    assert wide.norm() == pytest.approx((2 * (WIDEST + 1)) ** 0.5, rel=1e-5)
    assert LinearMap((_kernel(),), (SIZE, SIZE)).form((4, 4)) is None


def test_blocks_stand_on_the_diagonal() -> None:
    blocks = [torch.full((3, 2, 1), float(i)) for i in (1, 2)]
    whole = block_diagonal(blocks)
    assert whole.shape == (3, 4, 2)
    assert whole[0].tolist() == [[1.0, 0.0], [1.0, 0.0], [0.0, 2.0], [0.0, 2.0]]
