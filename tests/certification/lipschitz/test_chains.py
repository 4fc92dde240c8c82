"""Chains of layers move no farther than any multipliers allow, and good ones are found."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from nversion.certification.lipschitz import chains
from nversion.certification.lipschitz.chains import _Chain, chain_stretch
from nversion.certification.lipschitz.linear_maps import MEAN, LinearMap, block_diagonal

SIZE = 8


def _kernels(channels: list[int], seed: int, kernel: int = 3) -> list[Tensor]:
    """Return kernels of convolutions in a row, the last one first."""
    generator = torch.Generator().manual_seed(seed)
    pairs = list(zip(channels[1:], channels[:-1], strict=True))
    shapes = [(out, into, kernel, kernel) for out, into in pairs]
    return [torch.randn(s, generator=generator, dtype=torch.float64) for s in reversed(shapes)]


def _maps(weights: list[Tensor]) -> list[LinearMap]:
    return [LinearMap((weight,), (SIZE, SIZE)) for weight in weights]


def _chain(
    weights: list[Tensor],
    steepest: list[float],
    window: tuple[int, int],
    one_pixel: bool = False,
) -> _Chain:
    maps = _maps(weights)
    form, sides = maps[0].form(window), [m.sides(window) for m in maps[1:]]
    assert form is not None
    steps = tuple(block_diagonal(side) for side in sides if side is not None)
    pixels = maps[-1].pixels(window) if one_pixel else None
    return _Chain(form, steps, tuple(steepest), window[0] * window[1], pixels)


def _apply(weights: list[Tensor], slopes: list[Tensor], x: Tensor) -> Tensor:
    """Return what convolutions without a border make of x, with any slopes between them."""
    for weight, slope in zip(reversed(weights[1:]), slopes, strict=True):
        x = functional.conv2d(x, weight)
        x = x * slope[: x.shape[1], : x.shape[2], : x.shape[3]]
    return functional.conv2d(x, weights[0])


def _square(t: Tensor, window: tuple[int, int]) -> Tensor:
    """Return the squares of moves in the windows' norm."""
    down, across = window
    tall, wide = t.shape[2] // down * down, t.shape[3] // across * across
    cut = t[:, :, :tall, :wide].reshape(*t.shape[:2], tall // down, down, wide // across, across)
    means = cut.mean(dim=(3, 5))
    mean = MEAN if window != (1, 1) else 1.0
    return cut.square().sum(dim=(1, 2, 3, 4, 5)) - (
        1.0 - mean
    ) * down * across * means.square().sum(dim=(1, 2, 3))


def _farthest(
    weights: list[Tensor],
    steepest: list[float],
    window: tuple[int, int],
    seed: int,
    norm: float = 2.0,
) -> float:
    """Return how far slopes and a move of 1 that are climbed to take the chain."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_(True)

    x = draw(1, weights[-1].shape[1], SIZE, SIZE)
    raw = [draw(w.shape[0], SIZE, SIZE) for w in reversed(weights[1:])]
    climb = torch.optim.Adam([x, *raw], lr=0.1)
    best = 0.0
    for _ in range(150):
        slopes = [s * r.sigmoid() for s, r in zip(reversed(steepest), raw, strict=True)]
        move = x / x.flatten().norm(p=norm)
        far = _square(_apply(weights, slopes, move), window).sum()
        best = max(best, float(far.detach()))
        climb.zero_grad()
        (-far.log()).backward()
        climb.step()
    return math.sqrt(best)


@pytest.mark.parametrize("window", [(1, 1), (2, 2), (2, 1)])
@pytest.mark.parametrize(
    ("channels", "steepest"),
    [([1, 3, 4], [1.0]), ([2, 3, 2], [0.25]), ([1, 3, 3, 2], [1.0, 1.0])],
)
def test_no_slopes_move_a_chain_farther(
    channels: list[int], steepest: list[float], window: tuple[int, int]
) -> None:
    weights = _kernels(channels, seed=len(channels))
    bound = chain_stretch(_maps(weights), steepest, window)
    norms = [m.norm(window if i == 0 else (1, 1)) for i, m in enumerate(_maps(weights))]
    product = math.prod(norms) * math.prod(steepest)
    found = max(_farthest(weights, steepest, window, seed) for seed in range(2))
    assert found <= bound < 0.97 * product
    pixel = chain_stretch(_maps(weights), steepest, window, one_pixel=True)
    found = max(_farthest(weights, steepest, window, seed, norm=1.0) for seed in range(2))
    assert found <= pixel < 0.9 * bound


@settings(max_examples=25)
@given(st.integers(0, 1000), st.floats(-1.0, 3.0))
def test_any_numbers_are_sound(seed: int, level: float) -> None:
    weights = _kernels([1, 3, 2, 2], seed=seed)
    chain = _chain(weights, [1.0, 1.0], (1, 1))
    generator = torch.Generator().manual_seed(seed)
    first = chain.first_guess()
    noise = torch.randn(len(first), generator=generator, dtype=torch.float64)
    bound = float(chain.squares(first * (level + 0.5 * noise).exp()).max())
    x = torch.randn(40, 1, SIZE, SIZE, generator=generator, dtype=torch.float64)
    slopes = [torch.rand(w.shape[0], SIZE, SIZE, generator=generator) for w in weights[:0:-1]]
    far = _square(_apply(weights, slopes, x), (1, 1)) / x.flatten(1).square().sum(dim=1)
    assert float(far.max()) <= bound


@pytest.mark.parametrize("one_pixel", [False, True])
def test_the_slope_is_that_of_the_square(one_pixel: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chains, "SHARPNESS", 1e4)
    chain = _chain(_kernels([2, 3, 2, 2], seed=3), [1.0, 0.5], (2, 2), one_pixel)
    numbers = 1.3 * chain.first_guess()
    square, slope = chain._slope(numbers)
    assert slope is not None
    for i in range(len(numbers)):
        step = torch.zeros_like(numbers)
        step[i] = 1e-5
        above, below = (chain.square(numbers * f.exp()) for f in (step, -step))
        assert (above - below) / 2e-5 / square == pytest.approx(float(slope[i]), abs=1e-4)


def test_too_small_numbers_bound_nothing() -> None:
    chain = _chain(_kernels([2, 3, 2], seed=3), [1.0], (1, 1))
    numbers = 1e-3 * chain.first_guess()
    assert float(chain.squares(numbers).max()) == math.inf
    assert chain.square(numbers) == math.inf
    assert chain._slope(numbers)[1] is None


def test_a_chain_of_one_map_is_its_norm() -> None:
    (own,) = _maps(_kernels([2, 3], seed=1))
    for window in ((1, 1), (2, 2)):
        assert chain_stretch([own], [], window) == pytest.approx(own.norm(window), rel=1e-5)


def test_one_pixel_moves_a_convolution_by_a_kernel() -> None:
    (own,) = _maps(_kernels([2, 3], seed=1))
    kernels = own.weights[0].square().sum(dim=(0, 2, 3)).sqrt()
    assert chain_stretch([own], [], one_pixel=True) == pytest.approx(float(kernels.max()), rel=1e-5)
    matrix = LinearMap((own.weights[0].flatten(1),), (1, 1))
    columns = matrix.weights[0].norm(dim=0)
    found = chain_stretch([matrix], [], one_pixel=True)
    assert found == pytest.approx(float(columns.max()), rel=1e-5)


def test_matrices_count_as_one_frequency() -> None:
    generator = torch.Generator().manual_seed(0)
    sizes = [(5, 7), (7, 6), (6, 20)]
    weights = [torch.randn(s, generator=generator, dtype=torch.float64) for s in sizes]
    bound = chain_stretch([LinearMap((w,), (1, 1)) for w in weights], [1.0, 1.0])
    assert bound < 0.95 * math.prod(float(torch.linalg.matrix_norm(w, 2)) for w in weights)
    maps = [LinearMap((w,), (1, 1)) for w in weights]
    pixel = chain_stretch(maps, [1.0, 1.0], one_pixel=True)
    for _ in range(200):
        first, second = (
            torch.rand(n, generator=generator, dtype=torch.float64).round() for n in (7, 6)
        )
        whole = weights[0] @ (first[:, None] * weights[1]) @ (second[:, None] * weights[2])
        assert float(torch.linalg.matrix_norm(whole, 2)) <= bound
        assert float(whole.norm(dim=0).max()) <= pixel


def test_windows_that_do_not_fit_are_left_to_others() -> None:
    maps = _maps(_kernels([2, 3, 2], seed=1))
    assert chain_stretch(maps, [1.0], (3, 3)) == math.inf
    large = [LinearMap(m.weights, (400, 400)) for m in maps]
    assert chain_stretch(large, [1.0]) == math.inf
