"""What objectives on attacked images share: a ball that grows, and the worst images in it."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from nversion.errors import InputError
from nversion.objectives.base import Batch, StepObjective, ramped
from nversion.objectives.perturbations import Ball, worst_images

__all__ = ["BallObjective", "check_attack"]


def check_attack(norm: str, radius: float, steps: int, ramp: float) -> Ball:
    """Return the ball that an objective attacks in.

    Raises:
        InputError: one of its options is malformed.
    """
    if steps < 1:
        raise InputError(f"steps must be at least 1, not {steps}")
    if not 0 <= ramp <= 1:
        raise InputError(f"ramp must be in [0, 1], not {ramp}")
    return Ball.checked(norm, radius)


class BallObjective(StepObjective):
    """An objective that asks the network on the worst images of balls around a batch's.

    A subclass has these as fields, with defaults of its own.

    Attributes:
        norm: "2" or "inf".
        radius: of the balls in the end.
        steps: of the search for the worst images.
        ramp: share of the training over which the radius grows from 0.
    """

    norm: str
    radius: float
    steps: int
    ramp: float

    def __post_init__(self) -> None:
        check_attack(self.norm, self.radius, self.steps, self.ramp)

    def worst(self, batch: Batch, loss: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the images of the balls, as they are by now, at which a loss is large.

        Args:
            batch: what the step is given.
            loss: of their logits, summed over the images.
        """
        ball = Ball.checked(self.norm, self.radius).scaled(ramped(0, 1, batch.progress, self.ramp))
        return worst_images(batch, ball, self.steps, loss)
