"""What a model's own rounding may take off the margins between its classes, in the end."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from nversion.certification.problem import Rivals

__all__ = ["Spare"]


@dataclasses.dataclass(frozen=True)
class Spare:
    """What evaluation may take off the margins.

    Attributes:
        errors: of the logits as bounds of evaluated neurons give them, [count, classes].
        local: of the last node alone, [count, classes].
        off: how far the evaluated inputs of a last linear map, or else the logits, may be from
            those in real arithmetic, [count, neurons]; None: not known.
        rho: the same in L2, [count].
        ranges: rounding of the Jacobian's range, [count].
    """

    errors: Tensor
    local: Tensor
    off: Tensor | None
    rho: Tensor | None
    ranges: Tensor

    def linear(self, rivals: Rivals) -> Tensor:
        """Return it for linear and interval bounds, [count, rows]."""
        return rivals.both(self.errors)

    def moved(self, rivals: Rivals, weight: Tensor) -> Tensor:
        """Return it for bounds of changes, [count, rows].

        Args:
            rivals: whose margins they are of.
            weight: of the margins over what `off` speaks of, [count, rows, neurons].
        """
        own = rivals.both(self.local)
        if self.off is None or self.rho is None:
            return torch.full_like(own, torch.inf)
        together = torch.linalg.vector_norm(weight, dim=2) * self.rho[:, None]
        return own + torch.minimum(together, (weight.abs() @ self.off[:, :, None]).squeeze(2))
