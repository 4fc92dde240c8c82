"""The single-step attacks against their definition, magnitude by magnitude."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor

from nversion.attacks import create
from nversion.attacks.criteria import is_adversarial
from nversion.attacks.gradient import gradient_targets
from nversion.attacks.oracle import Oracle
from nversion.errors import InputError
from nversion.models import evaluate, frozen

if TYPE_CHECKING:
    from tests.attacks.conftest import Victim


def direction(victim: Victim, image: Tensor, label: Any, name: str) -> Any:
    # In float64, in which the cross-entropy does not vanish where the model is sure.
    model = copy.deepcopy(victim.model).double()
    image = image[None].double().requires_grad_(True)
    torch.nn.functional.cross_entropy(model(image), label[None]).backward()
    gradient = image.grad[0].float()
    if name == "gradient-sign":
        return gradient.sign()
    return gradient / gradient.square().mean().sqrt()


def by_definition(victim: Victim, image: Tensor, label: Any, along: Any) -> Any:
    """Scan 1,000 magnitudes up to 1, then 64 from the one before (20 from 0 if one of 20 hits)."""
    magnitudes = torch.linspace(0, 1, 1001)[1:]
    for _ in range(2):
        images = (image + magnitudes[:, None, None, None] * along).clamp(0, 1)
        labels = label.expand(len(images))
        hits = is_adversarial(evaluate(victim.model, images), labels).nonzero().squeeze(1)
        if len(hits) == 0:
            return None
        first = int(hits[0])
        if len(magnitudes) < 1000:
            break
        least, steps = (0.0, 20) if first < 20 else (float(magnitudes[first - 1]), 64)
        magnitudes = torch.linspace(least, float(magnitudes[first]), steps + 1)[1:]
    return images[first]


@pytest.mark.parametrize("name", ["gradient", "gradient-sign"])
def test_same_as_the_definition(name: str, dense: Victim, convolutional: Victim) -> None:
    fine = 0
    for victim in (dense, convolutional):
        images, labels = victim.images[:25], victim.labels[:25]
        result = create(name)(victim.model, images, labels)
        for row in range(len(images)):
            along = direction(victim, images[row], labels[row], name)
            expected = by_definition(victim, images[row], labels[row], along)
            assert bool(result.success[row]) == (expected is not None)
            if expected is not None:
                assert torch.allclose(result.images[row], expected, atol=1e-5)
                fine += float(result.linf[row]) < 0.02
    assert name == "gradient" or fine > 0, "no image tested the finer scan"


def test_where_rounding_turns_signs_the_nearer_direction_is_taken(dense: Victim) -> None:
    # As sure as this, the label's probability is 1 but for a few units in the last place.
    model = copy.deepcopy(dense.model)
    model[-1].weight.data *= 2.0
    model[-1].bias.data *= 2.0
    victim = dense._replace(model=model, images=dense.images[:60], labels=dense.labels[:60])
    result = create("gradient-sign")(model, victim.images, victim.labels)
    leaf = victim.images.clone().requires_grad_(True)
    torch.nn.functional.cross_entropy(model(leaf), victim.labels, reduction="sum").backward()
    taken = [0, 0]
    for row, (image, label) in enumerate(zip(victim.images, victim.labels, strict=True)):
        exact = direction(victim, image, label, "gradient-sign")
        rounded = leaf.grad[row].sign()
        if torch.equal(exact, rounded):
            continue
        found = [by_definition(victim, image, label, along) for along in (exact, rounded)]
        lengths = [torch.inf if x is None else float((x - image).abs().max()) for x in found]
        assert bool(result.success[row]) == (min(lengths) < torch.inf)
        if lengths[0] != lengths[1]:
            assert float(result.linf[row]) == pytest.approx(min(lengths), abs=1e-5)
            taken[lengths.index(min(lengths))] += 1
    assert min(taken) > 0, "no image tested either direction"


def test_needs_few_evaluations(dense: Victim) -> None:
    result = create("gradient-sign")(dense.model, dense.images[:50], dense.labels[:50])
    assert result.forwards < 50 * 30


def test_targets_are_what_the_gradient_attack_reaches(dense: Victim) -> None:
    images, labels = dense.images[:20], dense.labels[:20]
    result = create("gradient")(dense.model, images, labels)
    with frozen(dense.model):
        targets = gradient_targets(Oracle(dense.model), images, labels)
    assert torch.equal(targets[result.success], result.predictions[result.success])
    assert (targets != labels).all()


@pytest.mark.parametrize("options", [{"steps": 0}, {"largest": 0.0}, {"largest": float("nan")}])
def test_refused_options(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(options))):
        create("gradient", **options)
