"""What attacks ask of several models that vote: their outputs one by one, and how votes count.

A network is attacked through its logits alone. What is made of several networks can be attacked
better by who knows what each of them says and how many of them a rival class has to win over; this
module says how such a model tells. ``nversion.program.Program`` is one, and whatever else has these
methods is attacked alike: attacks know nothing of programs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

__all__ = ["ABSTENTION", "Ensemble", "VoteRule"]

ABSTENTION = -1
"""The verdict that names no class."""


@dataclasses.dataclass(frozen=True)
class VoteRule:
    """How members' outputs become one verdict, as far as an attack needs to know.

    Attributes:
        weights: one positive number for each member, the largest 1.
        smooth: whether the vote's own scores follow every member's logits smoothly, as means do;
            then its gradient shows the way. Otherwise whole votes, or one member's output, decide.
        threshold: the share of votes, in the unit of the weights, that a winner needs; -inf: none.
        ties_abstain: whether an exact tie at the top is an abstention; otherwise the lowest of the
            tied classes wins.
        abstains: whether a verdict may name no class.
    """

    weights: tuple[float, ...]
    smooth: bool
    threshold: float
    ties_abstain: bool
    abstains: bool

    def winners(self, votes: npt.NDArray[np.int64], classes: int) -> npt.NDArray[np.int64]:
        """Return the verdicts on votes int64 [..., members]; int64 [...], -1 for an abstention."""
        scores = np.zeros((*votes.shape[:-1], classes))
        for member, weight in enumerate(self.weights):
            own = votes[..., member, None]
            np.put_along_axis(scores, own, np.take_along_axis(scores, own, -1) + weight, -1)
        best, found = scores.max(axis=-1), scores.argmax(axis=-1)
        if self.ties_abstain:
            found = np.where((scores == best[..., None]).sum(axis=-1) > 1, ABSTENTION, found)
        return np.where(best < self.threshold, ABSTENTION, found)

    def needed(self, label: int, rival: int, classes: int, *, verdict: bool) -> int:
        """Return how many members, the weightiest first, must leave the label for a rival.

        Where all vote for the label before; the number of members plus 1 if all are not enough.

        Args:
            label: the class that has all votes.
            rival: the class that they go to.
            classes: how many there are.
            verdict: whether the rival must win; otherwise an abstention is enough.
        """
        count = len(self.weights)
        order = np.argsort([-weight for weight in self.weights], kind="stable")
        votes = np.full((count + 1, count), label, dtype=np.int64)
        for flips in range(1, count + 1):
            votes[flips, order[:flips]] = rival
        found = self.winners(votes, classes)
        lost = found == rival if verdict else found != label
        return int(lost.argmax()) if bool(lost.any()) else count + 1


@runtime_checkable
class Ensemble(Protocol):
    """A model made of several, whose vote is to be attacked; a ``torch.nn.Module`` as well."""

    def readers(self, images: Tensor) -> Sequence[nn.Module]:
        """Return the members as models of logits, for images [count, ...] of that shape."""
        ...

    def combine(self, logits: Tensor) -> Tensor:
        """Return log-probabilities of the vote [count, classes], differentiable.

        Args:
            logits: of the members, floating [members, count, classes].
        """
        ...

    def verdicts(self, logits: Tensor) -> Tensor:
        """Return the true verdicts on members' logits [members, count, classes], int64 [count]."""
        ...

    @property
    def rule(self) -> VoteRule:
        """How the verdict is made."""
        ...
