"""AutoAttack: the ensemble breaks what any of its attacks breaks, and nothing beyond epsilon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from nversion.attacks import create
from nversion.attacks.apgd import AutoPGD
from nversion.attacks.fab import FastAdaptiveBoundary
from nversion.attacks.square import Square

if TYPE_CHECKING:
    from tests.attacks.conftest import Victim

SMALL = {"steps": 20, "targets": 3, "queries": 100}


def test_the_standard_version() -> None:
    auto: Any = create("auto", norm="l2", epsilon=1.5)
    stages = auto.stages()
    assert stages == (
        AutoPGD("l2", 1.5, loss="cross-entropy", steps=100, restarts=1),
        AutoPGD("l2", 1.5, loss="targeted-dlr", steps=100, restarts=1, targets=9),
        FastAdaptiveBoundary("l2", targets=9, steps=100, restarts=1, enough=1.5),
        Square("l2", 1.5, queries=5000, p_init=0.8, restarts=1),
    )


@pytest.mark.parametrize(("norm", "dual"), [("linf", 1), ("l2", 2)])
def test_a_linear_model_is_broken_where_it_can_be_and_only_there(norm: str, dual: int) -> None:
    draws = torch.Generator().manual_seed(3)
    model = nn.Sequential(nn.Flatten(), nn.Linear(25, 2))
    with torch.no_grad():
        model[1].weight.copy_(torch.randn(2, 25, generator=draws))
        model[1].bias.zero_()
    images = 0.5 + 0.08 * torch.randn(12, 1, 5, 5, generator=draws)
    with torch.no_grad():
        logits = model(images)
    labels = logits.argmax(dim=1)
    gaps = (logits[:, 0] - logits[:, 1]).abs()
    exact = (gaps / (model[1].weight[0] - model[1].weight[1]).norm(p=dual)).detach()
    epsilon = float(exact.median()) * 1.0001
    clear = (exact / epsilon - 1).abs() > 0.01
    result = create("auto", norm=norm, epsilon=epsilon, **SMALL)(model, images, labels)
    assert torch.equal(result.success[clear], exact[clear] < epsilon)
    assert 0 < int(result.success.sum()) < 12


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.1), ("l2", 0.5)])
def test_no_weaker_than_its_parts(norm: str, epsilon: float, convolutional: Victim) -> None:
    model, images, labels = convolutional
    images, labels = images[:8], labels[:8]
    auto: Any = create("auto", norm=norm, epsilon=epsilon, **SMALL)
    together = int(auto(model, images, labels).success.sum())
    assert 0 < together < 8
    for stage in auto.stages():
        alone = stage(model, images, labels)
        assert together >= int((getattr(alone, norm) <= epsilon).sum())


def test_the_last_stage_needs_no_gradients(dense: Victim) -> None:
    class Stepped(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return dense.model((images * 32.0).round() / 32.0)

    images, labels = dense.images[:4], dense.labels[:4]
    options = {**SMALL, "steps": 3, "queries": 300}
    result = create("auto", epsilon=0.25, **options)(Stepped(), images, labels)
    assert int(result.success.sum()) >= 3
