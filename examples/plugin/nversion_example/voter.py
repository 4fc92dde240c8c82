"""A voter: the mean of the versions' probabilities without the largest and the smallest."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from torch import Tensor

from nversion.program import SoftVoter
from nversion.program.certificates.problem import Problem
from nversion.program.certificates.registry import certifies
from nversion.program.certificates.softmaxes import monotone_radii
from nversion.program.model import Program

__all__ = ["TrimmedMean"]


@dataclasses.dataclass(frozen=True)
class TrimmedMean(SoftVoter):
    """The class with the largest trimmed mean probability wins; no version decides alone."""

    name: ClassVar[str] = "trimmed-mean"
    weighted: ClassVar[bool] = False

    def scores(self, ballots: Tensor) -> Tensor:
        """Return the mean without the extremes; of one or two versions, that of all."""
        return trimmed_mean(ballots)

    def probabilities(self, scores: Tensor, total: float) -> Tensor:
        """Return the trimmed means, scaled to sum to 1."""
        scores = scores + self.step
        return scores / scores.sum(dim=1, keepdim=True)


def trimmed_mean(values: Tensor) -> Tensor:
    """Return the mean over the first dimension without its largest and its smallest value."""
    ordered = values.sort(dim=0).values
    return (ordered[1:-1] if len(values) > 2 else ordered).mean(dim=0)


@certifies(TrimmedMean)
def trimmed_radii(program: Program, problem: Problem) -> Tensor:
    """Return certified radii, float64 [count].

    The score of a class never falls where a version's probability of it rises, and moves by no more
    than the probability that moves most: that is all the certificate of such voters asks for.
    """
    return monotone_radii(program, problem, trimmed_mean)
