"""Balls around images, where bounds are to hold: the images, how far they may change, and how."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from nversion.certification.ball import Ball, Reach

__all__ = ["Region"]


@dataclasses.dataclass(frozen=True)
class Region:
    """A ball around each of some images.

    Attributes:
        images: floating [count, *shape].
        radii: [count], not negative, of the same precision.
        ball: the norm and the box.
    """

    images: Tensor
    radii: Tensor
    ball: Ball

    def __len__(self) -> int:
        """Return how many images there are."""
        return len(self.images)

    def rows(self, chosen: Tensor) -> Region:
        """Return the balls around some of the images, chosen by their numbers int64 [some]."""
        return Region(self.images[chosen], self.radii[chosen], self.ball)

    @property
    def norm(self) -> float:
        """The norm of the changes: 1.0, 2.0 or infinity."""
        return self.ball.norm

    @property
    def exact(self) -> bool:
        """Whether this is in float64, in which bounds prove something."""
        return self.images.dtype == torch.float64

    def sides(self) -> tuple[Tensor, Tensor]:
        """Return the smallest interval per pixel that holds each ball: lower and upper ends."""
        return self.ball.sides(self.images, self.radii)

    def reach(self) -> Reach:
        """Return how far each pixel may go, if the radius allows it."""
        return self.ball.reach(self.images)
