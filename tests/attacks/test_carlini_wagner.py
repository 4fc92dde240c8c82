from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from nversion.attacks.carlini_wagner import AGAIN, CarliniWagner
from nversion.attacks.criteria import margins
from nversion.attacks.deepfool import DeepFool
from nversion.attacks.linearised import IN_L2
from nversion.attacks.ray import TOLERANCE
from nversion.errors import InputError

if TYPE_CHECKING:
    from tests.attacks.conftest import Victim

FINISHING = 2 + IN_L2.steps + AGAIN.steps
"""Gradients that the last steps take of an image that was successfully attacked."""


def half_space(seed: int, count: int = 6, pixels: int = 12) -> Any:
    """Return a two-class linear model, images near the box's faces, labels, least distances.

    The nearest point of the other class is x0 + t * w, clipped to [0, 1]; t is found by bisection.
    """
    draws = torch.Generator().manual_seed(seed)
    images = torch.rand(count, 1, 3, pixels // 3, generator=draws) ** 4
    layer = nn.Linear(pixels, 2)
    with torch.no_grad():
        layer.weight.copy_(2.0 * torch.randn(2, pixels, generator=draws))
        layer.bias.zero_()
        model = nn.Sequential(nn.Flatten(), layer).eval()
        normal = (layer.weight[1] - layer.weight[0]).double()
        values = images.flatten(1).double() @ normal
        layer.bias[0] = values.median() + 0.5
        values = values - layer.bias[0].double()
        labels = (values > 0).long()
    least = []
    for image, value in zip(images.flatten(1).double(), values, strict=True):
        way = -normal if value > 0 else normal
        low, high = 0.0, 10.0
        for _ in range(60):
            middle = (low + high) / 2
            moved = (image + middle * way).clamp(0.0, 1.0)
            gain = float((moved - image) @ way)
            low, high = (middle, high) if gain < abs(float(value)) else (low, middle)
        least.append(((image + high * way).clamp(0.0, 1.0) - image).norm())
    return model, images, labels, torch.stack(least)


@pytest.mark.parametrize("seed", range(4))
def test_nearest_point_of_a_half_space_within_the_box(seed: int) -> None:
    model, images, labels, least = half_space(seed)
    result = CarliniWagner()(model, images, labels)
    assert result.success.all()
    assert (result.l2 >= least * (1.0 - 1e-5)).all()
    assert (result.l2 <= least * 1.01).all()


def test_nearer_than_deepfool(dense: Victim, convolutional: Victim) -> None:
    for victim in (dense, convolutional):
        images, labels = victim.images[:30], victim.labels[:30]
        ours = CarliniWagner()(victim.model, images, labels)
        theirs = DeepFool()(victim.model, images, labels)
        assert ours.success.all()
        assert float(ours.l2.mean()) < float(theirs.l2.mean())
        # Where the model is linear both are on the boundary, as near as the way back is searched.
        assert (ours.l2 < (1.0 + 2.0 * TOLERANCE) * theirs.l2).float().mean() > 0.9


def test_without_the_start(dense: Victim) -> None:
    images, labels = dense.images[:20], dense.labels[:20]
    ours = CarliniWagner()(dense.model, images, labels)
    plain = CarliniWagner(start_steps=0)(dense.model, images, labels)
    assert plain.success.all()
    assert float(plain.l2.mean()) < 1.1 * float(ours.l2.mean())
    finishing = FINISHING * len(images)
    assert plain.backwards - finishing > 2 * (ours.backwards - finishing)


def test_confidence(dense: Victim) -> None:
    images, labels = dense.images[:10], dense.labels[:10]
    result = CarliniWagner(confidence=2.0)(dense.model, images, labels)
    plain = CarliniWagner()(dense.model, images, labels)
    assert result.success.all()
    with torch.no_grad():
        reached = margins(dense.model(result.images), labels)
    assert (reached > 2.0 - 1e-4).all()
    assert (reached < 2.5).all(), "further than asked for"
    assert (result.l2 > plain.l2).all()


def test_all_iterations_without_early_stops(dense: Victim) -> None:
    images, labels = dense.images[:5], dense.labels[:5]
    attack = CarliniWagner(
        binary_search_steps=3, max_iterations=40, abort_early=False, start_steps=0
    )
    result = attack(dense.model, images, labels)
    finishing = FINISHING * int(result.success.sum())
    assert result.backwards == 5 * 3 * 40 + finishing


def test_constant_grows_until_adversarial(dense: Victim) -> None:
    # The least margin is worth 1e-6 of the squared distance at first: only c * 10 * 10 ... gets on.
    images, labels = dense.images[:5], dense.labels[:5]
    options = {"initial_constant": 1e-6, "start_steps": 0}
    assert not CarliniWagner(binary_search_steps=1, **options)(
        dense.model, images, labels
    ).success.any()
    assert CarliniWagner(binary_search_steps=9, **options)(
        dense.model, images, labels
    ).success.all()


def test_same_bits_in_every_batch(dense: Victim, convolutional: Victim) -> None:
    for victim in (dense, convolutional):
        images, labels = victim.images[:6], victim.labels[:6]
        whole = CarliniWagner()(victim.model, images, labels).images
        for rows in ([3], [2, 0, 5, 1], [5, 4, 3, 2, 1, 0]):
            part = CarliniWagner()(victim.model, images[rows], labels[rows]).images
            assert torch.equal(part, whole[rows])


@pytest.mark.parametrize(
    "options",
    [
        {"binary_search_steps": 0},
        {"max_iterations": 1.5},
        {"confidence": -1.0},
        {"learning_rate": 0.0},
        {"initial_constant": float("nan")},
        {"start_steps": -1},
    ],
)
def test_refused_options(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(options))):
        CarliniWagner(**options)
