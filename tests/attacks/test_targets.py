"""Attacks aimed at one class for each image."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

import nversion as nv
from nversion.attacks import Attack, create, names
from nversion.attacks.criteria import is_adversarial
from nversion.errors import InputError

from .test_all_attacks import QUICK

if TYPE_CHECKING:
    from tests.attacks.conftest import Victim

COUNT = 6

TARGETED = [name for name in names() if create(name).targetable]
REFUSING = [name for name in names() if not create(name).targetable]

# How many of the six an attack may miss of the likeliest wrong class, with the quick options.
MAY_MISS = {"gradient": 2, "gradient-sign": 2, "square": 3, "saliency-map": 1, "adef": 1}


def quick(name: str) -> Attack:
    return create(name, **QUICK.get(name, {}))


def second(victim: Victim, count: int = COUNT) -> tuple[Tensor, Tensor, Tensor]:
    """Return images, labels, and the likeliest wrong class of each."""
    images, labels = victim.images[:count], victim.labels[:count]
    with torch.no_grad():
        logits = victim.model(images).scatter(1, labels[:, None], -torch.inf)
    return images, labels, logits.argmax(dim=1)


def test_which_attacks_take_a_target() -> None:
    assert {"deepfool", "newtonfool", "auto", "hop-skip-jump"} <= set(REFUSING)
    assert {"carlini-wagner", "lbfgs", "slsqp", "random-pgd", "apgd", "fab"} <= set(TARGETED)


@pytest.mark.parametrize("name", TARGETED)
def test_success_is_to_be_the_target(name: str, dense: Victim) -> None:
    images, labels, target = second(dense)
    result = quick(name)(dense.model, images, labels, target=target, seed=1)
    assert int(result.success.sum()) >= COUNT - MAY_MISS.get(name, 0)
    assert torch.equal(result.predictions == target, result.success)
    lost = ~result.success
    assert torch.equal(result.images[lost], images[lost])
    assert result.l2[lost].isposinf().all()
    for image, aim in zip(result.images[result.success], target[result.success], strict=True):
        with torch.no_grad():
            assert int(dense.model(image[None]).argmax()) == int(aim)


@pytest.mark.parametrize("name", TARGETED)
def test_same_bits_in_every_batch(name: str, dense: Victim) -> None:
    images, labels, target = second(dense)
    whole = quick(name)(dense.model, images, labels, target=target, seed=2)
    rows = [4, 0, 3]
    given = images[rows], labels[rows]
    part = quick(name)(dense.model, *given, target=target[rows], seed=2)
    assert torch.equal(part.images, whole.images[rows])
    assert torch.equal(part.success, whole.success[rows])


@pytest.mark.parametrize("name", REFUSING)
def test_refused_by_name(name: str, dense: Victim) -> None:
    images, labels, target = second(dense, 2)
    with pytest.raises(InputError, match=f"{name} takes no target"):
        quick(name)(dense.model, images, labels, target=target)


def test_a_target_far_away_is_farther_than_the_nearest_class(dense: Victim) -> None:
    images, labels, near = second(dense, 10)
    far = (labels + 5) % 10
    attack = create("slsqp")
    any_class = attack(dense.model, images, labels).l2
    assert attack(dense.model, images, labels, target=near).success.all()
    distances = attack(dense.model, images, labels, target=far).l2
    assert (distances >= 0.98 * any_class).all()
    assert float(distances.median()) > float(any_class.median())


def test_on_a_linear_network_the_nearest_image_of_the_target_is_found() -> None:
    draws = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 2, bias=False)).eval()
    with torch.no_grad():
        model[1].weight.copy_(torch.randn(2, 36, generator=draws) / 30)
    images = 0.5 + 0.1 * (torch.rand(8, 1, 6, 6, generator=draws) - 0.5)
    with torch.no_grad():
        logits = model(images)
    labels, target = logits.argmax(dim=1), logits.argmin(dim=1)
    normal = (model[1].weight[0] - model[1].weight[1]).detach()
    exact = (logits[:, 0] - logits[:, 1]).abs() / normal.norm()
    for name in ("carlini-wagner", "slsqp", "lbfgs", "fab"):
        options = {"norm": "l2"} if name == "fab" else {}
        result = create(name, **options)(model, images, labels, target=target)
        assert torch.allclose(result.l2, exact, rtol=0.01, atol=1e-4), name


def test_a_program_is_aimed_at_as_well(dense: Victim, convolutional: Victim) -> None:
    program = nv.Program([dense.model, convolutional.model], voter="mean-softmax")
    images, labels = dense.images[:4], dense.labels[:4]
    target = (labels + 1) % 10
    result = create("slsqp")(program, images, labels, target=target)
    assert result.success.any()
    assert torch.equal(program.vote(result.images).labels == target, result.success)


def test_an_image_that_is_wrong_to_begin_with_is_no_success(dense: Victim) -> None:
    images, labels, target = second(dense, 3)
    wrong = labels.clone()
    wrong[1] = (labels[1] + 1) % 10
    target[1] = labels[1]
    result = create("slsqp")(dense.model, images, wrong, target=target)
    assert result.already_misclassified.tolist() == [False, True, False]
    assert result.success.tolist() == [True, False, True]


def test_storable_images_stay_the_target(dense: Victim) -> None:
    images, labels, target = second(dense)
    result = create("slsqp")(dense.model, images, labels, target=target, storable=True)
    assert result.success.all()
    stored = (result.images * 255.0).round() / 255.0
    with torch.no_grad():
        logits = dense.model(stored)
    assert torch.equal(logits.argmax(dim=1), target)
    assert is_adversarial(logits, labels).all()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (lambda labels: labels, r"target\[0\] is \d, the image's own label"),
        (lambda labels: labels + 10, r"target must be at least 0 and below 10"),
        (lambda labels: labels[:1], r"target must have the shape \[3\]"),
        (lambda labels: labels.float(), "target must be int64"),
        (lambda labels: 3, r"target must be a torch\.Tensor"),
    ],
)
def test_refused_targets(target: Callable[[Tensor], Any], message: str, dense: Victim) -> None:
    images, labels = dense.images[:3], dense.labels[:3]
    with pytest.raises(InputError, match=message):
        create("slsqp")(dense.model, images, labels, target=target(labels))
