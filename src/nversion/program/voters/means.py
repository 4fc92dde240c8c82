"""The means: of the versions' softmax outputs, and of their logits.

The sum and the product rule of Kittler, Hatef, Duin and Matas, "On combining classifiers", IEEE
Transactions on Pattern Analysis and Machine Intelligence 20(3), 1998.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar, final

from torch import Tensor

from nversion.program.voters.base import LOG_STEP, SoftVoter, mean_softmax
from nversion.program.voters.outputs import Outputs
from nversion.program.voters.registry import register

__all__ = ["MeanLogits", "MeanSoftmax"]


@final
@register
@dataclasses.dataclass(frozen=True)
class MeanSoftmax(SoftVoter):
    """The class with the largest mean probability wins (the study's voter)."""

    name: ClassVar[str] = "mean-softmax"
    source: ClassVar[str] = "the 2019 study; Kittler et al. 1998 (sum rule)"
    bound: ClassVar[str] = (
        "f liars of n change no verdict whose lead in mean probability is above 2 f / n"
    )

    def log_probabilities(self, members: Tensor, log_weights: Tensor) -> Tensor:
        """Return the logarithm of the mean softmax, without a detour by probabilities of 0."""
        return mean_softmax(members, log_weights)


@final
@register
@dataclasses.dataclass(frozen=True)
class MeanLogits(SoftVoter):
    """The class with the largest mean logit wins.

    Logits enter as log-probabilities, which differ from them by one constant per version and
    image: neither the winner nor the softmax of the mean depends on it.
    """

    name: ClassVar[str] = "mean-logits"
    source: ClassVar[str] = "Kittler et al. 1998 (product rule)"
    bound: ClassVar[str] = "one liar can turn any verdict"
    step: ClassVar[float] = LOG_STEP

    def cast(self, outputs: Outputs) -> Tensor:
        """Return the log-probabilities, float64 [versions, count, classes]."""
        return outputs.log_probabilities

    def probabilities(self, scores: Tensor, total: float) -> Tensor:
        """Return the softmax of the mean log-probabilities, [count, classes]."""
        return (scores / total).softmax(dim=1)

    def log_probabilities(self, members: Tensor, log_weights: Tensor) -> Tensor:
        """Return the log-softmax of the mean log-probabilities."""
        return (members * log_weights.exp()[:, None, None]).sum(dim=0).log_softmax(dim=1)
