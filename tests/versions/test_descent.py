"""The training step, ordinary and recorded (by something that replays it on the processor)."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import nversion as nv
from nversion.errors import TrainingError
from nversion.versions import Recipe
from nversion.versions.descent import UNRECORDED, Material, Step, descend

RATES = {"adamw": 4e-3, "sgd": 0.05, "adadelta": 1.0}


class Recording:
    """Replays by doing the work again, as a graph does: on the tensors it was recorded with."""

    def __init__(self) -> None:
        self.recorded = self.played = 0

    def __call__(self, work: Callable[[], Tensor]) -> Callable[[], Tensor]:
        self.recorded += 1

        def replay() -> Tensor:
            self.played += 1
            return work().clone()

        return replay


def draws() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def given(digits: nv.Dataset, dtype: torch.dtype = torch.int64) -> tuple[nn.Module, Tensor, Tensor]:
    architecture = nv.Architecture.parse("conv 4 relu\nmaxpooling\nflatten\ndense 16 relu")
    network = architecture.build(digits.shape, digits.classes, seed=1).train()
    labels = digits.train.labels[:330]
    if dtype != torch.int64:
        labels = nn.functional.one_hot(labels, digits.classes).to(dtype)
    return network, digits.train.images[:330], labels


@pytest.mark.parametrize("optimiser", ["adamw", "sgd", "adadelta"])
@pytest.mark.parametrize("schedule", ["constant", "one-cycle"])
def test_a_recorded_training_is_the_ordinary_one(
    digits: nv.Dataset, optimiser: str, schedule: str
) -> None:
    recipe = Recipe(
        optimiser=optimiser,  # type: ignore[arg-type]
        learning_rate=RATES[optimiser],
        schedule=schedule,  # type: ignore[arg-type]
        epochs=3,
        batch_size=50,
    )
    network, images, labels = given(digits)
    other, recording, epochs = copy.deepcopy(network), Recording(), []
    for model, record in ((network, None), (other, recording)):
        order = torch.Generator().manual_seed(5)
        arguments = (model, Material(images, labels), recipe, False, draws(), order, "a")
        steps, loss = descend(*arguments, lambda: epochs.append(1), record)
        assert steps == 21
        assert loss > 0
    assert len(epochs) == 6
    # Recorded once, after the first steps; the last batch of an epoch has 30 images, not 50.
    assert (recording.recorded, recording.played) == (1, 3 * 6 - UNRECORDED)
    for ours, theirs in zip(network.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


def test_rows_and_rate_of_a_recorded_step_are_read_anew(digits: nv.Dataset) -> None:
    recipe = Recipe(optimiser="sgd", learning_rate=0.1, epochs=1, batch_size=20, momentum=0.0)
    network, images, labels = given(digits, torch.float32)
    step = Step(network, Material(images, labels), recipe, False, draws(), Recording())
    for turn in range(UNRECORDED):
        step(torch.arange(20) + turn, 1.0)
    before = [p.detach().clone() for p in network.parameters()]
    first = step(torch.arange(20, 40), 0.0)
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))
    again = step(torch.arange(20, 40), 1.0)
    assert torch.equal(first, again)
    assert not torch.equal(step(torch.arange(60, 80), 0.0), again)
    assert float(step(torch.arange(20, 40), 0.0)) < float(again)


def test_a_loss_that_is_no_number_ends_it(digits: nv.Dataset) -> None:
    recipe = Recipe(optimiser="sgd", learning_rate=1e30, epochs=2, batch_size=50)
    network, images, labels = given(digits)
    arguments = (network, Material(images, labels), recipe, False, draws(), draws(), "mine")
    with pytest.raises(TrainingError, match="mine: the loss became"):
        descend(*arguments, lambda: None)
