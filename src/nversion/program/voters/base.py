"""What every voter shares: ballots on a grid, their sum, and who wins by it.

Each version casts something for every class (its ballot). Ballots are rounded to a binary grid
before they are added. The grid is coarse enough for float64 to add up 2,048 of them without
rounding, so a verdict is the same bits for every order of the versions, for every batch, and for
running sums. It is 2^-40 for probabilities and votes, and 2^-21 for log-probabilities, finer than
what a float32 network reproduces of its logits.

Most voters derive from one of two kinds. A :class:`SoftVoter` has a gradient, which attacks follow.
A :class:`VoteCounter` counts whole votes, which do not move until one version changes its mind; as
a model for attacks it shows the mean softmax of its versions, while the verdict follows the votes.
Hard voters are surveyed by Parhami, "Voting algorithms", IEEE Transactions on Reliability 43(4),
1994.
"""

from __future__ import annotations

import abc
import dataclasses
import math
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from nversion.errors import InputError
from nversion.program.voters.outputs import Outputs

__all__ = [
    "LOG_STEP",
    "MOST_VERSIONS",
    "PROBABILITY_STEP",
    "SoftVoter",
    "VoteCounter",
    "Voter",
    "mean_softmax",
    "on_grid",
    "worths",
]

MOST_VERSIONS = 2048
PROBABILITY_STEP = 2.0**-40
LOG_STEP = 2.0**-21


@dataclasses.dataclass(frozen=True)
class Voter(abc.ABC):
    """How versions' outputs become a verdict; a configured value, whose fields are its options.

    The class with the largest score wins. Unless a voter says otherwise, the score is the sum of
    what the versions cast, and the largest is enough, however small.

    Class attributes:
        name: the name in the registry.
        source: where the rule comes from, in a few words.
        hard: versions cast whole votes, so the verdict has no gradient.
        abstains_on_ties: an exact tie at the top is an abstention; otherwise the lowest of the
            tied classes wins, as ``argmax`` has it.
        weighted: versions may be given weights.
        step: the grid that ballots lie on.
        absent: what a version that is voted out casts for every class, per unit of its weight.
        bound: what so many faulty versions can do to a verdict, in words.
    """

    name: ClassVar[str]
    source: ClassVar[str] = ""
    hard: ClassVar[bool] = False
    abstains_on_ties: ClassVar[bool] = False
    weighted: ClassVar[bool] = True
    step: ClassVar[float] = PROBABILITY_STEP
    absent: ClassVar[float] = 0.0
    bound: ClassVar[str] = "none is known"

    @property
    def tie_rule(self) -> str:
        """What becomes of an exact tie at the top, in words; a part of every verdict."""
        return "abstains" if self.abstains_on_ties else "the lowest of the tied classes wins"

    def abstention_rule(self, versions: int) -> str:
        """When the voter itself names no class, of so many versions, in words."""
        needed = self.threshold(versions)
        if needed == -math.inf:
            return "on ties" if self.abstains_on_ties else "never"
        return f"on ties, and where no class has {needed:g} votes"

    @final
    @property
    def differentiable(self) -> bool:
        """Whether :meth:`log_probabilities` is the verdict's own logarithm, not a surrogate."""
        return not self.hard

    @abc.abstractmethod
    def cast(self, outputs: Outputs) -> Tensor:
        """Return what each version casts for each class, [versions, count, classes].

        They are at most 1 in size on the grid of probabilities, and 2^20 on that of
        log-probabilities, so that float64 adds up those of 2,048 versions exactly.
        """

    def scores(self, ballots: Tensor) -> Tensor:
        """Return each class's score, float64 [count, classes], from [versions, count, classes]."""
        return ballots.sum(dim=0)

    def threshold(self, versions: int) -> float:
        """Return the score that a winner needs at least, of so many versions; -inf for none."""
        return -math.inf

    def probabilities(self, scores: Tensor, total: float) -> Tensor:
        """Return the verdict's probabilities [count, classes] from the scores.

        `total` is the sum of the weights (the number of versions where they are equal).
        """
        return scores / total

    @abc.abstractmethod
    def log_probabilities(self, members: Tensor, log_weights: Tensor) -> Tensor:
        """Return differentiable log-probabilities [count, classes] of the program.

        For soft voters these are the logarithms of :meth:`probabilities`. For hard voters they
        are a surrogate: it points attacks the right way, but its largest class may differ from
        the verdict.

        Args:
            members: the versions' log-probabilities [versions, count, classes].
            log_weights: logarithms of the versions' shares of the weight, [versions].
        """

    def check(self, versions: int, weights: Tensor | None) -> None:
        """Raise unless so many versions can vote this way, with these weights (None: equal).

        Raises:
            InputError: they cannot; the message says why.
        """
        self.check_weights(weights)

    @final
    def check_weights(self, weights: Tensor | None) -> None:
        """Raise InputError if there are weights and this voter counts all versions alike."""
        if weights is not None and not self.weighted:
            raise InputError(
                f"the voter {self.name} counts all versions alike and takes no weights"
            )

    @final
    @property
    def additive(self) -> bool:
        """Whether the scores are the sum of the ballots, so that one more version adds to them."""
        return type(self).scores is Voter.scores

    @final
    def options(self) -> dict[str, Any]:
        """Return the voter's options by name, as JSON values."""
        return dataclasses.asdict(self)

    @final
    def ballots(self, outputs: Outputs, weights: Tensor | None) -> Tensor:
        """Return what counts of each version, float64 [versions, count, classes], on the grid.

        Args:
            outputs: of the versions.
            weights: float64 [versions] in (0, 1], or None for equal ones.

        Raises:
            InputError: there are weights, and this voter takes none.
        """
        self.check_weights(weights)
        return on_grid(self.cast(outputs), weights, self.step)

    @final
    def tied(self, scores: Tensor) -> Tensor:
        """Return where several classes share the largest score, bool [count]."""
        return (scores == scores.max(dim=1, keepdim=True).values).sum(dim=1) > 1

    @final
    def elect(self, scores: Tensor, versions: int) -> Tensor:
        """Return the winners, int64 [count]; -1 where there is none."""
        best = scores.max(dim=1).values
        labels = scores.argmax(dim=1)
        if self.abstains_on_ties:
            labels = labels.masked_fill(self.tied(scores), -1)
        return labels.masked_fill(best < self.threshold(versions), -1)


class SoftVoter(Voter):
    """A voter with a gradient. A subclass has a name, and :meth:`scores` if it is no mean."""

    def cast(self, outputs: Outputs) -> Tensor:
        """Return the softmax outputs, float32 [versions, count, classes]."""
        return outputs.probabilities

    def log_probabilities(self, members: Tensor, log_weights: Tensor) -> Tensor:
        """Return the logarithms of what :meth:`probabilities` makes of these versions' scores.

        It is worked out from `cast`, `scores` and `probabilities`, which must let gradients
        through; override it where the logarithm can be had more exactly.
        """
        ballots = self.cast(Outputs(members.exp(), members))
        versions = len(members)
        if self.weighted:
            ballots = ballots * (log_weights.exp() * versions)[:, None, None]
        probabilities = self.probabilities(self.scores(ballots), float(versions))
        return (probabilities + PROBABILITY_STEP).log()


class VoteCounter(Voter):
    """Each version casts one vote, for its own class; a tie is an abstention."""

    hard: ClassVar[bool] = True
    abstains_on_ties: ClassVar[bool] = True

    def cast(self, outputs: Outputs) -> Tensor:
        """Return 1 for each version's own class and 0 elsewhere, [versions, count, classes]."""
        return torch.nn.functional.one_hot(outputs.predictions(), outputs.probabilities.shape[2])

    def votes_needed(self, worth: Tensor) -> float:
        """Return the votes that a winner needs at least; -inf for none.

        Args:
            worth: what each version's vote is worth, as :func:`worths` has it.
        """
        return self.threshold(len(worth))

    def log_probabilities(self, members: Tensor, log_weights: Tensor) -> Tensor:
        """Return a surrogate that has a gradient: the logarithm of the mean softmax."""
        return mean_softmax(members, log_weights)


def on_grid(values: Tensor, weights: Tensor | None, step: float) -> Tensor:
    """Return values times the versions' weights, rounded to the grid, as float64.

    Args:
        values: [versions, ...].
        weights: [versions], or None for equal ones.
        step: of the grid, a power of 2.
    """
    values = values.double()
    if weights is not None:
        values = values * weights.reshape(-1, *[1] * (values.ndim - 1))
    return (values / step).round_() * step


def worths(weights: Tensor | None, versions: int) -> Tensor:
    """Return what each version's vote is worth, float64 [versions], on the grid.

    There sums are exact: sums of the weights themselves may round to a lead where votes are tied.

    Args:
        weights: [versions], or None for equal ones.
        versions: how many there are.
    """
    return on_grid(torch.ones(versions) if weights is None else weights, None, PROBABILITY_STEP)


def mean_softmax(members: Tensor, log_weights: Tensor) -> Tensor:
    """Return the logarithm of the mean softmax, [count, classes].

    Args:
        members: the versions' log-probabilities [versions, count, classes].
        log_weights: logarithms of their shares of the weight, [versions].
    """
    return torch.logsumexp(members + log_weights[:, None, None], dim=0)
