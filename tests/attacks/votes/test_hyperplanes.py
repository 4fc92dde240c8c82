from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from nversion.attacks.votes.hyperplanes import HalfSpaces, cheapest, single_distance


def problem(seed: int, members: int = 5, pixels: int = 10, norm: str = "l2") -> HalfSpaces:
    draws = np.random.default_rng(seed)
    normals = draws.normal(size=(members, pixels)) + 0.7 * draws.normal(size=pixels)
    gaps = draws.uniform(-0.2, 1.0, size=members)
    low, high = -draws.uniform(0, 0.6, size=pixels), draws.uniform(0, 0.6, size=pixels)
    return HalfSpaces(normals, gaps, low, high, norm)


def exact(spaces: HalfSpaces) -> float:
    """Return the least norm by a solver of its own; inf where the box does not reach."""
    pixels = len(spaces.low)
    cube = np.hstack([np.vstack([np.eye(pixels), -np.eye(pixels)]), -np.ones((2 * pixels, 1))])
    rows = np.vstack([np.hstack([-spaces.normals, np.zeros((len(spaces.gaps), 1))]), cube])
    limits = np.append(-spaces.gaps, np.zeros(2 * pixels))
    bounds = [*zip(spaces.low, spaces.high, strict=True), (0, None)]
    costs = np.append(np.zeros(pixels), 1.0)
    linear = optimize.linprog(costs, A_ub=rows, b_ub=limits, bounds=bounds)
    if not linear.success or spaces.norm == "linf":
        return float(linear.fun) if linear.success else np.inf
    found = optimize.minimize(  # type: ignore[call-overload]
        lambda d: d @ d / 2,
        linear.x[:-1],
        jac=lambda d: d,
        bounds=bounds[:-1],
        constraints={"type": "ineq", "fun": lambda d: spaces.normals @ d - spaces.gaps},
        method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-14},
    )
    return float(np.sqrt(2 * found.fun))


@pytest.mark.parametrize("norm", ["l2", "linf"])
@settings(deadline=None, max_examples=25, derandomize=True)
@given(seed=st.integers(0, 10_000))
def test_the_nearest_point_is_the_nearest(norm: str, seed: int) -> None:
    spaces = problem(seed, norm=norm)
    least = exact(spaces)
    solution = spaces.nearest()
    assert solution.reached == np.isfinite(least)
    if solution.reached:
        change = solution.change
        assert (change >= spaces.low - 1e-12).all()
        assert (change <= spaces.high + 1e-12).all()
        assert (spaces.normals @ change >= spaces.gaps - 1e-3).all()
        assert spaces.size(change) == pytest.approx(least, rel=2e-3)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_the_cheapest_members_are_those_of_brute_force(norm: str) -> None:
    worst = 1.0
    for seed in range(8):
        spaces = problem(seed, members=6, norm=norm)
        wide = HalfSpaces(spaces.normals, spaces.gaps, spaces.low - 9, spaces.high + 9, norm)
        dual = 2 if norm == "l2" else 1
        costs = np.maximum(wide.gaps, 0) / np.linalg.norm(wide.normals, ord=dual, axis=1)
        chosen = cheapest(wide, costs, lambda members: len(members) >= 3)
        found = exact(wide.only(chosen))
        least = min(exact(wide.only(np.array(c))) for c in itertools.combinations(range(6), 3))
        worst = max(worst, found / least)
    assert worst <= (1.001 if norm == "l2" else 1.05)


def test_a_single_half_space_in_linf() -> None:
    low, high = np.array([-1.0, -0.1]), np.array([1.0, 0.1])
    assert single_distance(np.array([1.0, 1.0]), 0.5, low, high) == pytest.approx(0.4)
    assert single_distance(np.array([1.0, 1.0]), 2.0, low, high) == np.inf
    assert single_distance(np.array([1.0, 1.0]), -1.0, low, high) == 0.0
