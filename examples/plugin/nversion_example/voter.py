"""A voter: the class wins of which the version that doubts it most is surest."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from torch import Tensor

from nversion.program import SoftVoter
from nversion.program.certificates.problem import VoteProblem
from nversion.program.certificates.registry import certifies
from nversion.program.certificates.softmaxes import monotone_radii
from nversion.program.model import Program

__all__ = ["LeastDoubted"]


@dataclasses.dataclass(frozen=True)
class LeastDoubted(SoftVoter):
    """The class with the largest minimum of the versions' probabilities wins."""

    name: ClassVar[str] = "least-doubted"
    weighted: ClassVar[bool] = False

    def scores(self, ballots: Tensor) -> Tensor:
        """Return the smallest probability of each class over the versions."""
        return smallest(ballots)

    def probabilities(self, scores: Tensor, total: float) -> Tensor:
        """Return the minima, scaled to sum to 1."""
        scores = scores + self.step
        return scores / scores.sum(dim=1, keepdim=True)


def smallest(values: Tensor) -> Tensor:
    """Return the smallest value over the first dimension."""
    return values.amin(dim=0)


@certifies(LeastDoubted)
def doubted_radii(program: Program, problem: VoteProblem) -> Tensor:
    """Return certified radii, float64 [count].

    The score of a class never falls where a version's probability of it rises, and moves by no more
    than the probability that moves most: that is all the certificate of such voters asks for.
    """
    return monotone_radii(program, problem, smallest)
