"""The optimiser at work: batches, schedule, loss, and the step that is taken again and again.

A step of a small network is a hundred kernels of a few microseconds each, and to start them takes a
processor longer than a graphics card needs to run them. So on a card the step is recorded once, as
a `CUDA graph <https://pytorch.org/docs/stable/notes/cuda.html#cuda-graphs>`_, and played again for
every batch: one call instead of a hundred. What changes from step to step, the batch's rows and the
learning rate, is then read from tensors that stay where they are. The first steps of a training,
in which the optimiser makes its state, and batches of another size are taken in the ordinary way.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from nversion.device import Recorder
from nversion.errors import TrainingError
from nversion.models import device_of
from nversion.objectives import Batch
from nversion.versions.recipe import Recipe

__all__ = ["Material", "Step", "descend", "learning_rate", "optimiser"]

ONE_CYCLE_WARM_UP = 0.3
ONE_CYCLE_START = 1 / 25
ONE_CYCLE_END = 1e-4

UNRECORDED = 3
"""Steps that are taken before one is recorded: the optimiser makes its state in the first."""


@dataclasses.dataclass(frozen=True)
class Material:
    """What a network learns from.

    Attributes:
        images: floating [count, channels, height, width] in [0, 1].
        targets: int64 labels [count], or float32 soft labels [count, classes].
        labels: the true labels, int64 [count]; None: the targets are.
        teacher: gives a teacher's probabilities of any images, for objectives that ask for them.
    """

    images: Tensor
    targets: Tensor
    labels: Tensor | None = None
    teacher: Callable[[Tensor], Tensor] | None = None

    def true_labels(self) -> Tensor:
        """Return the labels; of soft labels alone, the likeliest class."""
        if self.labels is not None:
            return self.labels
        return self.targets if self.targets.ndim == 1 else self.targets.argmax(dim=1)


def descend(
    network: nn.Module,
    material: Material,
    recipe: Recipe,
    half: bool,
    draws: torch.Generator,
    order: torch.Generator,
    name: str,
    advance: Callable[[], None],
    record: Recorder | None = None,
) -> tuple[int, float]:
    """Run the optimiser over all epochs; return the steps taken and the last epoch's mean loss.

    Args:
        network: in training mode, on the device of the training.
        material: images and targets, brought to that device.
        recipe: optimiser, schedule, objective, epochs and batches.
        half: whether to compute in bfloat16 (parameters stay float32).
        draws: what dropout and the objective draw from, on that device.
        order: draws the order of the images.
        name: of the network, for messages.
        advance: called after each epoch.
        record: makes a step that can be played again; None: all are taken in the ordinary way.

    Raises:
        TrainingError: the loss became NaN or infinite.
    """
    step = Step(network, material, recipe, half, draws, record)
    count = len(material.images)
    per_epoch = math.ceil(count / recipe.batch_size)
    total = min(per_epoch * recipe.epochs, recipe.max_steps or per_epoch * recipe.epochs)
    taken, mean_loss = 0, math.nan
    while taken < total:
        losses = []
        rows = torch.randperm(count, generator=order).to(step.device)
        rows = rows[: (total - taken) * recipe.batch_size]
        for batch in torch.split(rows, recipe.batch_size):
            losses.append(step(batch, learning_rate(recipe, taken, total), taken / total))
            taken += 1
        mean_loss = float(torch.stack(losses).mean())
        if not math.isfinite(mean_loss):
            raise TrainingError(
                f"{name}: the loss became {mean_loss} by step {taken} of {total}; "
                "a smaller learning rate may help"
            )
        advance()
    return taken, mean_loss


class Step:
    """One step of the optimiser on some rows of the training data.

    Args:
        network: in training mode.
        material: see :func:`descend`.
        recipe: the optimiser, its peak learning rate, the objective and the size of a batch.
        half: whether to compute in bfloat16.
        draws: see :func:`descend`.
        record: see :func:`descend`.

    Attributes:
        device: where it is taken.
    """

    def __init__(
        self,
        network: nn.Module,
        material: Material,
        recipe: Recipe,
        half: bool,
        draws: torch.Generator,
        record: Recorder | None = None,
    ) -> None:
        self._network, self._recipe, self._half = network, recipe, half
        self.device = device_of(network)
        kind = torch.bfloat16 if half else material.images.dtype
        self._images = material.images.to(self.device, kind)
        self._targets = material.targets.to(self.device)
        self._labels = material.true_labels().to(self.device)
        self._teacher, self._draws = material.teacher, draws
        self._memory: dict[str, Any] = {}
        self._objective = recipe.make_objective()
        self._record = record if self._objective.records else None
        self._replay: Callable[[], Tensor] | None = None
        # A recorded step reads the rate from memory, an ordinary one takes it as a number.
        self._rate: Tensor | None = None
        if self._record is not None:
            self._rate = torch.tensor(recipe.learning_rate, device=self.device)
        self._optimiser = optimiser(network, recipe, self._rate)
        self._rows = torch.zeros(recipe.batch_size, dtype=torch.int64, device=self.device)
        self._taken = 0

    def __call__(self, rows: Tensor, factor: float, progress: float = 1.0) -> Tensor:
        """Take the step and return the loss before it, a scalar on the network's device.

        Args:
            rows: int64 [batch], of the training data; on the network's device.
            factor: of the peak learning rate.
            progress: share of the training that is done, in [0, 1).
        """
        self._set_rate(self._recipe.learning_rate * factor)
        self._taken += 1
        fits = len(rows) == len(self._rows) and self._taken > UNRECORDED
        if self._record is None or not fits:
            return self._take(rows, progress)
        self._rows.copy_(rows)
        if self._replay is None:
            self._replay = self._record(lambda: self._take(self._rows, progress))
        return self._replay()

    def _take(self, rows: Tensor, progress: float) -> Tensor:
        batch = Batch(
            self._network,
            self._images[rows],
            self._targets[rows],
            self._labels[rows],
            self._draws,
            progress,
            self._half,
            self._memory,
            self._teacher,
        )
        loss = self._objective.number(self._objective.step(batch))
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        return loss.detach()

    def _set_rate(self, rate: float) -> None:
        if self._rate is not None:
            self._rate.fill_(rate)
            return
        for group in self._optimiser.param_groups:
            group["lr"] = rate


def optimiser(
    model: nn.Module, recipe: Recipe, rate: Tensor | None = None
) -> torch.optim.Optimizer:
    """Return the recipe's optimiser; with `rate`, one that reads its learning rate there."""
    parameters = list(model.parameters())
    recorded = rate is not None and rate.device.type == "cuda"
    if recipe.optimiser == "adadelta":
        return torch.optim.Adadelta(
            parameters,
            lr=recipe.learning_rate if rate is None else rate,
            rho=recipe.rho,
            eps=recipe.epsilon,
            foreach=rate is None or recorded,
            capturable=recorded,
        )
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(
            parameters,
            lr=recipe.learning_rate if rate is None else rate,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            nesterov=recipe.momentum > 0,
            fused=True,
        )
    return torch.optim.AdamW(
        parameters,
        lr=recipe.learning_rate if rate is None else rate,
        eps=recipe.epsilon,
        weight_decay=recipe.weight_decay,
        fused=True,
        capturable=recorded,
    )


def learning_rate(recipe: Recipe, step: int, total: int) -> float:
    """Return which part of the peak learning rate a step of so many has, in (0, 1].

    With the one-cycle schedule: a cosine up to the peak, then one down to nearly nothing.
    """
    if recipe.schedule == "constant":
        return 1.0
    position = step / max(total - 1, 1)
    if position < ONE_CYCLE_WARM_UP:
        return _cosine(ONE_CYCLE_START, 1.0, position / ONE_CYCLE_WARM_UP)
    done = (position - ONE_CYCLE_WARM_UP) / (1 - ONE_CYCLE_WARM_UP)
    return _cosine(1.0, ONE_CYCLE_END, done)


def _cosine(start: float, end: float, position: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * position)) / 2
