"""Objectives of the outputs alone, for labels and for a teacher's soft labels.

The versions minimise the cross-entropy; the 2019 study's student minimised the mean squared error
between the teacher's labels and its softmax outputs. To true labels that is, but for a factor, the
score of Brier, "Verification of forecasts expressed in terms of probability", 1950. Hinton, Vinyals
and Dean, "Distilling the knowledge in a neural network", 2015, soften both sides by a temperature.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar, final

import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from torch import Tensor

from nversion.errors import InputError
from nversion.objectives.base import Objective, soft_labels

__all__ = ["CrossEntropy", "LabelSmoothing", "MeanSquaredError", "Temperature"]

TINY = 1e-12
"""Least probability of a teacher's label whose logarithm is taken."""


@final
@dataclasses.dataclass(frozen=True)
class CrossEntropy(Objective):
    """Between labels (or soft labels) and the softmax outputs, averaged over images."""

    name: ClassVar[str] = "cross-entropy"

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross-entropy."""
        return F.cross_entropy(logits, targets)


@final
@dataclasses.dataclass(frozen=True)
class MeanSquaredError(Objective):
    """Between labels (or soft labels) and the softmax outputs, averaged over images and classes."""

    name: ClassVar[str] = "mean-squared-error"

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean squared difference."""
        return F.mse_loss(logits.softmax(dim=1), soft_labels(targets, logits.shape[1]))


@final
@dataclasses.dataclass(frozen=True)
class Temperature(Objective):
    """Kullback-Leibler divergence from softened soft labels, times T^2 (Hinton et al. 2015).

    Probabilities p become p^(1/T), scaled to sum to 1: for a teacher that is one network, the
    softmax of its logits over T.

    Attributes:
        temperature: T, above 0; 1 is the cross-entropy but for a constant.
    """

    name: ClassVar[str] = "temperature"
    temperature: float = 4.0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise InputError(f"temperature must be above 0, not {self.temperature}")

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean divergence."""
        labels = soft_labels(targets, logits.shape[1]).clamp_min(TINY)
        softened = (labels.log() / self.temperature).softmax(dim=1)
        outputs = (logits / self.temperature).log_softmax(dim=1)
        divergence = F.kl_div(outputs, softened, reduction="batchmean")
        return self.temperature**2 * divergence


@final
@dataclasses.dataclass(frozen=True)
class LabelSmoothing(Objective):
    """Cross-entropy to labels of which a part is spread over all classes (Szegedy et al. 2016).

    The control for soft labels that know nothing of the image.

    Attributes:
        spread: the part, in [0, 1).
    """

    name: ClassVar[str] = "label-smoothing"
    spread: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.spread < 1:
            raise InputError(f"spread must be in [0, 1), not {self.spread}")

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross-entropy."""
        return F.cross_entropy(logits, targets, label_smoothing=self.spread)
