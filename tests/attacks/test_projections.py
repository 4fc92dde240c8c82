"""Projections against quadratic programmes solved by SciPy, and against trying all subsets."""

from __future__ import annotations

import itertools
import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from torch import Tensor

from nversion.attacks.projections import (
    onto_l0_in_box,
    onto_l1,
    onto_l1_in_box,
    onto_l2_in_box,
    project_in_box,
    sizes_of,
)
from nversion.norms import NORMS

Floats: TypeAlias = npt.NDArray[np.float64]


problems = given(
    seed=st.integers(0, 10_000), spread=st.floats(0.05, 3.0), share=st.floats(0.01, 1.2)
)


def problem(
    seed: int,
    spread: float,
    shape: tuple[int, ...] = (1, 2, 3),
    count: int = 1,
    dtype: torch.dtype = torch.float64,
) -> tuple[Tensor, Tensor]:
    """Return changes and originals, some on the ends of the range, some changes zero or equal."""
    draws = torch.Generator().manual_seed(seed)
    originals = torch.rand(count, *shape, generator=draws, dtype=dtype)
    originals = ((originals - 0.5) * 1.5 + 0.5).clamp(0, 1)
    changes = spread * torch.randn(count, *shape, generator=draws, dtype=dtype)
    return torch.where(changes.abs() < 0.2 * spread, 0.0, (4 * changes).round() / 4), originals


def solved(changes: Tensor, originals: Tensor, radius: float, norm: str, box: bool) -> Tensor:
    """Return the projection of one row found by SLSQP, in sizes along the changes' signs."""
    target = changes.abs().flatten().numpy()
    room = torch.where(changes > 0, 1 - originals, originals).flatten().numpy()

    def within(sizes: Floats) -> float:
        return radius - sizes.sum() if norm == "l1" else radius**2 - (sizes**2).sum()

    found = minimize(  # type: ignore[call-overload]
        lambda sizes: ((sizes - target) ** 2).sum(),
        np.zeros_like(target),
        jac=lambda sizes: 2 * (sizes - target),
        bounds=[(0, r if box else None) for r in room],
        constraints={"type": "ineq", "fun": within},
        options={"ftol": 1e-12, "maxiter": 500},
    )
    # 8: no step makes it smaller by what float64 can tell.
    assert found.status in (0, 8), found.message
    return torch.from_numpy(found.x).view_as(changes) * changes.sign()


@settings(deadline=None, max_examples=40, derandomize=True)
@problems
def test_l1_and_l2_are_what_a_quadratic_programme_finds(
    seed: int, spread: float, share: float
) -> None:
    changes, originals = problem(seed, spread)
    for norm, onto in (("l1", onto_l1_in_box), ("l2", onto_l2_in_box)):
        radius = share * float(sizes_of(changes, norm)) + 1e-3
        found = onto(changes, originals, torch.tensor([radius], dtype=torch.float64))
        expected = solved(changes, originals, radius, norm, box=True)
        assert torch.allclose(found, expected, atol=2e-5), norm
    radius = share * float(changes.abs().sum()) + 1e-3
    found = onto_l1(changes, torch.tensor([radius], dtype=torch.float64))
    assert torch.allclose(found, solved(changes, originals, radius, "l1", box=False), atol=2e-5)


@settings(deadline=None, max_examples=40, derandomize=True)
@given(seed=st.integers(0, 10_000), spread=st.floats(0.05, 3.0), kept=st.integers(0, 5))
def test_l0_is_the_best_of_all_subsets(seed: int, spread: float, kept: int) -> None:
    changes, originals = problem(seed, spread, shape=(2, 2, 2))
    cut = (originals + changes).clamp(0, 1) - originals
    costs = []
    for chosen in itertools.combinations(range(4), min(kept, 4)):
        mask = torch.zeros(4, dtype=torch.float64)
        mask[list(chosen)] = 1.0
        costs.append(float((changes - cut * mask.view(2, 2)).square().sum()))
    found = onto_l0_in_box(changes, originals, torch.tensor([float(kept)]))
    assert float(sizes_of(found, "l0")) <= kept
    assert math.isclose(float((changes - found).square().sum()), min(costs), abs_tol=1e-12)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    seed=st.integers(0, 10_000),
    spread=st.floats(1e-4, 1e3),
    share=st.floats(0.0, 1.5),
    norm=st.sampled_from(NORMS),
)
def test_the_result_is_in_the_ball_and_the_box_and_what_is_there_stays(
    seed: int, spread: float, share: float, norm: str
) -> None:
    changes, originals = problem(seed, spread, (2, 5, 3), count=4, dtype=torch.float32)
    radii = share * sizes_of(changes, norm)
    found = project_in_box(changes, originals, radii, norm)
    assert (sizes_of(found, norm) <= radii * (1 + 1e-5) + 1e-7).all()
    assert float((originals + found).min()) >= -1e-7
    assert float((originals + found).max()) <= 1 + 1e-7
    again = project_in_box(found, originals, radii, norm)
    assert torch.allclose(again, found, atol=1e-5, rtol=1e-4)
    whole = sizes_of(changes, norm) + 1.0
    cut = (originals + changes).clamp(0, 1) - originals
    assert torch.allclose(project_in_box(changes, originals, whole, norm), cut, atol=1e-6)


@pytest.mark.parametrize("norm", NORMS)
def test_the_radius_is_used_up_where_the_box_allows(norm: str) -> None:
    changes, originals = problem(5, 1.0, (1, 4, 4), count=6, dtype=torch.float32)
    cut = (originals + changes).clamp(0, 1) - originals
    radii = (0.5 * sizes_of(cut, norm)).floor() if norm == "l0" else 0.5 * sizes_of(cut, norm)
    found = project_in_box(changes, originals, radii, norm)
    assert torch.allclose(sizes_of(found, norm), radii, rtol=1e-5)


@pytest.mark.parametrize("norm", NORMS)
def test_same_bits_in_every_batch(norm: str) -> None:
    changes, originals = problem(3, 1.0, (1, 9, 9), count=7, dtype=torch.float32)
    radii = torch.linspace(0.1, 1.5, 7) * sizes_of(changes, norm) / 2
    whole = project_in_box(changes, originals, radii, norm)
    for rows in ([3], [6, 0], [1, 2, 3, 4, 5]):
        part = project_in_box(changes[rows], originals[rows], radii[rows], norm)
        assert torch.equal(part, whole[rows])
