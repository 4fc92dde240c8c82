"""The minimum of a linear function over the ball and the box, against other solvers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize

from nversion.certification.ball import (
    SHORT_ROW,
    Ball,
    largest_radius,
    lowest,
    parse_norm,
    weighted_sums,
)
from nversion.errors import InputError

NORMS = (1.0, 2.0, math.inf)


def _exact(size: np.ndarray, caps: np.ndarray, radius: float, norm: float) -> float:
    """Return min -size . d over 0 <= d <= caps in the ball."""
    if norm == math.inf:
        return -float(size @ np.minimum(caps, radius))
    if norm == 1.0:
        ones = np.ones((1, len(size)))
        solved = linprog(-size, A_ub=ones, b_ub=[radius], bounds=[(0, c) for c in caps])
        return float(solved.fun)
    low, high = 0.0, 1e9  # bisection of the water level
    for _ in range(200):
        middle = (low + high) / 2
        if np.linalg.norm(np.minimum(middle * size, caps)) > radius:
            high = middle
        else:
            low = middle
    return -float(size @ np.minimum(low * size, caps))


@given(
    seed=st.integers(0, 10_000),
    norm=st.sampled_from(NORMS),
    radius=st.sampled_from([0.0, 0.03, 0.4, 1.5, 6.0, 50.0]),
)
@settings(max_examples=60, deadline=None)
def test_minimum_in_the_box(seed: int, norm: float, radius: float) -> None:
    generator = np.random.default_rng(seed)
    size = generator.exponential(size=7) * (generator.random(7) < 0.8)
    caps = generator.random(7) * (generator.random(7) < 0.6)
    value, slope = lowest(
        torch.tensor(size)[None], torch.tensor(caps)[None], torch.tensor([radius]).double(), norm
    )
    exact = _exact(size, caps, radius, norm)
    assert float(value) <= exact + 1e-7  # sound, to the linear program's own tolerance
    assert float(value) == pytest.approx(exact, rel=2e-2, abs=1e-6)  # and nearly exact
    assert float(slope) <= 0.0


def test_signs_choose_the_direction() -> None:
    images = torch.tensor([[[[0.0, 1.0, 0.25]]]]).double()
    reach = Ball(math.inf).reach(images)
    a = torch.tensor([[1.0, 1.0, -1.0]]).double()
    flat = type(reach)(reach.norm, reach.down.flatten(1), reach.up.flatten(1))
    value, _ = flat.minimum(a, torch.tensor([0.5]).double())
    assert float(value) == pytest.approx(-(0.0 + 0.5 + 0.5))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rounding_does_not_lose_the_root(norm: float, dtype: torch.dtype) -> None:
    torch.manual_seed(1)
    size = torch.rand(400, 9, dtype=dtype)
    caps = torch.rand(400, 9, dtype=dtype) * (torch.rand(400, 9) < 0.7)
    constant = 0.5 * lowest(size, caps, torch.full((400,), 9.0, dtype=dtype), norm)[0].abs()
    limit = torch.full((400,), 100.0, dtype=dtype)
    radii = largest_radius(size, caps, constant, limit, norm)
    low, high = torch.zeros_like(limit), limit
    for _ in range(60):
        middle = (low + high) / 2
        holds = constant + lowest(size, caps, middle, norm)[0] >= 0.0
        low, high = torch.where(holds, middle, low), torch.where(holds, high, middle)
    # Where the values in between are only nearly right, by half a per cent.
    assert bool((radii >= 0.99 * low).all())
    assert bool((radii <= low * (1.0 + 1e-3)).all())


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("boxed", [False, True])
def test_largest_radius_is_the_root(norm: float, boxed: bool) -> None:
    torch.manual_seed(0)
    size = torch.rand(50, 9).double()
    caps = torch.rand(50, 9).double() if boxed else None
    constant = torch.rand(50).double() * 2
    limit = torch.full((50,), 3.0).double()
    radii = largest_radius(size, caps, constant, limit, norm)
    value, _ = lowest(size, caps, radii, norm)
    assert bool((constant + value >= -1e-12).all())
    further, _ = lowest(size, caps, radii * 1.05 + 1e-9, norm)
    # A root before the limit is where the value crosses zero, unless no pixel can go further.
    inner = (radii < 2.9) & (further < value - 1e-9)
    assert bool(inner.any())
    assert float(((constant + further)[inner] < 0).double().mean()) > 0.8
    nothing = largest_radius(size, caps, -constant, limit, norm)
    assert bool((nothing == 0).all())


def test_l2_agrees_with_a_general_solver() -> None:
    generator = np.random.default_rng(1)
    size, caps = generator.random(5), generator.random(5) * 0.4
    solved = minimize(  # type: ignore[call-overload]
        lambda d: -size @ d,
        np.zeros(5),
        bounds=[(0, c) for c in caps],
        constraints={"type": "ineq", "fun": lambda d: 0.25 - d @ d},
    )
    value, _ = lowest(
        torch.tensor(size)[None], torch.tensor(caps)[None], torch.tensor([0.5]).double(), 2.0
    )
    assert float(value) == pytest.approx(float(solved.fun), rel=1e-4)


def test_norms_are_parsed() -> None:
    assert [parse_norm(n) for n in (1, 2.0, "inf", "l2")] == [1.0, 2.0, math.inf, 2.0]
    for bad in (0, 3, "l0", None, math.nan):
        with pytest.raises(InputError, match="norm"):
            parse_norm(bad)


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("rows", [0, 1, 5])
@pytest.mark.parametrize("size", [1, SHORT_ROW - 1, SHORT_ROW, 300])
def test_weighted_sums_are_what_the_formula_says(count: int, rows: int, size: int) -> None:
    generator = torch.Generator().manual_seed(count + 10 * rows + 100 * size)
    a = torch.randn(count, rows, size, generator=generator, dtype=torch.float64)
    weights = torch.randn(count, size, generator=generator, dtype=torch.float64)
    found = weighted_sums(a, weights)
    assert found.shape == (count, rows)
    assert torch.allclose(found, (a * weights[:, None]).sum(dim=2), atol=1e-12)


def test_weighted_sums_of_an_image_do_not_hang_on_the_others() -> None:
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(4, 7, 500, generator=generator)
    weights = torch.randn(4, 500, generator=generator)
    assert torch.equal(weighted_sums(a, weights)[2:3], weighted_sums(a[2:3], weights[2:3]))
