"""An attack: fade the image to grey, as far as it takes."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import torch
from torch import Tensor

from nversion.attacks import Attack, is_adversarial
from nversion.attacks.base import check_count
from nversion.attacks.noise import Noise
from nversion.attacks.oracle import Oracle

__all__ = ["TowardsGrey"]


@dataclasses.dataclass(frozen=True)
class TowardsGrey(Attack):
    """The least of a number of equal steps towards a grey image that changes the class.

    Attributes:
        steps: how many there are on the way.
    """

    steps: int = 20

    name: ClassVar[str] = "towards-grey"
    norm: ClassVar[str] = "l2"

    def __post_init__(self) -> None:
        check_count("steps", self.steps)

    def propose(self, oracle: Oracle, images: Tensor, labels: Tensor, noise: Noise) -> Tensor:
        """Return each image at its first adversarial step; the original where there is none."""
        found = images.clone()
        rows = torch.arange(len(images), device=images.device)
        for step in range(1, self.steps + 1):
            faded = torch.lerp(images[rows], torch.full_like(images[rows], 0.5), step / self.steps)
            hit = is_adversarial(oracle.logits(faded), labels[rows], oracle.dtype)
            found[rows[hit]] = faded[hit]
            rows = rows[~hit]
            if len(rows) == 0:
                break
        return found
