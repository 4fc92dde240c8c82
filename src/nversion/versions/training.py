"""Train one version: the step, the schedule, and the checks that decide whether it counts.

Speed on a processor comes from three things, measured in ``benchmarks/training.py``: bfloat16
arithmetic for convolutions where the processor has it (parameters, gradients' accumulation and the
optimiser stay float32), images in channels-last order, and optimisers that update all parameters
in one call. The images stay in memory as one tensor; a batch is a selection of its rows.

Everything random (weights, order of the images, dropout) comes from the one seed, by generators of
its own.
"""

from __future__ import annotations

import dataclasses
import math
import platform
import time
from collections.abc import Callable
from typing import Literal, cast, get_args

import numpy as np
import torch
from torch import Tensor, nn

from nversion.architectures import Architecture
from nversion.arguments import typed
from nversion.datasets import Dataset, Split
from nversion.device import deterministic, recorder, resolve_device
from nversion.errors import InputError, TrainingError
from nversion.models import device_of, evaluate, frozen
from nversion.modes import ordinary
from nversion.naming import did_you_mean
from nversion.randomness import derive_seed, generator
from nversion.reading import check_name
from nversion.versions.arrangement import arranged
from nversion.versions.descent import Material, descend
from nversion.versions.recipe import Recipe, load_recipe
from nversion.versions.version import Record, Version

__all__ = [
    "Precision",
    "Training",
    "as_version",
    "check_precision",
    "fit",
    "resolve_precision",
    "train",
]

Precision = Literal["auto", "float32", "bfloat16"]

MEASURED_IMAGES = 10_000
"""On how many training images, evenly spread, the training accuracy is measured at the most."""


def check_precision(precision: str) -> Precision:
    """Return `precision` if it is one.

    Raises:
        InputError: it is not "auto", "float32" or "bfloat16".
    """
    if precision not in get_args(Precision):
        hint = did_you_mean(precision, get_args(Precision))
        raise InputError(f"precision must be auto, float32 or bfloat16, not {precision!r}{hint}")
    return cast(Precision, precision)


def resolve_precision(
    precision: Precision, architecture: Architecture, device: str | torch.device = "cpu"
) -> str:
    """Return "float32" or "bfloat16" for a wish and an architecture.

    "auto" is bfloat16 for convolutional architectures on processors with bfloat16 arithmetic, where
    it trains 1.5 to 2 times as fast; dense ones gain nothing from it (``benchmarks/training.py``).
    On CUDA it is bfloat16 for them where the card has it.

    Raises:
        InputError: `precision` is none of the three.
    """
    check_precision(precision)
    if precision != "auto":
        return precision
    if torch.device(device).type == "cuda":
        fast = torch.cuda.is_bf16_supported()
    else:
        fast = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return "bfloat16" if fast and architecture.kind == "convolutional" else "float32"


@typed
@ordinary()
def train(
    architecture: Architecture,
    data: Dataset,
    recipe: str | Recipe = "study",
    seed: int = 0,
    *,
    name: str | None = None,
    targets: Tensor | None = None,
    teacher: Callable[[Tensor], Tensor] | None = None,
    precision: Precision = "auto",
    device: str | torch.device = "cpu",
    advance: Callable[[], None] = lambda: None,
) -> Version:
    """Train a network of `architecture` on the train split and measure it on both splits.

    One seed gives the same bits on one machine, device and thread count. On CUDA the images stay
    on the card while it trains.

    Args:
        architecture: what to build.
        data: the dataset; its labels are the targets unless `targets` is given.
        recipe: a recipe, its name or the path of its TOML file.
        seed: decides weights, order and dropout.
        name: the version's name; by default the architecture's.
        targets: soft labels, float32 [train images, classes] summing to 1, for distillation.
        teacher: gives a teacher's probabilities [count, classes] of any images, for the objectives
            that ask for them.
        precision: of the arithmetic of training (see :func:`resolve_precision`).
        device: "cpu", "cuda" or "auto", where it is trained and measured.
        advance: called after each epoch.

    Returns:
        The version, with its model in evaluation mode and on the processor, its record and its
        logits on the test split.

    Raises:
        TrainingError: the loss became NaN or infinite, or the training accuracy stayed at chance.
        ArchitectureError: the architecture does not fit the images.
        ConfigError: the recipe is wrong.
        InputError: `name`, `targets` or `precision` are malformed, or there is no such device.
    """
    where = resolve_device(device)
    recipe = load_recipe(recipe)
    name = check_name(name or architecture.name or "version", "the version", InputError)
    resolved = resolve_precision(precision, architecture, where)
    _check_targets(targets, data)
    started = time.perf_counter()
    model = architecture.build(data.shape, data.classes, seed=derive_seed(seed, "weights"))
    model.to(where)
    with deterministic(where):
        labels = data.train.labels
        wanted = labels if targets is None else targets
        material = Material(data.train.images, wanted, labels, teacher)
        steps, loss = fit(model, material, recipe, resolved, seed, name, advance)
        training = Training(name, recipe, seed, resolved, steps, loss, started)
        return as_version(model.eval(), architecture, data, training)


@dataclasses.dataclass(frozen=True)
class Training:
    """How a network was trained.

    Attributes:
        name: of the version.
        recipe: by which it was trained.
        seed: of its weights, order and dropout.
        precision: of the arithmetic.
        steps: that were taken.
        loss: the last epoch's mean.
        started: when, by :func:`time.perf_counter`.
    """

    name: str
    recipe: Recipe
    seed: int
    precision: str
    steps: int
    loss: float
    started: float


def as_version(
    model: nn.Sequential, architecture: Architecture, data: Dataset, training: Training
) -> Version:
    """Return a trained network as a version, measured on both splits; it ends on the processor.

    Raises:
        TrainingError: the training accuracy stayed at chance.
    """
    accuracy, measured, test_accuracy, test_logits = _measure(model, data)
    model.to("cpu")
    _check_learnt(training.name, accuracy, data.train.labels, data.classes)
    record = Record(
        name=training.name,
        dataset=data.name,
        dataset_digest=data.digest,
        shape=data.shape,
        classes=data.classes,
        seed=training.seed,
        recipe=training.recipe.model_dump(mode="json"),
        precision=training.precision,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        steps=training.steps,
        loss=training.loss,
        train_accuracy=accuracy,
        train_accuracy_images=measured,
        test_accuracy=test_accuracy,
        seconds=time.perf_counter() - training.started,
        libraries={
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
    )
    return Version(training.name, architecture, model, record, test_logits)


def fit(
    model: nn.Sequential,
    material: Material,
    recipe: Recipe,
    precision: str,
    seed: int,
    name: str,
    advance: Callable[[], None] = lambda: None,
) -> tuple[int, float]:
    """Run the optimiser over all epochs; return the steps taken and the last epoch's mean loss.

    This is the training itself, without the measurements around it. `seed` decides order, dropout
    and what the objective draws. Images and targets are brought to the model's device, where they
    stay for the whole of it.
    """
    model.train()
    device = device_of(model)
    draws = torch.Generator(device).manual_seed(derive_seed(seed, "dropout"))
    record = recorder(device, draws)
    half, order = precision == "bfloat16", generator(seed, "order")
    with arranged(model, material.images.shape[1:], draws) as network:
        return descend(network, material, recipe, half, draws, order, name, advance, record)


def _measure(model: nn.Sequential, data: Dataset) -> tuple[float, int, float, Tensor]:
    """Return training accuracy, the images it was measured on, test accuracy and test logits."""
    stride = math.ceil(len(data.train.labels) / MEASURED_IMAGES)
    sample = Split(data.train.images[::stride], data.train.labels[::stride])
    with frozen(model):
        on_train = evaluate(model, sample.images).argmax(dim=1) == sample.labels
        test_logits = evaluate(model, data.test.images)
    on_test = test_logits.argmax(dim=1) == data.test.labels
    return (
        float(on_train.double().mean()),
        len(sample.labels),
        float(on_test.double().mean()),
        test_logits,
    )


def _check_learnt(name: str, accuracy: float, labels: Tensor, classes: int) -> None:
    """Raise if the training accuracy is no better than naming the most frequent class."""
    chance = float(labels.bincount(minlength=classes).max()) / len(labels)
    if accuracy < chance + 0.05:
        raise TrainingError(
            f"{name}: the training accuracy stayed at chance ({accuracy:.1%}, where naming the "
            f"most frequent class gives {chance:.1%})"
        )


def _check_targets(targets: Tensor | None, data: Dataset) -> None:
    if targets is None:
        return
    expected = (len(data.train.labels), data.classes)
    if tuple(targets.shape) != expected or targets.dtype != torch.float32:
        raise InputError(
            f"targets must be float32 {list(expected)}, soft labels of the training images, "
            f"not {targets.dtype} {list(targets.shape)}"
        )
    sums = targets.sum(dim=1)
    if not bool(targets.isfinite().all()) or float(targets.min()) < 0:
        raise InputError("targets must be finite and not negative")
    if float((sums - 1).abs().max()) > 1e-3:
        raise InputError("targets must sum to 1 over the classes for each image")
