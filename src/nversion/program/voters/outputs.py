"""What the versions said about some images: all that a voter gets to see."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["Outputs"]

LOWEST_LOG = -(2.0**20)
"""A version's log-probability counts as no less: one version's veto is large, but finite."""


@dataclasses.dataclass(frozen=True)
class Outputs:
    """What the versions said about some images.

    Attributes:
        probabilities: softmax outputs, float32 [versions, count, classes].
        log_probabilities: their logarithms before any rounding, float64 [versions, count,
            classes], all finite and at least -2^20.
        present: bool [versions, count], whether a version has a voice; None where all have. What
            those without one say means nothing.
    """

    probabilities: Tensor
    log_probabilities: Tensor
    present: Tensor | None = None

    @classmethod
    def from_logits(cls, logits: Sequence[Tensor]) -> Outputs:
        """Take one tensor of logits [count, classes] per version (log-probabilities will do)."""
        logs = torch.stack([values.detach().double().log_softmax(dim=1) for values in logits])
        return cls(logs.exp().float(), logs.clamp(min=LOWEST_LOG))

    @classmethod
    def from_probabilities(cls, probabilities: Tensor) -> Outputs:
        """Take stored softmax outputs [versions, count, classes].

        A probability of 0 is a rounded one, so its logarithm counts as that of 2^-149, the
        smallest float32.
        """
        probabilities = probabilities.detach().float()
        return cls(probabilities, probabilities.double().clamp(min=2.0**-149).log())

    def predictions(self) -> Tensor:
        """Return each version's own class, int64 [versions, count]; ties go to the lowest.

        It is -1 where a version has no voice.
        """
        classes = self.log_probabilities.argmax(dim=2)
        return classes if self.present is None else classes.masked_fill(~self.present, -1)

    def of(self, versions: Tensor, images: Tensor) -> Outputs:
        """Return what some versions said of some images, all with a voice.

        Args:
            versions: their places, int64.
            images: their rows, int64.
        """
        return Outputs(
            self.probabilities[versions][:, images], self.log_probabilities[versions][:, images]
        )
