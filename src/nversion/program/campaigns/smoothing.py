"""What randomised smoothing made of a number of images, summed up."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nversion.certification.smoothing import SmoothingResult

__all__ = ["SmoothedImages"]


@dataclasses.dataclass(frozen=True)
class SmoothedImages:
    """What the smoothed model is certified to say of images.

    Attributes:
        result: the classes, radii and bounds, image by image.
        labels: the true classes, int64 [count].
        seed: of the noise.
    """

    result: SmoothingResult
    labels: Tensor
    seed: int

    @classmethod
    def joined(cls, parts: Sequence[SmoothingResult], labels: Tensor, seed: int) -> SmoothedImages:
        """Return the results of parts of the images, smoothed alike and in order, as one."""
        result = dataclasses.replace(
            parts[0],
            labels=torch.cat([part.labels for part in parts]),
            radii=torch.cat([part.radii for part in parts]),
            lower_bounds=torch.cat([part.lower_bounds for part in parts]),
        )
        return cls(result, labels, seed)

    @property
    def radii(self) -> Tensor:
        """L2 radii, float32 [count]; 0 where the class is not the true one."""
        return self.result.radii_for(self.labels)

    @property
    def confidence_of_all(self) -> float:
        """The probability that all certificates are true, at the least; 0 if none is known."""
        return max(0.0, 1.0 - len(self.labels) * (1.0 - self.result.confidence))

    @property
    def accuracy(self) -> float:
        """The share of images whose smoothed class is the true one."""
        return float((self.result.labels == self.labels).double().mean())

    @property
    def abstentions(self) -> int:
        """How many images get no class."""
        return int((self.result.labels < 0).sum())

    def to_json(self) -> dict[str, Any]:
        """Return all but the radii as JSON values."""
        return {
            "sigma": self.result.sigma,
            "samples": self.result.samples,
            "confidence": self.result.confidence,
            "seed": self.seed,
            "confidence_of_all": self.confidence_of_all,
            "smoothed_accuracy": self.accuracy,
            "abstentions": self.abstentions,
            "classes": self.result.labels.tolist(),
            "lower_bounds": self.result.lower_bounds.tolist(),
        }
