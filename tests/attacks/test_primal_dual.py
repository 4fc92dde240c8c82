"""PDGD and PDPGD: proximal operators against brute force, and the paper's promise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from nversion.attacks import create
from nversion.attacks.primal_dual import _PROXIMAL
from nversion.errors import InputError

if TYPE_CHECKING:
    from tests.attacks.conftest import Victim

NORMS = {
    "l0": lambda z: (z != 0).any(dim=1).flatten(1).sum(dim=1).float(),
    "l1": lambda z: z.abs().flatten(1).sum(dim=1),
    "l2": lambda z: z.flatten(1).norm(dim=1),
    "linf": lambda z: z.abs().flatten(1).amax(dim=1),
}


def problem(seed: int = 0, count: int = 40) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    draws = torch.Generator().manual_seed(seed)
    originals = torch.rand(count, 1, 3, 4, generator=draws)
    changes = torch.randn(count, 1, 3, 4, generator=draws)
    metric = 0.5 + torch.rand(count, 1, 3, 4, generator=draws)
    weights = torch.rand(count, generator=draws)
    return changes, originals, weights, metric


def value(norm: str, z: Tensor, changes: Tensor, weights: Tensor, metric: Tensor) -> Tensor:
    return weights * NORMS[norm](z) + (metric * (z - changes).square()).flatten(1).sum(dim=1) / 2


@pytest.mark.parametrize("norm", ["l0", "l1", "l2", "linf"])
def test_no_point_of_the_box_is_better_than_the_proximal_point(norm: str) -> None:
    changes, originals, weights, metric = problem()
    if norm in ("l2", "linf"):
        # There it starts from the nearest change in the box.
        changes = (originals + changes).clamp(0, 1) - originals
    points = _PROXIMAL[norm](changes, originals, weights, metric)
    assert ((originals + points) >= -1e-6).all()
    assert ((originals + points) <= 1 + 1e-6).all()
    best = value(norm, points, changes, weights, metric)
    slack = 0.02 if norm == "l2" else 1e-5
    draws = torch.Generator().manual_seed(1)
    for scale in (1.0, 0.1, 0.01):
        for _ in range(100):
            near = points + scale * torch.randn(points.shape, generator=draws)
            if norm == "l0":
                near = torch.where(points == 0, 0.0, near)
            others = (originals + near).clamp(0, 1) - originals
            assert (value(norm, others, changes, weights, metric) >= best - slack).all()
    nothing = torch.zeros_like(points)
    assert (value(norm, nothing, changes, weights, metric) >= best - slack).all()


def test_all_subsets_of_pixels_are_no_better_in_l0() -> None:
    changes, originals, weights, metric = (
        part[..., :2, :2] if part.dim() > 1 else part for part in problem()
    )
    best = value(
        "l0", _PROXIMAL["l0"](changes, originals, weights, metric), changes, weights, metric
    )
    kept = (originals + changes).clamp(0, 1) - originals
    for subset in range(16):
        mask = torch.tensor([(subset >> bit) & 1 for bit in range(4)]).view(1, 1, 2, 2)
        assert (value("l0", kept * mask, changes, weights, metric) >= best - 1e-5).all()


@pytest.mark.parametrize("norm", ["l1", "l2", "linf"])
def test_more_steps_come_no_farther(norm: str, dense: Victim) -> None:
    images, labels = dense.images[:20], dense.labels[:20]
    few, many = (
        create("pdpgd", norm=norm, steps=steps, refinements=0)(dense.model, images, labels)
        for steps in (30, 300)
    )
    assert many.success.all()
    assert getattr(many, norm).median() < getattr(few, norm).median()


@pytest.mark.parametrize("norm", ["l3", 3, True])
def test_refused_norms(norm: object) -> None:
    with pytest.raises(InputError, match="norm"):
        create("pdpgd", norm=norm)
