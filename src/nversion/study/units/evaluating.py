"""Evaluate one network on the adversarial set."""

from __future__ import annotations

from pathlib import Path

import torch

from nversion.adversarial import AdversarialSet
from nversion.files import write_tensors
from nversion.study.units.outputs import softmax_outputs
from nversion.versions import Version

__all__ = ["evaluate_on_set"]


def evaluate_on_set(network: Path, adversarial: Path, output: Path, device: torch.device) -> None:
    """Write one network's softmax outputs on the adversarial set."""
    images = AdversarialSet.load(adversarial).images
    outputs = softmax_outputs(Version.load(network), images, device)
    write_tensors(output, {"probabilities": outputs})
