"""What training makes small: the two kinds of objective, and what a step of training gives them.

An objective that depends on the network's outputs alone derives from :class:`Objective` and has one
method of a line or two. One that asks the network again, on attacked images or for bounds, derives
from :class:`StepObjective` and gets the whole :class:`Batch`. Both are configured values: what one
must remember from step to step lies in the batch's ``memory``.
"""

from __future__ import annotations

import abc
import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, final

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from torch import Tensor, nn

from nversion.errors import TrainingError

__all__ = ["Batch", "Objective", "StepObjective", "ramped", "soft_labels"]


@dataclasses.dataclass(frozen=True)
class Batch:
    """What a step of training is given.

    Attributes:
        network: in training mode; its parameters have gradients.
        images: floating [batch, channels, height, width] in [0, 1].
        targets: int64 labels [batch], or float32 soft labels [batch, classes].
        labels: the true labels, int64 [batch].
        draws: what random starts are drawn from; on the device of the images.
        progress: the share of the training's steps that are done, in [0, 1).
        half: whether the network computes in bfloat16.
        memory: what objectives keep from one step of a training to the next.
        teacher: the teacher's probabilities [count, classes] of any images, where there is one
            that can be asked.
    """

    network: nn.Module
    images: Tensor
    targets: Tensor
    labels: Tensor
    draws: torch.Generator
    progress: float = 1.0
    half: bool = False
    memory: dict[str, Any] = dataclasses.field(default_factory=dict)
    teacher: Callable[[Tensor], Tensor] | None = None

    def logits(self, images: Tensor | None = None) -> Tensor:
        """Return the network's logits, float32 [count, classes], of the batch or other images."""
        with torch.autocast(self.images.device.type, torch.bfloat16, enabled=self.half):
            logits = self.network(self.images if images is None else images)
        return logits.float()  # type: ignore[no-any-return]

    @contextlib.contextmanager
    def attacked(self) -> Iterator[None]:
        """Lend the network without dropout and with fixed batch norms, as attacks want it."""
        self.network.eval()
        try:
            yield
        finally:
            self.network.train()


@dataclasses.dataclass(frozen=True)
class StepObjective(abc.ABC):
    """What a network minimises; a configured value.

    Class attributes:
        name: the name in the registry, as recipes write it.
        passes: what a step costs, in words: passes through the network beside a plain step's.
        records: whether a step is the same work on other values each time, so that a graphics
            card may record it (see :mod:`nversion.versions.descent`).
    """

    name: ClassVar[str]
    passes: ClassVar[str] = ""
    records: ClassVar[bool] = False

    @abc.abstractmethod
    def step(self, batch: Batch) -> Tensor:
        """Return the loss on a batch, a scalar with a gradient for the network's parameters."""

    def number(self, loss: Tensor) -> Tensor:
        """Return `loss`, once it is known to be one number.

        Raises:
            TrainingError: it is not.
        """
        if loss.ndim != 0:
            raise TrainingError(
                f"the objective {self.name} must give one number for a batch, not a tensor "
                f"{list(loss.shape)}"
            )
        return loss


@dataclasses.dataclass(frozen=True)
class Objective(StepObjective):
    """An objective of the network's outputs alone."""

    passes: ClassVar[str] = "none"
    records: ClassVar[bool] = True

    @abc.abstractmethod
    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss, a scalar with a gradient.

        Args:
            logits: float32 [batch, classes].
            targets: int64 labels [batch], or float32 soft labels [batch, classes]: an objective
                takes both, as students learn from soft ones.
        """

    @final
    def step(self, batch: Batch) -> Tensor:
        """Return :meth:`loss` of the network's outputs."""
        return self(batch.logits(), batch.targets)

    @final
    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return :meth:`loss`, once it is known to be one number.

        Raises:
            TrainingError: it is not.
        """
        return self.number(self.loss(logits, targets))


def soft_labels(targets: Tensor, classes: int) -> Tensor:
    """Return targets as soft labels, float32 [batch, classes]; labels become ones and zeros."""
    return F.one_hot(targets, classes).float() if targets.ndim == 1 else targets


def ramped(first: float, last: float, progress: float, share: float) -> float:
    """Return a value that goes from `first` to `last` over the first `share` of the training."""
    if share <= 0 or progress >= share:
        return last
    return first + (last - first) * progress / share
