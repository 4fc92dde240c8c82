"""The softmax outputs of one version, as every unit computes them."""

from __future__ import annotations

import torch
from torch import Tensor

from nversion.device import deterministic
from nversion.models import evaluate, frozen
from nversion.program import Outputs
from nversion.versions import Version

__all__ = ["softmax_outputs"]


def softmax_outputs(version: Version, images: Tensor, device: torch.device) -> Tensor:
    """Return a version's softmax outputs float32 [count, classes]; none for no images.

    The version is moved to `device`, and stays there.
    """
    if len(images) == 0:
        return torch.zeros(0, version.record.classes)
    with deterministic(device), frozen(version.model.to(device)):
        logits = evaluate(version.model, images)
    # As a Program has them, so that what is voted on here is what it votes on.
    return Outputs.from_logits([logits]).probabilities[0]
