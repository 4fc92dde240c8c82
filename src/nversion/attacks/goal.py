"""What a minimum-norm attack asks of a point, and which way the margin rises there.

A point is adversarial to the attack if it will be a success when it is returned: its margin must
exceed what :mod:`nversion.attacks.verification` asks for. An attack that changes few pixels must
not leave that to the verification, which would move all the others.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nversion.attacks.criteria import margins, relative_margin, success_margin
from nversion.attacks.oracle import Oracle

__all__ = ["LARGEST", "Goal"]

LARGEST = 2.0**60
"""Stands for margins that are not numbers."""

SPARE = 1.25
"""Margins are asked to be so much larger than what is demanded as rounding might take from them."""


class Goal:
    """How far points are from being a success.

    Attributes:
        oracle: the attacked model.
        labels: int64 [count].
        leads: float32 [count], by how much the label's logit leads on the originals.
    """

    def __init__(self, oracle: Oracle, images: Tensor, labels: Tensor) -> None:
        self.oracle, self.labels = oracle, labels
        leads = -margins(oracle.logits(images), labels)
        self.leads = leads.nan_to_num(0.0, 0.0, 0.0)
        self._least = relative_margin(oracle.dtype) * self.leads

    def lack(self, logits: Tensor, rows: Tensor) -> Tensor:
        """Return by how much the margins of `rows` fall short of a success, [rows]; below 0: none.

        Where the logits are no numbers, :data:`LARGEST`.
        """
        labels = self.labels[rows]
        asked = success_margin(logits, labels, self.oracle.dtype)
        asked = SPARE * torch.maximum(asked, self._least[rows])
        short = (asked - margins(logits, labels)).nan_to_num(LARGEST, LARGEST, -LARGEST)
        unsound = (logits.isnan() | logits.isposinf()).any(dim=1)
        return torch.where(unsound, LARGEST, short)

    def look(self, points: Tensor, rows: Tensor) -> Tensor:
        """Return the lacks at points of `rows`, [rows], without gradients."""
        return self.lack(self.oracle.logits(points), rows)

    def slope(self, points: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return the lacks at points of `rows`, [rows], and the margins' gradients [rows, ...]."""
        labels = self.labels[rows]
        logits, gradients = self.oracle.gradient(points, lambda z, k: margins(z, labels[k]))
        return self.lack(logits, rows), gradients
