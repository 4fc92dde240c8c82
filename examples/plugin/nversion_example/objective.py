"""An objective: the focal loss (Lin et al. 2017), which looks at what is still wrong."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from torch import Tensor

from nversion.versions import Objective

__all__ = ["FocalLoss"]


@dataclasses.dataclass(frozen=True)
class FocalLoss(Objective):
    """Cross-entropy in which a class counts less the surer it is."""

    name: ClassVar[str] = "focal-loss"

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss; targets are labels or soft labels."""
        outputs = logits.log_softmax(dim=1)
        wanted = F.one_hot(targets, logits.shape[1]) if targets.ndim == 1 else targets
        return -(wanted * (1 - outputs.exp()).square() * outputs).sum(dim=1).mean()
