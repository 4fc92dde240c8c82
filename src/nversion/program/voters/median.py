"""Order statistics of the versions' softmax outputs: the median, a trimmed mean, the maximum.

The median and the maximum rule of Kittler, Hatef, Duin and Matas, "On combining classifiers", IEEE
Transactions on Pattern Analysis and Machine Intelligence 20(3), 1998; the trimmed mean is Tukey's
(see Huber, "Robust Statistics", 1981).
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar, final

from torch import Tensor

from nversion.errors import InputError
from nversion.program.voters.base import PROBABILITY_STEP, SoftVoter
from nversion.program.voters.registry import register

__all__ = [
    "MaximumConfidence",
    "MedianSoftmax",
    "OrderStatistic",
    "TrimmedMean",
    "maximum",
    "median",
    "trimmed_mean",
]


@dataclasses.dataclass(frozen=True)
class OrderStatistic(SoftVoter):
    """A voter whose score of a class is an order statistic of the versions' probabilities of it."""

    weighted: ClassVar[bool] = False

    def probabilities(self, scores: Tensor, total: float) -> Tensor:
        """Return the scores, scaled to sum to 1 (uniform where all are 0)."""
        scores = scores + PROBABILITY_STEP
        return scores / scores.sum(dim=1, keepdim=True)


@final
@register
@dataclasses.dataclass(frozen=True)
class MedianSoftmax(OrderStatistic):
    """The class with the largest median probability wins; few versions cannot move it far."""

    name: ClassVar[str] = "median-softmax"
    source: ClassVar[str] = "Kittler et al. 1998 (median rule)"
    bound: ClassVar[str] = (
        "fewer than half of the versions move no class's median beyond what the others give it; "
        "where medians of the others are close, one liar decides"
    )

    def scores(self, ballots: Tensor) -> Tensor:
        """Return the median of each class over the versions."""
        return median(ballots)


@final
@register
@dataclasses.dataclass(frozen=True)
class TrimmedMean(OrderStatistic):
    """The class with the largest mean probability wins, each class's extremes left out.

    Attributes:
        trim: how many of the largest and of the smallest probabilities of each class are left out;
            fewer where less than one or two would remain.
    """

    name: ClassVar[str] = "trimmed-mean"
    source: ClassVar[str] = "Huber 1981"
    bound: ClassVar[str] = (
        "up to `trim` liars move no class's score beyond what the others give it; where these are "
        "close, one liar decides"
    )
    trim: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.trim, int) or self.trim < 1:
            raise InputError(
                f"trim must be a whole number of versions, at least 1, not {self.trim!r}"
            )

    def scores(self, ballots: Tensor) -> Tensor:
        """Return the trimmed mean of each class over the versions."""
        return trimmed_mean(ballots, self.trim)


@final
@register
@dataclasses.dataclass(frozen=True)
class MaximumConfidence(OrderStatistic):
    """The class of which any version is surest wins; a tie is an abstention."""

    name: ClassVar[str] = "maximum-confidence"
    source: ClassVar[str] = "Kittler et al. 1998 (maximum rule)"
    abstains_on_ties: ClassVar[bool] = True
    bound: ClassVar[str] = "one confident liar can turn any verdict"

    def scores(self, ballots: Tensor) -> Tensor:
        """Return the largest probability of each class over the versions."""
        return maximum(ballots)


def median(values: Tensor) -> Tensor:
    """Return the median over the first dimension; of an even number, the middle two's mean."""
    ordered = values.sort(dim=0).values
    count = values.shape[0]
    return (ordered[(count - 1) // 2] + ordered[count // 2]) / 2


def trimmed_mean(values: Tensor, trim: int = 1) -> Tensor:
    """Return the mean over the first dimension without its `trim` largest and smallest values."""
    ordered = values.sort(dim=0).values
    left_out = min(trim, (len(values) - 1) // 2)
    kept = ordered[left_out : len(values) - left_out]
    return kept.sum(dim=0) / len(kept)


def maximum(values: Tensor) -> Tensor:
    """Return the largest value over the first dimension."""
    return values.amax(dim=0)
