"""Voters: how several versions' outputs become one verdict.

A voter that adds up is described by three things: what each version casts (its ballot), how ties
are settled, and how much the winner needs. Ballots are rounded to a binary grid before they are
added. The grid is coarse enough for float64 to add up 2,048 of them without rounding, so a verdict
is the same bits for every order of the versions, for every batch, and for running sums. It is 2^-40
for probabilities and votes, and 2^-21 for log-probabilities, finer than what a float32 network
reproduces of its logits.

``mean-softmax`` is the voter of the 2019 study. The hard voters, ``majority`` (plurality) and
``k-of-n``, are surveyed by Parhami, "Voting algorithms", IEEE Transactions on Reliability 43(4),
1994. They are not differentiable: the votes do not move until one version changes its mind. As a
model for attacks they therefore show the mean softmax of their versions (see
:meth:`Voter.log_probabilities`); the verdict always follows the true voter.
"""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Sequence
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from nversion.errors import InputError
from nversion.naming import did_you_mean

__all__ = [
    "KOfN",
    "Majority",
    "MeanLogits",
    "MeanSoftmax",
    "MedianSoftmax",
    "Outputs",
    "Voter",
    "create_voter",
    "voter_names",
]

MOST_VERSIONS = 2048
PROBABILITY_STEP = 2.0**-40
LOG_STEP = 2.0**-21
LOWEST_LOG = -(2.0**20)
"""A version's log-probability counts as no less: one version's veto is large, but finite."""


@dataclasses.dataclass(frozen=True)
class Outputs:
    """What the versions said about some images.

    Attributes:
        probabilities: softmax outputs, float32 [versions, count, classes].
        log_probabilities: their logarithms before any rounding, float64 [versions, count,
            classes], all finite and at least -2^20.
    """

    probabilities: Tensor
    log_probabilities: Tensor

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
        """Return each version's own class, int64 [versions, count]; ties go to the lowest."""
        return self.log_probabilities.argmax(dim=2)


class Voter(abc.ABC):
    """How versions' outputs become a verdict; a configured value.

    Class attributes:
        name: the name in the registry.
        additive: the scores are the sum of the ballots.
        hard: versions cast whole votes, so the verdict has no gradient.
        abstains_on_ties: an exact tie at the top is an abstention; otherwise the lowest of the
            tied classes wins, as ``argmax`` has it.
        step: the grid that ballots lie on.
    """

    name: ClassVar[str]
    additive: ClassVar[bool]
    hard: ClassVar[bool]
    abstains_on_ties: ClassVar[bool]
    step: ClassVar[float]

    @abc.abstractmethod
    def ballots(self, outputs: Outputs, weights: Tensor | None) -> Tensor:
        """Return what each version casts, float64 [versions, count, classes], on the grid.

        `weights` are float64 [versions] in (0, 1], or None for equal ones.
        """

    @abc.abstractmethod
    def scores(self, ballots: Tensor) -> Tensor:
        """Return each class's score, float64 [count, classes]; the largest wins."""

    @abc.abstractmethod
    def threshold(self, versions: int) -> float:
        """Return the score that a winner needs at least, with so many versions."""

    @abc.abstractmethod
    def probabilities(self, scores: Tensor, total: float) -> Tensor:
        """Return the verdict's probabilities, float64 [count, classes], from the scores.

        `total` is the sum of the weights (the number of versions where they are equal).
        """

    @abc.abstractmethod
    def log_probabilities(self, members: Tensor, log_weights: Tensor) -> Tensor:
        """Return differentiable log-probabilities [count, classes] of the program.

        For soft voters these are the logarithms of :meth:`probabilities`. For hard voters they
        are a surrogate, the mean softmax: it points attacks the right way, but its largest class
        may differ from the verdict.

        Args:
            members: the versions' log-probabilities [versions, count, classes].
            log_weights: logarithms of the versions' shares of the weight, [versions].
        """

    @final
    def elect(self, scores: Tensor, versions: int) -> Tensor:
        """Return the winners, int64 [count]; -1 where there is none."""
        best, labels = scores.max(dim=1)
        labels = scores.argmax(dim=1)
        if self.abstains_on_ties:
            tied = (scores == best[:, None]).sum(dim=1) > 1
            labels = labels.masked_fill(tied, -1)
        return labels.masked_fill(best < self.threshold(versions), -1)


_VOTERS: dict[str, type[Voter]] = {}


def _register(voter: type[Voter]) -> type[Voter]:
    _VOTERS[voter.name] = voter
    return voter


def voter_names() -> list[str]:
    """Return the names of all voters, the study's first."""
    return list(_VOTERS)


def create_voter(name: str | Voter, **options: Any) -> Voter:
    """Return the voter called `name` with its `options`; a voter is handed back as it is.

    Raises:
        InputError: no voter has that name, or it has no such option.
    """
    if isinstance(name, Voter):
        return name
    voter = _VOTERS.get(name)
    if voter is None:
        raise InputError(
            f"no voter is called {name!r}{did_you_mean(name, _VOTERS)}; there are: "
            f"{', '.join(_VOTERS)}"
        )
    known = [field.name for field in dataclasses.fields(voter)]  # type: ignore[arg-type]
    unknown = [option for option in options if option not in known]
    if unknown:
        raise InputError(
            f"the voter {name} has no option {', '.join(map(repr, unknown))}"
            f"{did_you_mean(unknown[0], known)}; it has: {', '.join(known) or 'none'}"
        )
    return voter(**options)


def _on_grid(values: Tensor, weights: Tensor | None, step: float) -> Tensor:
    values = values.double()
    if weights is not None:
        values = values * weights[:, None, None]
    return (values / step).round_() * step


def _votes(outputs: Outputs, weights: Tensor | None) -> Tensor:
    chosen = outputs.predictions()
    votes = torch.nn.functional.one_hot(chosen, outputs.probabilities.shape[2])
    return _on_grid(votes, weights, PROBABILITY_STEP)


def _mean_softmax(members: Tensor, log_weights: Tensor) -> Tensor:
    return torch.logsumexp(members + log_weights[:, None, None], dim=0)


@final
@_register
@dataclasses.dataclass(frozen=True)
class MeanSoftmax(Voter):
    """The class with the largest mean probability wins (the study's voter)."""

    name: ClassVar[str] = "mean-softmax"
    additive: ClassVar[bool] = True
    hard: ClassVar[bool] = False
    abstains_on_ties: ClassVar[bool] = False
    step: ClassVar[float] = PROBABILITY_STEP

    def ballots(self, outputs: Outputs, weights: Tensor | None) -> Tensor:
        """Cast the probabilities."""
        return _on_grid(outputs.probabilities, weights, PROBABILITY_STEP)

    def scores(self, ballots: Tensor) -> Tensor:
        """Add them up."""
        return ballots.sum(dim=0)

    def threshold(self, versions: int) -> float:
        """Ask for nothing."""
        return -math.inf

    def probabilities(self, scores: Tensor, total: float) -> Tensor:
        """Return the mean."""
        return scores / total

    def log_probabilities(self, members: Tensor, log_weights: Tensor) -> Tensor:
        """Return the logarithm of the mean softmax."""
        return _mean_softmax(members, log_weights)


@final
@_register
@dataclasses.dataclass(frozen=True)
class MeanLogits(Voter):
    """The class with the largest mean logit wins.

    Logits enter as log-probabilities, which differ from them by one constant per version and
    image: neither the winner nor the softmax of the mean depends on it.
    """

    name: ClassVar[str] = "mean-logits"
    additive: ClassVar[bool] = True
    hard: ClassVar[bool] = False
    abstains_on_ties: ClassVar[bool] = False
    step: ClassVar[float] = LOG_STEP

    def ballots(self, outputs: Outputs, weights: Tensor | None) -> Tensor:
        """Cast the log-probabilities."""
        return _on_grid(outputs.log_probabilities, weights, LOG_STEP)

    def scores(self, ballots: Tensor) -> Tensor:
        """Add them up."""
        return ballots.sum(dim=0)

    def threshold(self, versions: int) -> float:
        """Ask for nothing."""
        return -math.inf

    def probabilities(self, scores: Tensor, total: float) -> Tensor:
        """Return the softmax of the mean."""
        return (scores / total).softmax(dim=1)

    def log_probabilities(self, members: Tensor, log_weights: Tensor) -> Tensor:
        """Return the log-softmax of the mean log-probabilities."""
        return (members * log_weights.exp()[:, None, None]).sum(dim=0).log_softmax(dim=1)


@final
@_register
@dataclasses.dataclass(frozen=True)
class Majority(Voter):
    """Each version votes for its class; the most votes win (plurality), a tie is an abstention."""

    name: ClassVar[str] = "majority"
    additive: ClassVar[bool] = True
    hard: ClassVar[bool] = True
    abstains_on_ties: ClassVar[bool] = True
    step: ClassVar[float] = PROBABILITY_STEP

    def ballots(self, outputs: Outputs, weights: Tensor | None) -> Tensor:
        """Cast one vote each, worth the version's weight."""
        return _votes(outputs, weights)

    def scores(self, ballots: Tensor) -> Tensor:
        """Count the votes."""
        return ballots.sum(dim=0)

    def threshold(self, versions: int) -> float:
        """Ask for nothing but the most votes."""
        return -math.inf

    def probabilities(self, scores: Tensor, total: float) -> Tensor:
        """Return the shares of the votes."""
        return scores / total

    def log_probabilities(self, members: Tensor, log_weights: Tensor) -> Tensor:
        """Return a surrogate: the logarithm of the mean softmax."""
        return _mean_softmax(members, log_weights)


@final
@_register
@dataclasses.dataclass(frozen=True)
class KOfN(Voter):
    """The class with the most votes wins if it has at least `k`; else an abstention.

    Attributes:
        k: votes needed; None for a strict majority, more than half of the versions.
    """

    name: ClassVar[str] = "k-of-n"
    additive: ClassVar[bool] = True
    hard: ClassVar[bool] = True
    abstains_on_ties: ClassVar[bool] = True
    step: ClassVar[float] = PROBABILITY_STEP
    k: int | None = None

    def __post_init__(self) -> None:
        if self.k is not None and (not isinstance(self.k, int) or self.k < 1):
            raise InputError(f"k must be a whole number of votes, at least 1, not {self.k!r}")

    def ballots(self, outputs: Outputs, weights: Tensor | None) -> Tensor:
        """Cast one vote each; weights are refused, as k counts versions."""
        if weights is not None:
            raise InputError("the voter k-of-n counts versions and takes no weights")
        return _votes(outputs, None)

    def scores(self, ballots: Tensor) -> Tensor:
        """Count the votes."""
        return ballots.sum(dim=0)

    def threshold(self, versions: int) -> float:
        """Ask for k votes."""
        return versions // 2 + 1 if self.k is None else self.k

    def probabilities(self, scores: Tensor, total: float) -> Tensor:
        """Return the shares of the votes."""
        return scores / total

    def log_probabilities(self, members: Tensor, log_weights: Tensor) -> Tensor:
        """Return a surrogate: the logarithm of the mean softmax."""
        return _mean_softmax(members, log_weights)


@final
@_register
@dataclasses.dataclass(frozen=True)
class MedianSoftmax(Voter):
    """The class with the largest median probability wins; few versions cannot move it far."""

    name: ClassVar[str] = "median-softmax"
    additive: ClassVar[bool] = False
    hard: ClassVar[bool] = False
    abstains_on_ties: ClassVar[bool] = False
    step: ClassVar[float] = PROBABILITY_STEP

    def ballots(self, outputs: Outputs, weights: Tensor | None) -> Tensor:
        """Cast the probabilities; weights are refused."""
        if weights is not None:
            raise InputError("the voter median-softmax takes no weights")
        return _on_grid(outputs.probabilities, None, PROBABILITY_STEP)

    def scores(self, ballots: Tensor) -> Tensor:
        """Take the median of each class (the mean of the middle two for an even number)."""
        return _median(ballots)

    def threshold(self, versions: int) -> float:
        """Ask for nothing."""
        return -math.inf

    def probabilities(self, scores: Tensor, total: float) -> Tensor:
        """Return the medians, scaled to sum to 1 (uniform where all are 0)."""
        scores = scores + PROBABILITY_STEP
        return scores / scores.sum(dim=1, keepdim=True)

    def log_probabilities(self, members: Tensor, log_weights: Tensor) -> Tensor:
        """Return the logarithm of the scaled medians."""
        medians = _median(members.exp()) + PROBABILITY_STEP
        return medians.log() - medians.sum(dim=1, keepdim=True).log()


def _median(values: Tensor) -> Tensor:
    ordered = values.sort(dim=0).values
    count = values.shape[0]
    return (ordered[(count - 1) // 2] + ordered[count // 2]) / 2
