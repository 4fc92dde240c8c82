"""On linear models the smallest perturbations are known: none may be smaller, few much larger."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from nversion.attacks import create, names
from nversion.attacks.criteria import margins

# Attacks that minimise their norm, and by how much they may miss the minimum on a linear model.
MINIMISERS = {
    "deepfool": 0.01,
    "carlini-wagner": 0.01,
    "slsqp": 0.01,
    "fab": 0.01,
    "slp": 0.01,
    "ddn": 0.01,
    "superdeepfool": 0.01,
}

QUICK = {
    "random-pgd": {"growing": 4, "bisecting": 8, "iterations": 10},
    "ead": {"iterations": 30},
    "fab": {"targets": 3, "steps": 30},
    "nearest": {"passes": 200},
    "hop-skip-jump": {"steps": 4, "evaluations": 50},
}

# A distance may fall below the minimum by the rounding of float32 sums, no more.
ROUNDING = 1e-4


@functools.cache
def linear_problem(seed: int, classes: int = 4, pixels: int = 12) -> Any:
    """Return a linear model, images in its middle and labels that it gives them.

    The images lie around 0.5 and the weights are large, so that the range of the pixels does not
    come into play.
    """
    draws = torch.Generator().manual_seed(seed)
    images = 0.4 + 0.2 * torch.rand(5, 1, 3, pixels // 3, generator=draws)
    layer = nn.Linear(pixels, classes)
    with torch.no_grad():
        layer.weight.copy_(4.0 * torch.randn(classes, pixels, generator=draws))
        layer.bias.copy_(-(layer.weight @ images.mean(dim=0).flatten()))
        model = nn.Sequential(nn.Flatten(), layer).eval()
        return model, images, model(images).argmax(dim=1)


def smallest(model: nn.Module, images: Tensor, labels: Any) -> Any:
    """Return the exact smallest L1, L2, Linf and L0 distances to another class, each [count].

    L1, L2, Linf: the margin over the dual norm of the difference of weights, least over classes.
    L0 (a lower bound): pixels needed if each gives all it can within [0, 1].
    """
    weight = model[1].weight.detach().double()
    with torch.no_grad():
        logits = model(images).double()
    result: dict[str, list[Tensor]] = {"l0": [], "l1": [], "l2": [], "linf": []}
    for image, label, row in zip(images.flatten(1).double(), labels, logits, strict=True):
        others = [k for k in range(len(row)) if k != int(label)]
        gaps = row[label] - row[others]
        differences = weight[others] - weight[label]
        result["l1"].append((gaps / differences.abs().amax(dim=1)).min())
        result["l2"].append((gaps / differences.norm(dim=1)).min())
        result["linf"].append((gaps / differences.abs().sum(dim=1)).min())
        gains = torch.where(differences > 0, differences * (1 - image), -differences * image)
        reached = gains.sort(dim=1, descending=True).values.cumsum(dim=1)
        result["l0"].append(((reached < gaps[:, None]).sum(dim=1) + 1).min().double())
    return {norm: torch.stack(values) for norm, values in result.items()}


@pytest.mark.parametrize("name", names())
@settings(deadline=None, max_examples=3, derandomize=True)
@given(seed=st.integers(0, 10_000))
def test_no_attack_beats_the_minimum(name: str, seed: int) -> None:
    model, images, labels = linear_problem(seed)
    result = create(name, **QUICK.get(name, {}))(model, images, labels)
    won = result.success
    for norm, least in smallest(model, images, labels).items():
        found = getattr(result, norm).double()
        assert (found[won] >= least[won] * (1.0 - ROUNDING)).all(), norm
    with torch.no_grad():
        assert (margins(model(result.images), labels)[won] > 0).all()


@pytest.mark.parametrize("name", [name for name in names() if name in MINIMISERS])
@settings(deadline=None, max_examples=4, derandomize=True)
@given(seed=st.integers(0, 10_000))
def test_minimisers_find_the_minimum(name: str, seed: int) -> None:
    model, images, labels = linear_problem(seed)
    attack = create(name, **QUICK.get(name, {}))
    result = attack(model, images, labels)
    assert result.success.all()
    found = getattr(result, attack.norm).double()
    assert (found <= smallest(model, images, labels)[attack.norm] * (1.0 + MINIMISERS[name])).all()


@pytest.mark.parametrize("seed", range(3))
def test_pgd_finds_the_linf_minimum(seed: int) -> None:
    model, images, labels = linear_problem(seed, classes=2)
    result = create("random-pgd")(model, images, labels)
    assert result.success.all()
    assert (result.linf <= smallest(model, images, labels)["linf"] * 1.01).all()


@pytest.mark.parametrize("name", ["gradient", "gradient-sign"])
def test_single_steps_find_their_minimum_between_two_classes(name: str) -> None:
    # Between two classes the gradient is the best L2 direction and its sign the best Linf one; the
    # magnitudes have steps of 0.001, in root mean square or per pixel.
    model, images, labels = linear_problem(3, classes=2)
    attack = create(name)
    result = attack(model, images, labels)
    least = smallest(model, images, labels)[attack.norm]
    grid = 0.001 * (12**0.5 if attack.norm == "l2" else 1.0)
    assert result.success.all()
    assert (getattr(result, attack.norm) - least <= grid * 1.01).all()
