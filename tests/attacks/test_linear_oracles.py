"""Minimum-norm attacks beside the exact smallest changes of linear networks in the box."""

from __future__ import annotations

from typing import Any

import linear_oracles
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize
from torch import Tensor

from nversion.attacks import create
from nversion.attacks.criteria import margins, success_margin
from nversion.attacks.rivals import within_reach

SHAPES = ((1, 4, 4), (3, 3, 3))

# By how much an attack alone may miss the minimum between two classes, and among ten: it goes for
# the class whose logit is largest, which need not be the nearest. In L0, how many pixels.
ALONE = {
    ("fmn", "l0"): (1, 1),
    ("fmn", "l1"): (0.01, 0.5),
    ("fmn", "l2"): (0.01, 0.5),
    ("fmn", "linf"): (0.01, 0.5),
    ("sigma-zero", "l0"): (1, 1),
    ("ead", "l1"): (0.05, 0.5),
    ("apgd-l1", "l1"): (0.05, 0.5),
    ("apgd-targeted", "l2"): (0.01, 0.1),
    ("apgd-targeted", "linf"): (0.01, 0.1),
    ("slp", "l0"): (1, 1),
    ("slp", "l1"): (0.05, 0.05),
    ("slp", "l2"): (0.01, 0.01),
    ("slp", "linf"): (0.01, 0.01),
    ("pdpgd", "l1"): (0.2, 0.5),
    ("pdpgd", "l2"): (0.05, 0.5),
    ("pdpgd", "linf"): (0.05, 0.5),
    ("alma", "l1"): (0.05, 0.5),
    ("alma", "l2"): (0.05, 0.5),
    ("ddn", "l2"): (0.05, 0.5),
    ("pdgd", "l2"): (0.05, 0.5),
    ("superdeepfool", "l2"): (0.05, 0.5),
}

QUICK = {
    "alma": {"steps": 100},
    "ddn": {"steps": 40},
    "ead": {"iterations": 40},
    "fmn": {"steps": 60},
    "pdgd": {"steps": 100},
    "pdpgd": {"steps": 100},
    "sigma-zero": {"steps": 60},
    "slp": {"steps": 15},
    "superdeepfool": {"steps": 10},
}

some_problems = given(seed=st.integers(0, 10_000), shape=st.sampled_from(SHAPES))


def excess(found: Tensor, exact: Tensor, norm: str) -> Tensor:
    """Return by how much what was found exceeds the exact sizes: pixels in L0, else a share."""
    possible = exact.isfinite()
    found, exact = found.double()[possible], exact[possible]
    assert (found >= exact * (1 - 1e-4)).all(), "smaller than is possible"
    return (found - exact if norm == "l0" else found / exact - 1).clamp(min=0)


def what_success_asks(problem: linear_oracles.LinearProblem) -> Tensor:
    """Return by which share a change must exceed the least one to count, on a linear network.

    An attack's success must hold beyond rounding, and the least change ends on the boundary itself:
    where an image lies next to it, that margin is a good part of the way.
    """
    with torch.no_grad():
        logits = problem.model(problem.images)
    lead = -margins(logits, problem.labels)
    return (success_margin(logits, problem.labels) / lead).double()


@pytest.mark.parametrize("norm", linear_oracles.NORMS)
@pytest.mark.parametrize("passes", [200, 600])
@settings(deadline=None, max_examples=3, derandomize=True)
@given(
    seed=st.integers(0, 10_000),
    shape=st.sampled_from(SHAPES),
    classes=st.sampled_from([2, 4, 10]),
)
def test_nearest_reaches_the_minimum(
    norm: str, passes: int, seed: int, shape: tuple[int, ...], classes: int
) -> None:
    problem = linear_oracles.linear_problem(seed, classes=classes, shape=shape)
    result = create("nearest", norm=norm, passes=passes)(
        problem.model, problem.images, problem.labels
    )
    least = linear_oracles.smallest(problem)[norm]
    over = excess(getattr(result, norm), least, norm)
    assert (
        over <= (1 if norm == "l0" else 0.01 + what_success_asks(problem)[least.isfinite()])
    ).all()


@pytest.mark.parametrize(("name", "norm"), list(ALONE))
@settings(deadline=None, max_examples=2, derandomize=True)
@some_problems
def test_attacks_alone(name: str, norm: str, seed: int, shape: tuple[int, ...]) -> None:
    options: dict[str, Any] = dict(QUICK.get(name, {}))
    choosing = name in ("apgd-targeted", "fmn", "slp", "pdpgd", "alma")
    options = {**options, "norm": norm} if choosing else options
    for classes, tolerance in zip((2, 10), ALONE[name, norm], strict=True):
        problem = linear_oracles.linear_problem(seed, classes=classes, shape=shape)
        result = create(name, **options)(problem.model, problem.images, problem.labels)
        least = linear_oracles.smallest(problem)[norm]
        over = excess(getattr(result, norm), least, norm)
        # Among ten classes one image in many may be lost to a class that cannot be reached.
        assert float(over.median()) <= tolerance
        assert classes > 2 or (over <= tolerance).all()


@settings(deadline=None, max_examples=10, derandomize=True)
@given(seed=st.integers(0, 10_000), share=st.floats(0.05, 0.9))
def test_the_oracles_are_what_scipy_finds(seed: int, share: float) -> None:
    draws = np.random.default_rng(seed)
    image, normal = draws.uniform(size=(2, 2, 2)), draws.normal(size=(2, 2, 2))
    room = np.where(normal > 0, 1 - image, image).ravel()
    slope = np.abs(normal).ravel()
    gap = share * float(slope @ room)
    bounds = list(zip(np.zeros(8), room, strict=True))
    least = {norm: linear_oracles.to_boundary(image, normal, gap, norm) for norm in ("l1", "l2")}
    l1 = linprog(np.ones(8), A_ub=-slope[None], b_ub=[-gap], bounds=bounds)
    assert np.isclose(l1.fun, least["l1"], rtol=1e-6)
    l2 = minimize(  # type: ignore[call-overload]
        lambda d: d @ d / 2, room / 2, jac=lambda d: d, bounds=bounds,
        constraints={"type": "ineq", "fun": lambda d: slope @ d - gap}, options={"ftol": 1e-12},
    )  # fmt: skip
    assert np.isclose(np.sqrt(2 * l2.fun), least["l2"], rtol=1e-4)
    # In Linf the largest component is one more variable.
    linf = linprog(
        np.r_[np.zeros(8), 1],
        A_ub=np.vstack([np.r_[-slope, 0], np.c_[np.eye(8), -np.ones(8)]]),
        b_ub=np.r_[-gap, np.zeros(8)],
        bounds=[*bounds, (0, None)],
    )
    assert np.isclose(linf.fun, linear_oracles.to_boundary(image, normal, gap, "linf"), rtol=1e-6)


@pytest.mark.parametrize("norm", linear_oracles.NORMS)
@settings(deadline=None, max_examples=25, derandomize=True)
@given(seed=st.integers(0, 10_000), share=st.floats(0.01, 0.95))
def test_one_linear_model_is_solved_exactly(norm: str, seed: int, share: float) -> None:
    draws = torch.Generator().manual_seed(seed)
    images = torch.rand(3, 2, 3, 3, generator=draws)
    normals = torch.randn(3, 2, 3, 3, generator=draws)
    most = (torch.where(normals > 0, 1 - images, images) * normals.abs()).flatten(1).sum(dim=1)
    changes = within_reach(images, normals, share * most, norm)
    reached = (changes * normals).flatten(1).sum(dim=1)
    assert torch.allclose(reached, share * most, rtol=1e-4, atol=1e-5)
    for image, normal, gap, change in zip(images, normals, share * most, changes, strict=True):
        exact = linear_oracles.to_boundary(
            image.double().numpy(), normal.double().numpy(), float(gap), norm
        )
        found = {
            "l0": float((change != 0).any(dim=0).sum()),
            "l1": float(change.abs().sum()),
            "l2": float(change.norm()),
            "linf": float(change.abs().max()),
        }[norm]
        assert abs(found - exact) <= (1 if norm == "l0" else 1e-4 * exact + 1e-5)
