"""Objectives of a robust student: what the teacher says is learnt on attacked images.

- Goldblum, Fowl, Feizi and Goldstein, "Adversarially robust distillation", 2020 (ARD): the
  student's outputs on attacked images match the teacher's on the images themselves.
- Zi, Zhao, Ma and Jiang, "Revisiting adversarial robustness distillation: robust soft labels make
  student better", 2021 (RSLAD): the teacher's soft labels replace the true ones everywhere, in the
  attack too.
- The teacher as an oracle: it is asked anew on every attacked image, so that the student learns the
  teacher's function beyond the training images, its mistakes included.

The targets of these objectives are the teacher's soft labels.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar, final

import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from torch import Tensor

from nversion.errors import InputError, TrainingError
from nversion.objectives.attacking import BallObjective
from nversion.objectives.base import Batch, soft_labels
from nversion.objectives.perturbations import summed_loss
from nversion.objectives.soft_labels import Temperature

__all__ = ["AskTeacher", "RobustDistillation", "RobustSoftLabels"]


@final
@dataclasses.dataclass(frozen=True)
class AskTeacher(BallObjective):
    """Squared error to what the teacher says of attacked images, and of the images themselves.

    Attributes:
        norm: "2" or "inf", of the attack on the student.
        radius: of the ball in the end.
        steps: of the attack.
        ramp: share of the training over which the radius grows from 0.
    """

    name: ClassVar[str] = "oracle"
    passes: ClassVar[str] = "steps forward and back to the images, and one of the teacher"
    norm: str = "2"
    radius: float = 1.5
    steps: int = 5
    ramp: float = 0.5

    def step(self, batch: Batch) -> Tensor:
        """Return the mean of the two squared errors.

        Raises:
            TrainingError: the training has no teacher that can be asked.
        """
        if batch.teacher is None:
            raise TrainingError(
                "the objective oracle asks a teacher, and this training has none; it is for "
                "students (teacher= of nversion.train)"
            )
        worst = self.worst(batch, summed_loss(batch.labels))
        told = batch.teacher(worst)
        beside = F.mse_loss(batch.logits(worst).softmax(dim=1), told)
        logits = batch.logits()
        here = F.mse_loss(logits.softmax(dim=1), soft_labels(batch.targets, logits.shape[1]))
        return (beside + here) / 2


@final
@dataclasses.dataclass(frozen=True)
class RobustDistillation(BallObjective):
    """ARD: the teacher's softened labels on attacked images, and the true labels on the others.

    Attributes:
        norm: "2" or "inf".
        radius: of the ball in the end.
        steps: of the attack.
        temperature: softens both sides.
        alpha: weight of the attacked images, in [0, 1].
        ramp: share of the training over which the radius grows from 0.
    """

    name: ClassVar[str] = "ard"
    passes: ClassVar[str] = "steps + 1 forward and back to the images"
    norm: str = "inf"
    radius: float = 0.3
    steps: int = 10
    temperature: float = 4.0
    alpha: float = 0.9
    ramp: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        Temperature(self.temperature)
        if not 0 <= self.alpha <= 1:
            raise InputError(f"alpha must be in [0, 1], not {self.alpha}")

    def step(self, batch: Batch) -> Tensor:
        """Return the weighted sum of both losses."""
        worst = self.worst(batch, summed_loss(batch.labels))
        taught = Temperature(self.temperature).loss(batch.logits(worst), batch.targets)
        return self.alpha * taught + (1 - self.alpha) * F.cross_entropy(
            batch.logits(), batch.labels
        )


@final
@dataclasses.dataclass(frozen=True)
class RobustSoftLabels(BallObjective):
    """RSLAD: the teacher's soft labels on attacked images and on the others, and in the attack.

    Attributes:
        norm: "2" or "inf".
        radius: of the ball in the end.
        steps: of the attack.
        attacked: weight of the attacked images, in [0, 1]; 5/6 in the paper.
        ramp: share of the training over which the radius grows from 0.
    """

    name: ClassVar[str] = "rslad"
    passes: ClassVar[str] = "steps + 1 forward and back to the images"
    norm: str = "inf"
    radius: float = 0.3
    steps: int = 10
    attacked: float = 5 / 6
    ramp: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.attacked <= 1:
            raise InputError(f"attacked must be in [0, 1], not {self.attacked}")

    def step(self, batch: Batch) -> Tensor:
        """Return the weighted sum of both divergences."""
        logits = batch.logits()
        labels = soft_labels(batch.targets, logits.shape[1])

        def divergence(logits: Tensor) -> Tensor:
            return F.kl_div(logits.log_softmax(dim=1), labels, reduction="sum")

        worst = self.worst(batch, divergence)
        outputs = batch.logits(worst).log_softmax(dim=1)
        beside = F.kl_div(outputs, labels, reduction="batchmean")
        here = F.kl_div(logits.log_softmax(dim=1), labels, reduction="batchmean")
        return self.attacked * beside + (1 - self.attacked) * here
