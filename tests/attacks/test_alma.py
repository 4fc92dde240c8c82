"""ALMA: its penalty's slope, and what it finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from nversion.attacks import create
from nversion.attacks.alma import penalty_slope

if TYPE_CHECKING:
    from tests.attacks.conftest import Victim


def penalty(values: Tensor, rho: Tensor, mu: Tensor) -> Tensor:
    above = mu * values + mu * rho * values**2 + rho**2 * values**3 / 6
    below = mu * values / (1 - rho * values.clamp(max=0))
    return torch.where(values >= 0, above, below)


def test_the_slope_is_the_penalty_s_derivative() -> None:
    values = torch.linspace(-2, 2, 41, dtype=torch.float64, requires_grad=True)
    rho, mu = torch.tensor(1.7, dtype=torch.float64), torch.tensor(0.3, dtype=torch.float64)
    (slope,) = torch.autograd.grad(penalty(values, rho, mu).sum(), values)
    assert torch.allclose(penalty_slope(values.detach(), rho, mu), slope)
    assert (slope > 0).all()


def test_longer_runs_come_nearer_in_both_norms(dense: Victim) -> None:
    images, labels = dense.images[:8], dense.labels[:8]
    for norm in ("l1", "l2"):
        few, many = (
            create("alma", norm=norm, steps=steps, refinements=0)(dense.model, images, labels)
            for steps in (40, 300)
        )
        assert many.success.all()
        assert getattr(many, norm).median() <= getattr(few, norm).median()
