"""What is to be certified: images, the classes that must stay below their labels, and the ball."""

from __future__ import annotations

import dataclasses
from typing import Self

import torch
from torch import Tensor

from nversion.certification.ball import Ball
from nversion.certification.region import Region

__all__ = ["Problem", "Rivals"]


@dataclasses.dataclass(frozen=True)
class Rivals:
    """Labels, and the classes that must stay below them.

    Attributes:
        labels: int64 [count].
        others: int64 [count, rows].
    """

    labels: Tensor
    others: Tensor

    @classmethod
    def all(cls, labels: Tensor, classes: int) -> Rivals:
        """Return all classes but the label as its rivals.

        Args:
            labels: int64 [count].
            classes: how many there are.
        """
        others = torch.arange(classes - 1, device=labels.device).expand(len(labels), -1)
        return cls(labels, others + (others >= labels[:, None]))

    @classmethod
    def every(cls, labels: Tensor, classes: int) -> Rivals:
        """Return all classes as rivals, the label among them, so that columns are classes."""
        return cls(labels, torch.arange(classes, device=labels.device).expand(len(labels), -1))

    def rows(self, chosen: Tensor) -> Rivals:
        """Return the same for some of the images."""
        return Rivals(self.labels[chosen], self.others[chosen])

    def leads(self, values: Tensor) -> Tensor:
        """Return by how much the label's value exceeds its rivals', [count, rows].

        Args:
            values: [count, classes].
        """
        return values.gather(1, self.labels[:, None]) - values.gather(1, self.others)

    def both(self, values: Tensor) -> Tensor:
        """Return the label's value and its rivals' added up, [count, rows]."""
        return values.gather(1, self.labels[:, None]) + values.gather(1, self.others)


@dataclasses.dataclass(frozen=True)
class Problem:
    """Images to be certified.

    Attributes:
        images: floating [count, *shape].
        rivals: the labels, and the classes that no change may raise above them.
        ball: the norm of the changes, and the box.
    """

    images: Tensor
    rivals: Rivals
    ball: Ball

    def __len__(self) -> int:
        """Return how many images there are."""
        return len(self.images)

    @property
    def labels(self) -> Tensor:
        """The images' labels, int64 [count]."""
        return self.rivals.labels

    @property
    def numbers(self) -> Tensor:
        """The numbers of all images, int64 [count]."""
        return torch.arange(len(self), device=self.images.device)

    def rows(self, chosen: Tensor) -> Self:
        """Return the problem of some of the images, chosen by their numbers int64 [some]."""
        return dataclasses.replace(
            self, images=self.images[chosen], rivals=self.rivals.rows(chosen)
        )

    def to(self, dtype: torch.dtype) -> Self:
        """Return the problem with its images in another precision."""
        return dataclasses.replace(self, images=self.images.to(dtype))

    def region(self, radii: Tensor) -> Region:
        """Return the balls of `radii`, [count], around the images."""
        return Region(self.images, radii.to(self.images.dtype), self.ball)

    def least(self, margins: Tensor) -> Tensor:
        """Return the smallest margin over the label's rivals, [count]; infinite if there are none.

        Args:
            margins: of the label over each class, [count, classes].
        """
        chosen = margins.gather(1, self.rivals.others)
        if chosen.shape[1] == 0:
            return torch.full_like(margins[:, 0], torch.inf)
        return chosen.amin(dim=1)
