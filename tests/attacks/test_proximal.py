"""The steps of attacks in L1 against programmes solved by SciPy."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from nversion.attacks.proximal import proximal_step

Floats: TypeAlias = npt.NDArray[np.float64]


@settings(deadline=None, max_examples=25, derandomize=True)
@given(seed=st.integers(0, 10_000), share=st.floats(0.05, 0.9), reach=st.floats(0.02, 2.0))
def test_a_step_is_the_minimum_in_the_box(seed: int, share: float, reach: float) -> None:
    draws = torch.Generator().manual_seed(seed)
    image = torch.rand(1, 1, 2, 3, generator=draws, dtype=torch.float64)
    target = torch.rand(1, 1, 2, 3, generator=draws, dtype=torch.float64)
    changes = (target - image) * (torch.rand(target.shape, generator=draws) < 0.5)
    normal = torch.randn(1, 1, 2, 3, generator=draws, dtype=torch.float64)
    most = float((torch.where(normal > 0, 1 - image, -image) * normal).sum())
    wanted = share * most
    step = proximal_step(
        changes, image, normal, torch.tensor([wanted]), torch.tensor([reach])
    ).flatten()
    x, d, g = (one.flatten().numpy() for one in (image, changes, normal))
    assert float(step @ normal.flatten()) >= wanted - 1e-5 * abs(wanted)
    assert bool(((image.flatten() + step) >= -1e-7).all() & ((image.flatten() + step) <= 1.0).all())

    # Sizes and signs apart: d' = up - down makes the absolute value linear.
    def value(both: Floats) -> float:
        moved = both[:6] - both[6:]
        return both.sum() + ((moved - d) ** 2).sum() / (2 * reach)

    def slope(both: Floats) -> Floats:
        pull = (both[:6] - both[6:] - d) / reach
        return np.r_[1 + pull, 1 - pull]

    found = minimize(  # type: ignore[call-overload]
        value, np.zeros(12), jac=slope,
        bounds=[*((0, 1 - v) for v in x), *((0, v) for v in x)],
        constraints={"type": "ineq", "fun": lambda b: g @ (b[:6] - b[6:]) - wanted},
        options={"ftol": 1e-12, "maxiter": 300},
    )  # fmt: skip
    ours = step.numpy()
    assert value(np.r_[ours.clip(min=0), (-ours).clip(min=0)]) <= found.fun * (1 + 1e-4) + 1e-5
