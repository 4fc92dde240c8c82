"""Votes that are counted: the most win, or those that are enough."""

from __future__ import annotations

import dataclasses
from typing import ClassVar, final

from torch import Tensor

from nversion.errors import InputError
from nversion.program.voters.base import VoteCounter
from nversion.program.voters.registry import register

__all__ = ["KOfN", "Majority"]


@final
@register
@dataclasses.dataclass(frozen=True)
class Majority(VoteCounter):
    """Each version votes for its class; the most votes win (plurality), a tie is an abstention."""

    name: ClassVar[str] = "majority"


@final
@register
@dataclasses.dataclass(frozen=True)
class KOfN(VoteCounter):
    """The class with the most votes wins if it has at least `k`; else an abstention.

    Attributes:
        k: votes needed; None for a strict majority, more than half of the versions.
    """

    name: ClassVar[str] = "k-of-n"
    weighted: ClassVar[bool] = False
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
