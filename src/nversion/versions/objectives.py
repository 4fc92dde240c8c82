"""Objectives: what training makes small.

The versions minimise the cross-entropy; the 2019 study's student minimised the mean squared error
between the teacher's labels and its softmax outputs. A new objective is a class here, or an entry
point of the group ``nversion.objectives`` in a package of its own.
"""

from __future__ import annotations

import abc
import dataclasses
from typing import ClassVar, final

import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from torch import Tensor

from nversion.errors import TrainingError
from nversion.registry import Registry

__all__ = [
    "CrossEntropy",
    "MeanSquaredError",
    "Objective",
    "create_objective",
    "objective_names",
    "register",
    "soft_labels",
]


@dataclasses.dataclass(frozen=True)
class Objective(abc.ABC):
    """What a network minimises; a configured value.

    Class attributes:
        name: the name in the registry, as recipes write it.
    """

    name: ClassVar[str]

    @abc.abstractmethod
    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss, a scalar with a gradient.

        Args:
            logits: float32 [batch, classes].
            targets: int64 labels [batch], or float32 soft labels [batch, classes]: an objective
                takes both, as students learn from soft ones.
        """

    @final
    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return :meth:`loss`, once it is known to be one number.

        Raises:
            TrainingError: it is not.
        """
        loss = self.loss(logits, targets)
        if loss.ndim != 0:
            raise TrainingError(
                f"the objective {self.name} must give one number for a batch, not a tensor "
                f"{list(loss.shape)}"
            )
        return loss


OBJECTIVES: Registry[Objective] = Registry("objective", "nversion.objectives", Objective)

create_objective = OBJECTIVES.create
objective_names = OBJECTIVES.names
register = OBJECTIVES.register


@final
@register
@dataclasses.dataclass(frozen=True)
class CrossEntropy(Objective):
    """Between labels (or soft labels) and the softmax outputs, averaged over images."""

    name: ClassVar[str] = "cross-entropy"

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross-entropy."""
        return F.cross_entropy(logits, targets)


@final
@register
@dataclasses.dataclass(frozen=True)
class MeanSquaredError(Objective):
    """Between labels (or soft labels) and the softmax outputs, averaged over images and classes."""

    name: ClassVar[str] = "mean-squared-error"

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean squared difference."""
        return F.mse_loss(logits.softmax(dim=1), soft_labels(targets, logits.shape[1]))


def soft_labels(targets: Tensor, classes: int) -> Tensor:
    """Return targets as soft labels, float32 [batch, classes]; labels become ones and zeros."""
    return F.one_hot(targets, classes).float() if targets.ndim == 1 else targets
