"""An objective: cross-entropy with smoothed labels (Szegedy et al. 2016)."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from torch import Tensor

from nversion.versions import Objective

__all__ = ["LabelSmoothing"]


@dataclasses.dataclass(frozen=True)
class LabelSmoothing(Objective):
    """Cross-entropy to labels of which a tenth is spread over all classes."""

    name: ClassVar[str] = "label-smoothing"

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss; targets are labels or soft labels."""
        return F.cross_entropy(logits, targets, label_smoothing=0.1)
