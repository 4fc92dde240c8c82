"""How versions vote, whichever they are: what makes a program of some networks."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from torch import nn

from nversion.program.abstention import Abstention
from nversion.program.model import Program
from nversion.program.voters import Voter

__all__ = ["Voting"]


@dataclasses.dataclass(frozen=True)
class Voting:
    """How versions vote, whichever they are.

    Attributes:
        voter: of the program.
        weights: one positive number for each version; None for equal ones.
        abstain: when a verdict is withheld; None for never.
        quorum: how many versions must have a voice; None for a strict majority.
    """

    voter: Voter
    weights: tuple[float, ...] | None = None
    abstain: Abstention | None = None
    quorum: int | None = None

    def program(self, models: Sequence[nn.Module]) -> Program:
        """Return the program of some versions."""
        return Program(models, self.voter, self.weights, self.abstain, self.quorum)
