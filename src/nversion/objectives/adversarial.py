"""Training on attacked images: Madry, DDN, TRADES and MMA.

- Madry, Makelov, Schmidt, Tsipras and Vladu, "Towards deep learning models resistant to adversarial
  attacks", 2018: the loss at the worst image that PGD finds in a ball.
- Rony, Hafemann, Oliveira, Ben Ayed, Sabourin and Granger, "Decoupling direction and norm for
  efficient gradient-based L2 adversarial attacks and defenses", 2019: the loss at the nearest wrong
  image, drawn into a ball.
- Zhang, Yu, Jiao, Xing, El Ghaoui and Jordan, "Theoretically principled trade-off between
  robustness and accuracy", 2019 (TRADES): the loss on the image, plus beta times the divergence of
  the outputs at the worst image beside it from those on it.
- Ding, Sharma, Lui and Huang, "MMA training: direct input space margin maximization", 2020: the
  loss where the verdict turns, for images whose margin is below a largest one.

The radius grows from 0 over the first part of the training (``ramp``), without which small networks
often learn nothing in Linf at 0.3.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar, final

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from torch import Tensor

from nversion.errors import InputError
from nversion.objectives.attacking import BallObjective, check_attack
from nversion.objectives.base import Batch, StepObjective, ramped
from nversion.objectives.perturbations import (
    Ball,
    bisected,
    decoupled,
    summed_loss,
    worst_images,
)

__all__ = ["Adversarial", "DecoupledDirection", "MaxMargin", "Trades"]

HALVINGS = 10
"""Of the way to a wrong image, as MMA's authors take."""


@final
@dataclasses.dataclass(frozen=True)
class Adversarial(BallObjective):
    """Cross-entropy at the worst images that PGD finds (Madry et al. 2018).

    Attributes:
        norm: "2" or "inf".
        radius: of the ball in the end.
        steps: of PGD.
        ramp: share of the training over which the radius grows from 0.
        clean: weight of the loss on the images themselves, in [0, 1).
    """

    name: ClassVar[str] = "adversarial"
    passes: ClassVar[str] = "steps forward and back to the images"
    norm: str = "inf"
    radius: float = 0.3
    steps: int = 10
    ramp: float = 0.5
    clean: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.clean < 1:
            raise InputError(f"clean must be in [0, 1), not {self.clean}")

    def step(self, batch: Batch) -> Tensor:
        """Return the mean loss at the attacked images."""
        worst = self.worst(batch, summed_loss(batch.targets))
        attacked = F.cross_entropy(batch.logits(worst), batch.targets)
        if not self.clean:
            return attacked
        plain = F.cross_entropy(batch.logits(), batch.targets)
        return (1 - self.clean) * attacked + self.clean * plain


@final
@dataclasses.dataclass(frozen=True)
class DecoupledDirection(StepObjective):
    """Cross-entropy at near wrong images in L2, by DDN (Rony et al. 2019).

    Attributes:
        radius: the furthest that an image is moved, in L2.
        steps: of DDN.
        ramp: share of the training over which the radius grows from 0.
    """

    name: ClassVar[str] = "ddn"
    passes: ClassVar[str] = "steps forward and back to the images"
    radius: float = 2.4
    steps: int = 20
    ramp: float = 0.3

    def __post_init__(self) -> None:
        check_attack("2", self.radius, self.steps, self.ramp)

    def step(self, batch: Batch) -> Tensor:
        """Return the mean loss at the attacked images."""
        radius = ramped(0, self.radius, batch.progress, self.ramp)
        with batch.attacked():
            near = decoupled(batch, batch.images.float(), radius, self.steps)
        return F.cross_entropy(batch.logits(near), batch.targets)


@final
@dataclasses.dataclass(frozen=True)
class Trades(BallObjective):
    """Cross-entropy plus beta times the divergence at the worst images beside (TRADES, 2019).

    Attributes:
        norm: "2" or "inf".
        radius: of the ball in the end.
        steps: of the search for the worst images.
        beta: weight of the divergence, 1 / lambda in the paper.
        ramp: share of the training over which the radius grows from 0.
    """

    name: ClassVar[str] = "trades"
    passes: ClassVar[str] = "steps + 1 forward and back to the images"
    norm: str = "inf"
    radius: float = 0.3
    steps: int = 10
    beta: float = 6.0
    ramp: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.beta < 0:
            raise InputError(f"beta must be 0 or more, not {self.beta}")

    def step(self, batch: Batch) -> Tensor:
        """Return the loss on the images and the weighted divergence."""
        with batch.attacked(), torch.no_grad():
            original = batch.logits(batch.images.float()).softmax(dim=1)

        def divergence(logits: Tensor) -> Tensor:
            return F.kl_div(logits.log_softmax(dim=1), original, reduction="sum")

        worst = self.worst(batch, divergence)
        logits = batch.logits()
        moved = F.kl_div(
            batch.logits(worst).log_softmax(dim=1), logits.softmax(dim=1), reduction="batchmean"
        )
        return F.cross_entropy(logits, batch.targets) + self.beta * moved


@final
@dataclasses.dataclass(frozen=True)
class MaxMargin(StepObjective):
    """Cross-entropy where each image's verdict turns, if that is nearer than a limit (MMA, 2020).

    Attributes:
        norm: "2" or "inf".
        radius: the largest margin that is still enlarged (d_max).
        steps: of the search for a wrong image.
        clean: weight of the loss on the images themselves; a third in the paper.
    """

    name: ClassVar[str] = "mma"
    passes: ClassVar[str] = "steps forward and back to the images, 10 forward, one more step"
    norm: str = "inf"
    radius: float = 0.45
    steps: int = 10
    clean: float = 1 / 3

    def __post_init__(self) -> None:
        check_attack(self.norm, self.radius, self.steps, 0.0)
        if not 0 <= self.clean < 1:
            raise InputError(f"clean must be in [0, 1), not {self.clean}")

    def step(self, batch: Batch) -> Tensor:
        """Return the loss where verdicts turn, and the weighted loss on the images."""
        logits = batch.logits()
        plain = F.cross_entropy(logits, batch.targets)
        right = logits.argmax(dim=1) == batch.labels
        images = batch.images.float()
        ball = Ball.checked(self.norm, self.radius)
        ends = worst_images(batch, ball, self.steps, summed_loss(batch.labels))
        with batch.attacked():
            turned = bisected(batch, images, ends, HALVINGS)
            with torch.no_grad():
                fooled = batch.logits(ends).argmax(dim=1) != batch.labels
        # An image whose margin is above the limit asks for nothing; one that is wrong already is
        # learnt as it stands.
        near = (right & fooled).view(-1, 1, 1, 1)
        counted = fooled | ~right
        points = torch.where(near, turned, images)
        each = F.cross_entropy(batch.logits(points), batch.targets, reduction="none")
        margin = (each * counted).sum() / len(each)
        return self.clean * plain + (1 - self.clean) * margin
