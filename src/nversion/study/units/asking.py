"""Ask one version on some training images, for what is chosen or fitted on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from nversion.datasets.shared import SharedDataset
from nversion.files import write_tensors
from nversion.study.units.base import Unit
from nversion.study.units.loading import load_version
from nversion.study.units.outputs import softmax_outputs
from nversion.study.units.trained import TrainedVersion

__all__ = ["AskOnTraining"]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class AskOnTraining(Unit):
    """Write one version's softmax outputs on some training images.

    Attributes:
        network: the version.
        shared: the dataset.
        rows: of the training images, int64 [count].
        device: where it computes.
        path: of the outputs ("probabilities").
    """

    network: TrainedVersion
    shared: SharedDataset
    rows: npt.NDArray[np.int64]
    device: torch.device
    path: Path

    def run(self) -> None:
        """Ask it."""
        images = self.shared.open().train.images[torch.from_numpy(self.rows)]
        outputs = softmax_outputs(load_version(self.network), images, self.device)
        write_tensors(self.path, {"probabilities": outputs})

    def inputs(self) -> Mapping[str, Any]:
        """Return the weights, the images and the kind of device."""
        return {
            "weights": self.network.weights,
            "data": self.shared.digest,
            "rows": self.rows,
            "device": self.device.type,
        }

    def outputs(self) -> tuple[Path, ...]:
        """Return the outputs' file."""
        return (self.path,)
