"""The nearest adversarial point met so far, in any norm."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nversion.attacks.projections import sizes_of

__all__ = ["Record"]


class Record:
    """The adversarial point of the smallest size met so far, for each image.

    In L0, of points that change equally many pixels, the one that changes them least in L2.

    Args:
        originals: float32 [count, ...] in [0, 1].
        norm: "l0", "l1", "l2" or "linf".
        measure: changes [count, ...] -> sizes [count], if it is not the norm that is to be small.

    Attributes:
        originals: float32 [count, ...] in [0, 1].
        norm: "l0", "l1", "l2" or "linf".
        points: float32 [count, ...]; the original where none was met.
        sizes: float32 [count], their sizes in the norm; infinite where none was met.
    """

    def __init__(
        self,
        originals: Tensor,
        norm: str,
        measure: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.originals, self.norm = originals, norm
        self._measure = measure
        self.points = originals.clone()
        self.sizes = torch.full((len(originals),), torch.inf, device=originals.device)
        self._lengths = self.sizes.clone()

    def keep(self, rows: Tensor, points: Tensor, held: Tensor) -> Tensor:
        """Take over points of `rows` that are adversarial, `held`, and nearer; say which, bool.

        Args:
            rows: int64 [some], each at most once.
            points: float32 [some, ...] in [0, 1].
            held: bool [some].
        """
        changes = points - self.originals[rows]
        measured = self._measure
        sizes = sizes_of(changes, self.norm) if measured is None else measured(changes)
        better = sizes < self.sizes[rows]
        lengths = sizes
        if self.norm == "l0":
            lengths = sizes_of(changes, "l2")
            better |= (sizes == self.sizes[rows]) & (lengths < self._lengths[rows])
        better &= held
        chosen = rows[better]
        if len(chosen) > 0:
            self.points[chosen] = points[better]
            self.sizes[chosen] = sizes[better]
            self._lengths[chosen] = lengths[better]
        return better

    def join(self, other: Record) -> None:
        """Take over the nearer points of a record of the same images."""
        rows = other.found()
        self.keep(rows, other.points[rows], torch.ones_like(rows, dtype=torch.bool))

    def found(self) -> Tensor:
        """Return the rows, int64, that have an adversarial point."""
        return self.sizes.isfinite().nonzero().squeeze(1)
