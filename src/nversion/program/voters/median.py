"""The median of the versions' softmax outputs."""

from __future__ import annotations

import dataclasses
from typing import ClassVar, final

from torch import Tensor

from nversion.program.voters.base import PROBABILITY_STEP, SoftVoter
from nversion.program.voters.registry import register

__all__ = ["MedianSoftmax", "median"]


@final
@register
@dataclasses.dataclass(frozen=True)
class MedianSoftmax(SoftVoter):
    """The class with the largest median probability wins; few versions cannot move it far."""

    name: ClassVar[str] = "median-softmax"
    weighted: ClassVar[bool] = False

    def scores(self, ballots: Tensor) -> Tensor:
        """Return the median of each class over the versions."""
        return median(ballots)

    def probabilities(self, scores: Tensor, total: float) -> Tensor:
        """Return the medians, scaled to sum to 1 (uniform where all are 0)."""
        scores = scores + PROBABILITY_STEP
        return scores / scores.sum(dim=1, keepdim=True)

    def log_probabilities(self, members: Tensor, log_weights: Tensor) -> Tensor:
        """Return the logarithm of the scaled medians."""
        medians = median(members.exp()) + PROBABILITY_STEP
        return medians.log() - medians.sum(dim=1, keepdim=True).log()


def median(values: Tensor) -> Tensor:
    """Return the median over the first dimension; of an even number, the middle two's mean."""
    ordered = values.sort(dim=0).values
    count = values.shape[0]
    return (ordered[(count - 1) // 2] + ordered[count // 2]) / 2
