"""Evaluate one network on the adversarial set."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from nversion.adversarial import AdversarialSet
from nversion.files import write_tensors
from nversion.study.units.base import MadeFrom, Unit
from nversion.study.units.loading import load_version
from nversion.study.units.outputs import softmax_outputs
from nversion.study.units.trained import TrainedVersion

__all__ = ["EvaluateOnSet"]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class EvaluateOnSet(Unit):
    """Write one network's softmax outputs on the adversarial set.

    Attributes:
        network: that is evaluated.
        adversarial: the set.
        device: where the network computes.
        path: of the outputs ("probabilities").
    """

    network: TrainedVersion
    adversarial: MadeFrom
    device: torch.device
    path: Path

    def run(self) -> None:
        """Evaluate it."""
        images = AdversarialSet.load(self.adversarial.path).images
        outputs = softmax_outputs(load_version(self.network), images, self.device)
        write_tensors(self.path, {"probabilities": outputs})

    def inputs(self) -> Mapping[str, Any]:
        """Return the weights, the set and the kind of device."""
        return {
            "weights": self.network.weights,
            "set": self.adversarial.digest,
            "device": self.device.type,
        }

    def outputs(self) -> tuple[Path, ...]:
        """Return the outputs' file."""
        return (self.path,)
