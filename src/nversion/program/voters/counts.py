"""Votes that are counted: the most win, or more than half, or those that are enough.

Plurality, majority and k-of-n ("m-out-of-n") are told apart as Parhami does, "Voting algorithms",
IEEE Transactions on Reliability 43(4), 1994. Consensus voting is McAllister, Sun and Vouk's,
"Reliability of voting in fault-tolerant software systems for small output-spaces", IEEE
Transactions on Reliability 39(5), 1990.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar, final

from torch import Tensor

from nversion.errors import InputError
from nversion.program.voters.base import PROBABILITY_STEP, VoteCounter
from nversion.program.voters.outputs import Outputs
from nversion.program.voters.registry import register

__all__ = ["Consensus", "KOfN", "Majority", "Plurality"]

AGREED = "one of n versions changes no verdict on which the other n - 1 agree, for n of 3 or more"

TIE_BREAK = 2.0**-13
"""What a version's probability counts beside its vote: of 2,048 versions together, a quarter."""


@final
@register
@dataclasses.dataclass(frozen=True)
class Plurality(VoteCounter):
    """Each version votes for its class; the most votes win, a tie is an abstention."""

    name: ClassVar[str] = "plurality"
    source: ClassVar[str] = "Parhami 1994"
    bound: ClassVar[str] = f"{AGREED}, with equal weights"


@final
@register
@dataclasses.dataclass(frozen=True)
class Majority(VoteCounter):
    """The class with more than half of all votes wins; else an abstention.

    A version casts its vote for its class and against every other, so that the score is what the
    class has more than half of the votes, twice. One that is voted out counts against all.
    """

    name: ClassVar[str] = "majority"
    source: ClassVar[str] = "Avizienis 1985; Parhami 1994"
    absent: ClassVar[float] = -1.0
    bound: ClassVar[str] = f"{AGREED}, with equal weights"

    def cast(self, outputs: Outputs) -> Tensor:
        """Return 1 for each version's own class and -1 elsewhere, [versions, count, classes]."""
        return super().cast(outputs) * 2 - 1

    def threshold(self, versions: int) -> float:
        """Return the least score that is positive: votes and scores lie on a grid."""
        return PROBABILITY_STEP

    def votes_needed(self, worth: Tensor) -> float:
        """Return the least number above half of all votes."""
        return (float(worth.sum()) + PROBABILITY_STEP) / 2

    def abstention_rule(self, versions: int) -> str:
        """Say what a majority is."""
        return "where no class has more than half of the votes"

    def probabilities(self, scores: Tensor, total: float) -> Tensor:
        """Return the shares of the votes."""
        return (scores / total + 1) / 2


@final
@register
@dataclasses.dataclass(frozen=True)
class KOfN(VoteCounter):
    """The class with the most votes wins if it has at least `k`; else an abstention.

    Attributes:
        k: votes needed; None for a strict majority, more than half of the versions.
    """

    name: ClassVar[str] = "k-of-n"
    source: ClassVar[str] = "Parhami 1994"
    weighted: ClassVar[bool] = False
    bound: ClassVar[str] = f"{AGREED}, where k is at most n - 1"
    k: int | None = None

    def __post_init__(self) -> None:
        if self.k is not None and (not isinstance(self.k, int) or self.k < 1):
            raise InputError(f"k must be a whole number of votes, at least 1, not {self.k!r}")

    def threshold(self, versions: int) -> float:
        """Return k, or the smallest whole number above half of the versions."""
        return versions // 2 + 1 if self.k is None else self.k

    def check(self, versions: int, weights: Tensor | None) -> None:
        """Raise InputError if there are weights, or fewer versions than the votes asked for."""
        super().check(versions, weights)
        if (self.k or 1) > versions:
            raise InputError(f"k is {self.k}, but there are {versions} versions only")


@final
@register
@dataclasses.dataclass(frozen=True)
class Consensus(VoteCounter):
    """The largest group of versions that agree wins, however small; it always names a class.

    Of groups of one size the original draws one at random. Here the class wins to which all
    versions together give the most probability, so that a verdict repeats, and of exactly equal
    ones the lowest.
    """

    name: ClassVar[str] = "consensus"
    source: ClassVar[str] = "McAllister, Sun and Vouk 1990"
    abstains_on_ties: ClassVar[bool] = False
    weighted: ClassVar[bool] = False
    bound: ClassVar[str] = AGREED

    @property
    def tie_rule(self) -> str:
        """Say how groups of one size are told apart."""
        return "of the tied classes the one with more probability wins, then the lowest"

    def cast(self, outputs: Outputs) -> Tensor:
        """Return votes with a little of the probabilities, which cannot add up to one vote."""
        return super().cast(outputs) + outputs.probabilities.double() * TIE_BREAK

    def probabilities(self, scores: Tensor, total: float) -> Tensor:
        """Return the shares of the votes: whole ones, without the little that breaks ties."""
        return scores.floor() / total
