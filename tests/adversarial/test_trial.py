"""One image under several attacks."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from nversion.adversarial import structural_similarity, try_attacks
from nversion.attacks import Attack, create
from nversion.attacks.noise import Noise
from nversion.attacks.oracle import Oracle
from nversion.errors import InputError
from nversion.models import predict


@dataclasses.dataclass(frozen=True)
class Breaks(Attack):
    name: ClassVar[str] = "breaks"
    norm: ClassVar[str] = "l2"

    def propose(self, oracle: Oracle, images: Tensor, labels: Tensor, noise: Noise) -> Tensor:
        raise InputError("it broke")


@pytest.fixture(scope="module")
def model() -> nn.Module:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weights in model.parameters():
            weights.copy_(torch.randn(weights.shape, generator=generator))
    return model


@pytest.fixture(scope="module")
def image() -> Tensor:
    return torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(2))


def test_a_target_is_what_a_success_is_taken_for(model: nn.Module, image: Tensor) -> None:
    label = int(predict(model, image[None]))
    for target in {0, 1, 2} - {label}:
        trial = try_attacks(model, {"ddn": create("ddn")}, image, label, target=target)
        assert trial.ran["ddn"].prediction == target == trial.to_json()["target"]


def test_the_numbers_are_the_attacks(model: nn.Module, image: Tensor) -> None:
    label = int(predict(model, image[None]))
    attack = create("deepfool")
    trial = try_attacks(model, {"deepfool": attack}, image, label, seed=3, storable=True)
    result = attack(model, image[None], torch.tensor([label]), seed=3, storable=True)
    found = trial.ran["deepfool"]
    assert found.success
    assert torch.equal(found.image, result.images[0])
    assert (found.l0, found.l2) == (float(result.l0), float(result.l2))
    assert found.ssim == pytest.approx(float(structural_similarity(result.images, image[None])))
    assert (found.forwards, found.backwards) == (result.forwards, result.backwards)
    assert not trial.already_misclassified
    row = trial.to_json()["attacks"][0]
    assert list(row) == [
        *("name", "norm", "options", "success", "prediction", "l0", "l1", "l2", "linf", "ssim"),
        *("forwards", "backwards", "seconds", "error"),
    ]
    assert row["error"] is None
    assert trial.picture("a title").axes


def test_a_failure_has_no_distance(model: nn.Module, image: Tensor) -> None:
    label = int(predict(model, image[None]))
    attack = create("random-pgd", epsilon=1e-7)
    found = try_attacks(model, {"weak": attack}, image, label).ran["weak"]
    assert not found.success
    assert found.l0 is found.l1 is found.l2 is found.linf is found.ssim is None
    assert torch.equal(found.image, image)


def test_an_attack_that_breaks_down_stops_no_other(model: nn.Module, image: Tensor) -> None:
    label = int(predict(model, image[None]))
    trial = try_attacks(model, {"breaks": Breaks(), "deepfool": create("deepfool")}, image, label)
    assert list(trial.ran) == ["deepfool"]
    assert "it broke" in trial.failures["breaks"]
    assert trial.to_json()["attacks"][0].keys() == {"name", "norm", "options", "error"}


def test_a_misclassified_image_is_not_attacked(model: nn.Module, image: Tensor) -> None:
    label = (int(predict(model, image[None])) + 1) % 3
    trial = try_attacks(model, {"deepfool": create("deepfool")}, image, label)
    assert trial.already_misclassified
    assert trial.trials == ()
    with pytest.raises(InputError, match="nothing to draw"):
        trial.picture("")
