"""Linear members whose votes have closed forms or can be searched through."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from scipy import optimize
from torch import Tensor, nn

Floats: TypeAlias = npt.NDArray[np.float64]


class Member(nn.Module):
    """Two classes; the margin of the first over the second is lead - weight . (image - 0.5)."""

    def __init__(self, weight: Floats, lead: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight, dtype=torch.float32)[None])
        self.lead = nn.Parameter(torch.tensor(float(lead)))

    def forward(self, images: Tensor) -> Tensor:
        margin = self.lead - nn.functional.linear(images.flatten(1) - 0.5, self.weight).squeeze(1)
        return torch.stack([margin / 2, -margin / 2], dim=1)


def equal_members(
    count: int, cosine: float, pixels: int = 24, seed: int = 0, size: float = 8.0, lead: float = 1.0
) -> list[Member]:
    """Return members with equal margins, whose gradients have one pairwise cosine."""
    draws = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(draws.normal(size=(pixels, count + 1)))
    shared = math.sqrt(cosine) * basis[:, 0]
    weights = [size * (shared + math.sqrt(1 - cosine) * basis[:, k + 1]) for k in range(count)]
    return [Member(weight, lead) for weight in weights]


def unequal_members(count: int, pixels: int = 24, seed: int = 0) -> list[Member]:
    """Return members with different margins and directions."""
    draws = np.random.default_rng(seed)
    shared = draws.normal(size=pixels)
    weights = [2.0 * (shared + draws.normal(size=pixels)) for _ in range(count)]
    leads = draws.uniform(0.3, 2.0, size=count)
    return [Member(weight, lead) for weight, lead in zip(weights, leads, strict=True)]


def grey(pixels: int = 24, count: int = 1) -> tuple[Tensor, Tensor]:
    """Return even images in the middle of the box, where no distance below meets it."""
    return torch.full((count, 1, 4, pixels // 4), 0.5), torch.zeros(count, dtype=torch.int64)


def weights_and_leads(members: Sequence[Member]) -> tuple[Floats, Floats]:
    weights = np.stack([m.weight.detach().double().numpy()[0] for m in members])
    return weights, np.array([float(m.lead.detach()) for m in members])


def distance(
    members: Sequence[Member],
    chosen: Sequence[int],
    norm: str,
    low: float | Floats = -0.5,
    high: float | Floats = 0.5,
) -> float:
    """Return how far some members are from being wrong together, by a solver of its own."""
    weights, leads = weights_and_leads([members[k] for k in chosen])
    pixels = weights.shape[1]
    box = list(zip(np.broadcast_to(low, pixels), np.broadcast_to(high, pixels), strict=True))
    if norm == "inf":
        rows = np.hstack([-weights, np.zeros((len(chosen), 1))])
        cube = np.vstack(
            [np.hstack([sign * np.eye(pixels), -np.ones((pixels, 1))]) for sign in (1, -1)]
        )
        found = optimize.linprog(
            np.append(np.zeros(pixels), 1.0),
            A_ub=np.vstack([rows, cube]),
            b_ub=np.append(-leads, np.zeros(2 * pixels)),
            bounds=[*box, (0, None)],
        )
        return float(found.fun) if found.success else np.inf
    first = np.linalg.lstsq(weights, leads, rcond=None)[0].clip(low, high)
    found = optimize.minimize(  # type: ignore[call-overload]
        lambda d: d @ d / 2,
        first,
        jac=lambda d: d,
        bounds=box,
        constraints={
            "type": "ineq",
            "fun": lambda d: weights @ d - leads,
            "jac": lambda d: weights,
        },
        method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-12},
    )
    return math.sqrt(2 * found.fun) if found.success else np.inf


def by_brute_force(members: Sequence[Member], flips: int, norm: str, **box: Any) -> float:
    """Return the least distance over all choices of so many members."""
    choices = itertools.combinations(range(len(members)), flips)
    return min(distance(members, chosen, norm, **box) for chosen in choices)


def mean_softmax_distance(members: Sequence[Member], norm: str = "2") -> float:
    """Return the least distance at which the mean softmax changes its mind, numerically.

    With two classes the mean softmax prefers the second where the mean of tanh(margin / 2) < 0.
    """
    weights, leads = weights_and_leads(members)

    def lead(d: Floats) -> float:
        return np.tanh((leads - weights @ d) / 2).mean()

    def slope(d: Floats) -> Floats:
        return -((1 - np.tanh((leads - weights @ d) / 2) ** 2) / 2) @ weights / len(leads)

    best = np.inf
    draws = np.random.default_rng(5)
    for _ in range(20):
        shares = draws.dirichlet(np.ones(len(leads)))
        direction = shares @ weights
        first = direction * (leads.max() / (direction @ direction)) * 1.2
        found = optimize.minimize(  # type: ignore[call-overload]
            lambda d: d @ d / 2,
            first,
            jac=lambda d: d,
            constraints={"type": "ineq", "fun": lambda d: -lead(d), "jac": lambda d: -slope(d)},
            method="SLSQP",
            options={"maxiter": 300, "ftol": 1e-13},
        )
        if found.success and lead(found.x) < 1e-7:
            best = min(best, math.sqrt(2 * found.fun))
    return best
