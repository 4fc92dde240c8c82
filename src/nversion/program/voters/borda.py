"""Borda's count: every version ranks all classes.

Borda, "Memoire sur les elections au scrutin", 1781; for classifiers Ho, Hull and Srihari, "Decision
combination in multiple classifier systems", IEEE Transactions on Pattern Analysis and Machine
Intelligence 16(1), 1994.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar, final

import torch
from torch import Tensor

from nversion.program.voters.base import VoteCounter
from nversion.program.voters.outputs import Outputs
from nversion.program.voters.registry import register

__all__ = ["Borda", "points"]


@final
@register
@dataclasses.dataclass(frozen=True)
class Borda(VoteCounter):
    """A class gets a point from a version for each class that it puts below; the most points win.

    Classes to which a version gives equal probabilities share their points. A tie in the sum is an
    abstention.
    """

    name: ClassVar[str] = "borda"
    source: ClassVar[str] = "Borda 1781; Ho, Hull and Srihari 1994"
    bound: ClassVar[str] = (
        "f liars of n change no verdict whose lead is above 2 f (classes - 1) points"
    )

    def cast(self, outputs: Outputs) -> Tensor:
        """Return the points, float64 [versions, count, classes], over a power of 2: at most 1."""
        probabilities = outputs.probabilities
        return points(probabilities) / _scale(probabilities.shape[2])

    def probabilities(self, scores: Tensor, total: float) -> Tensor:
        """Return the shares of all points, [count, classes]."""
        return scores / scores.sum(dim=1, keepdim=True)


def points(probabilities: Tensor) -> Tensor:
    """Return for each class how many others lie below it, those equal to it for half.

    Args:
        probabilities: [..., classes].

    Returns:
        float64, of the same shape; whole or half numbers.
    """
    classes = probabilities.shape[-1]
    found = torch.full(probabilities.shape, -0.5, dtype=torch.float64)  # a class equals itself
    for other in range(classes):
        rival = probabilities[..., other : other + 1]
        found += (probabilities > rival).double() + 0.5 * (probabilities == rival).double()
    return found


def _scale(classes: int) -> float:
    """Return a power of 2 that no class's points exceed, so that dividing by it is exact."""
    return float(2 ** max(classes - 1, 1).bit_length())
