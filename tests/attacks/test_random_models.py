"""Attacks refuse models whose answers do not repeat: what they found would not hold."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from nversion.attacks import create, names
from nversion.errors import UnsupportedModuleError
from nversion.program import Program

if TYPE_CHECKING:
    from tests.attacks.conftest import Victim


class Unsteady(nn.Module):
    """A network whose logits go through a step that changes from call to call."""

    def __init__(self, model: nn.Module, step: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.model, self.step, self.calls = copy.deepcopy(model), step, 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        return self.step(self, self.model(images))


STEPS = {
    "dropout": lambda _, z: functional.dropout(z, 0.5),
    "rare dropout": lambda _, z: functional.dropout(z, 1e-6),
    "dropout made in forward": lambda _, z: nn.Dropout(0.5)(z),
    "noise": lambda _, z: z + torch.randn(10),
    "noise from numpy": lambda _, z: z + torch.tensor(np.random.default_rng().random(10)),
    "a counter": lambda model, z: z * (1 + model.calls % 2),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_model_whose_answers_do_not_repeat_is_refused(
    step: Callable[[nn.Module, Tensor], Tensor], dense: Victim
) -> None:
    model = Unsteady(dense.model, STEPS[step])
    with pytest.raises(UnsupportedModuleError, match=r"Unsteady .*attack's success would not hold"):
        create("gradient")(model, dense.images[:3], dense.labels[:3])


@pytest.mark.parametrize("name", names())
def test_every_attack_refuses_a_program_with_a_random_version(name: str, dense: Victim) -> None:
    program = Program([dense.model, Unsteady(dense.model, STEPS["noise"])])
    with pytest.raises(UnsupportedModuleError, match=r"draws at random .*\(randn\)"):
        create(name)(program, dense.images[:2], dense.labels[:2])


def test_attacks_from_elsewhere_refuse_it_too(dense: Victim) -> None:
    pytest.importorskip("foolbox")
    model = Unsteady(dense.model, STEPS["dropout"])
    with pytest.raises(UnsupportedModuleError, match="draws at random"):
        create("foolbox:LinfFastGradientAttack", epsilon=0.3)(
            model, dense.images[:2], dense.labels[:2]
        )


def test_a_success_that_does_not_repeat_tells_of_a_model_that_changed_meanwhile(
    dense: Victim,
) -> None:
    images, labels = dense.images[:1], dense.labels[:1]
    steady = Unsteady(dense.model, lambda _, z: z)
    create("deepfool")(steady, images, labels)

    def back_at_the_last_call(model: nn.Module, z: Tensor) -> Any:
        right = functional.one_hot(labels, 10).expand(len(z), 10) * 9.0
        return z if model.calls < steady.calls else right

    turned = Unsteady(dense.model, back_at_the_last_call)
    with pytest.raises(UnsupportedModuleError, match="other logits for the same images"):
        create("deepfool")(turned, images, labels)


@pytest.mark.parametrize("name", ["gradient", "square", "deepfool"])
def test_noise_from_a_seed_of_the_models_own_is_no_randomness(name: str, dense: Victim) -> None:
    def seeded(_: Any, z: Tensor) -> Any:
        return z + 0.1 * torch.randn(10, generator=torch.Generator().manual_seed(3))

    model = Unsteady(dense.model, seeded)
    result = create(name)(model, dense.images[:4], dense.labels[:4])
    again = create(name)(model, dense.images[:4], dense.labels[:4])
    assert torch.equal(result.images, again.images)
    assert result.success.any()


def test_the_question_costs_no_evaluations_of_the_attacks_own(dense: Victim) -> None:
    images, labels = dense.images[:4], dense.labels[:4]
    steady = Unsteady(dense.model, lambda _, z: z)
    first = create("gradient")(dense.model, images, labels)
    second = create("gradient")(steady, images, labels)
    assert (first.forwards, first.backwards) == (second.forwards, second.backwards)
    assert torch.equal(first.images, second.images)
