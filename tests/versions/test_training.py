from __future__ import annotations

import dataclasses

import pytest
import torch

import nversion as nv
from nversion.errors import ArchitectureError, InputError, TrainingError
from nversion.models import evaluate, predict
from nversion.versions import Recipe, resolve_precision


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_it_learns_the_digits(
    digits: nv.Dataset, small_conv: nv.Architecture, quick: Recipe, precision: str
) -> None:
    version = nv.train(small_conv, digits, quick, seed=1, precision=precision)  # type: ignore[arg-type]
    assert version.record.test_accuracy > 0.9
    assert version.record.precision == precision
    assert {p.dtype for p in version.model.parameters()} == {torch.float32}
    assert not version.model.training


def test_the_record_is_what_the_model_does(
    digits: nv.Dataset, small_dense: nv.Architecture, quick: Recipe
) -> None:
    version = nv.train(small_dense, digits, quick, seed=2, name="mine")
    right = (predict(version.model, digits.test.images) == digits.test.labels).double().mean()
    assert version.record.test_accuracy == float(right)
    assert version.test_logits is not None
    assert torch.equal(version.test_logits, evaluate(version.model, digits.test.images))
    record = version.record
    assert record.name == version.name == "mine"
    assert record.train_accuracy_images == len(digits.train)
    assert record.parameters == sum(p.numel() for p in version.model.parameters())
    assert record.steps == quick.epochs * -(-len(digits.train) // quick.batch_size)
    assert record.dataset_digest == digits.digest


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_one_seed_gives_the_same_bits_and_another_does_not(
    digits: nv.Dataset, small_conv: nv.Architecture, quick: Recipe, precision: str
) -> None:
    short = quick.model_copy(update={"epochs": 2})
    runs = [
        nv.train(small_conv, digits, short, seed=seed, precision=precision).model.state_dict()  # type: ignore[arg-type]
        for seed in (3, 3, 4)
    ]
    assert all(torch.equal(runs[0][key], runs[1][key]) for key in runs[0])
    assert not all(torch.equal(runs[0][key], runs[2][key]) for key in runs[0])


def test_training_leaves_the_global_generator_as_it_was(
    digits: nv.Dataset, small_dense: nv.Architecture, quick: Recipe
) -> None:
    before = torch.get_rng_state()
    nv.train(small_dense, digits, quick.model_copy(update={"max_steps": 60}), seed=1)
    assert torch.equal(before, torch.get_rng_state())


def test_max_steps_stops_early(
    digits: nv.Dataset, small_dense: nv.Architecture, quick: Recipe
) -> None:
    version = nv.train(small_dense, digits, quick.model_copy(update={"max_steps": 70}), seed=1)
    assert version.record.steps == 70


def test_a_loss_that_becomes_nan_is_a_failure(
    digits: nv.Dataset, small_conv: nv.Architecture
) -> None:
    recipe = Recipe(optimiser="sgd", learning_rate=1e38, epochs=2, batch_size=128)
    with pytest.raises(TrainingError, match="wild: the loss became"):
        nv.train(small_conv, digits, recipe, name="wild", precision="float32")


def test_an_accuracy_at_chance_is_a_failure(
    digits: nv.Dataset, small_dense: nv.Architecture
) -> None:
    recipe = Recipe(optimiser="sgd", learning_rate=1e-12, epochs=1, batch_size=512)
    with pytest.raises(TrainingError, match="at chance"):
        nv.train(small_dense, digits, recipe, name="slow")


def test_soft_labels_are_learnt(
    digits: nv.Dataset, small_dense: nv.Architecture, quick: Recipe
) -> None:
    turned = (digits.train.labels + 1) % 10
    targets = torch.nn.functional.one_hot(turned, 10).float() * 0.9 + 0.01
    for objective in ("cross-entropy", "mean-squared-error"):
        recipe = quick.model_copy(update={"objective": objective, "epochs": 8})
        taught = dataclasses.replace(
            digits, train=nv.Split(digits.train.images, turned), name="turned"
        )
        version = nv.train(small_dense, taught, recipe, targets=targets, seed=5)
        assert version.record.train_accuracy > 0.9
        expected = (digits.test.labels + 1) % 10
        assert (predict(version.model, digits.test.images) == expected).double().mean() > 0.8


@pytest.mark.parametrize(
    "targets",
    [
        torch.zeros(3, 10),
        torch.full((1438, 10), 0.1).double(),
        torch.full((1438, 10), 0.2),
        torch.full((1438, 10), float("nan")),
    ],
    ids=["wrong shape", "wrong dtype", "no distribution", "nan"],
)
def test_malformed_targets_are_refused(
    digits: nv.Dataset, small_dense: nv.Architecture, quick: Recipe, targets: torch.Tensor
) -> None:
    with pytest.raises(InputError, match="targets must"):
        nv.train(small_dense, digits, quick, targets=targets)


def test_an_architecture_that_does_not_fit_is_refused(digits: nv.Dataset, quick: Recipe) -> None:
    architecture = nv.Architecture.parse("conv, 8, relu, 9\nflatten")
    with pytest.raises(ArchitectureError):
        nv.train(architecture, digits, quick)


def test_precision_follows_the_architecture_and_the_wish(
    small_conv: nv.Architecture, small_dense: nv.Architecture
) -> None:
    fast = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    assert resolve_precision("auto", small_conv) == ("bfloat16" if fast else "float32")
    assert resolve_precision("auto", small_dense) == "float32"
    assert resolve_precision("bfloat16", small_dense) == "bfloat16"
    with pytest.raises(InputError, match="float16"):
        resolve_precision("float16", small_conv)  # type: ignore[arg-type]
