"""Several objectives at once, with weights that may change while a network trains."""

from __future__ import annotations

import dataclasses
from typing import ClassVar, final

from torch import Tensor

from nversion.objectives.base import Batch, StepObjective, ramped

__all__ = ["Mixture", "Term"]


@dataclasses.dataclass(frozen=True)
class Term:
    """One objective of a mixture.

    Attributes:
        objective: what is computed.
        first: its weight at the beginning.
        last: its weight from the end of the ramp on.
        ramp: share of the training over which the weight changes.
    """

    objective: StepObjective
    first: float = 1.0
    last: float = 1.0
    ramp: float = 1.0


@final
@dataclasses.dataclass(frozen=True)
class Mixture(StepObjective):
    """The weighted sum of several objectives.

    Attributes:
        terms: the objectives and their weights; one whose weight is 0 costs nothing.
    """

    name: ClassVar[str] = "mixture"
    terms: tuple[Term, ...]

    def step(self, batch: Batch) -> Tensor:
        """Return the weighted sum."""
        total = batch.images.new_zeros(()).float()
        for term in self.terms:
            weight = ramped(term.first, term.last, batch.progress, term.ramp)
            if weight:
                total = total + weight * term.objective.number(term.objective.step(batch))
        return total
