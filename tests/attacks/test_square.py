"""The Square attack: its patches, its budget, and that it needs no gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from nversion.attacks import create
from nversion.attacks.square import bump, patch_share
from nversion.errors import InputError

if TYPE_CHECKING:
    from tests.attacks.conftest import Victim


class Stepped(nn.Module):
    """A network behind a staircase: its gradient is zero everywhere."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.model((images * 32.0).round() / 32.0)


def test_patches_shrink_on_schedule() -> None:
    assert [patch_share(query, 0.8) for query in (0, 10, 11, 50, 51, 9000)] == [
        0.8, 0.8, 0.4, 0.4, 0.2, 0.8 / 512,
    ]  # fmt: skip


@pytest.mark.parametrize("side", [1, 2, 3, 5, 8, 13])
def test_bumps(side: int) -> None:
    pattern = bump(side)
    assert pattern.shape == (side, side)
    assert float(pattern.norm()) == pytest.approx(1.0, abs=1e-6)
    assert (pattern[: side // 2] > 0).all()
    assert (pattern[side // 2 :] < 0).all()
    # Highest in the middle of each half, lower towards the rim.
    lower = -pattern[side // 2 :]
    height, width = lower.shape
    assert float(lower.max()) == float(lower[height // 2, width // 2])


def test_linf_perturbations_are_on_the_faces_of_the_ball(dense: Victim) -> None:
    images, labels = dense.images[:8], dense.labels[:8]
    result = create("square", epsilon=0.2, queries=150)(dense.model, images, labels)
    won = result.success
    assert int(won.sum()) >= 6
    images, changed = images[won], result.images[won]
    on_face = ((changed - images).abs() - 0.2).abs() < 1e-5
    assert (on_face | (changed == 0.0) | (changed == 1.0)).all()


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_asks_for_logits_only_and_not_too_often(norm: str, dense: Victim) -> None:
    images, labels = dense.images[:5], dense.labels[:5]
    result = create("square", norm=norm, epsilon=0.01, queries=40)(dense.model, images, labels)
    assert not result.success.any()
    assert result.backwards == 0
    # One for the original, one for the start, one for each query, a few to verify.
    assert 5 * 42 <= result.forwards <= 5 * 45


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_no_gradients_are_no_defence(norm: str, dense: Victim) -> None:
    model, images, labels = Stepped(dense.model), dense.images[:6], dense.labels[:6]
    epsilon = {"l2": 1.5, "linf": 0.25}[norm]
    blind = create("fab", norm=norm, steps=5)(model, images, labels)
    assert not blind.success.any()
    result = create("square", norm=norm, epsilon=epsilon, queries=300)(model, images, labels)
    assert int(result.success.sum()) >= 5


def test_search_improves_on_its_start(convolutional: Victim) -> None:
    model, images, labels = convolutional
    images, labels = images[:10], labels[:10]
    for norm, epsilon in (("linf", 0.2), ("l2", 0.9)):
        few, many = (
            create("square", norm=norm, epsilon=epsilon, queries=queries)(model, images, labels)
            for queries in (1, 300)
        )
        assert int(many.success.sum()) >= int(few.success.sum()) + 3
        assert (many.success | ~few.success).all()


def test_colour_and_oblong_images() -> None:
    draws = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 6 * 9, 4))
    images = torch.rand(5, 3, 6, 9, generator=draws)
    with torch.no_grad():
        labels = model(images).argmax(dim=1)
    for norm in ("l2", "linf"):
        result = create("square", norm=norm, queries=100)(model, images, labels)
        assert result.success.any()
        assert torch.isfinite(result.images).all()


@pytest.mark.parametrize("options", [{"queries": 0}, {"p_init": 0.0}, {"restarts": 0}])
def test_refused_options(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(options))):
        create("square", **options)
