"""Ask the teacher: the program's labels of the training images."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from nversion.datasets.shared import SharedDataset
from nversion.files import read_tensor, write_tensors
from nversion.program import create_voter, vote_outputs
from nversion.study.units.base import MadeFrom, Unit
from nversion.study.units.loading import load_version
from nversion.study.units.outputs import softmax_outputs
from nversion.study.units.trained import TrainedVersion

__all__ = ["PART", "AskTeacher", "JoinLabels"]

PART = 2_000
"""Training images a unit of the teacher's labels treats: enough to load each version for, few
enough that all versions' outputs on them fit easily in memory."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class AskTeacher(Unit):
    """Write the teacher's labels of some training images.

    Attributes:
        shared: the dataset.
        start: the first of the :data:`PART` images.
        versions: that vote.
        voter: how.
        device: where they compute.
        path: of the labels.
    """

    shared: SharedDataset
    start: int
    versions: tuple[TrainedVersion, ...]
    voter: str
    device: torch.device
    path: Path

    def run(self) -> None:
        """Let the versions vote."""
        block = self.shared.open().train.images[self.start : self.start + PART]
        outputs = torch.stack(
            [
                softmax_outputs(load_version(version), block, self.device)
                for version in self.versions
            ]
        )
        write_tensors(self.path, {"labels": vote_outputs(outputs, self.voter).probabilities})

    def inputs(self) -> Mapping[str, Any]:
        """Return the images, the versions, the voter and the kind of device."""
        return {
            "data": self.shared.digest,
            "start": self.start,
            "images": PART,
            "versions": [version.name for version in self.versions],
            "weights": [version.weights for version in self.versions],
            "voter": self.voter,
            "device": self.device.type,
        }

    def outputs(self) -> tuple[Path, ...]:
        """Return the labels' file."""
        return (self.path,)

    def uses(self) -> tuple[object, ...]:
        """Return the voter, which is found by name."""
        return (create_voter(self.voter),)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class JoinLabels(Unit):
    """Join the parts of the teacher's labels.

    Attributes:
        parts: in order.
        path: of all labels.
    """

    parts: tuple[MadeFrom, ...]
    path: Path

    def run(self) -> None:
        """Join them."""
        labels = torch.cat([read_tensor(part.path, "labels") for part in self.parts])
        write_tensors(self.path, {"labels": labels})

    def inputs(self) -> Mapping[str, Any]:
        """Return the parts."""
        return {"parts": [part.digest for part in self.parts]}

    def outputs(self) -> tuple[Path, ...]:
        """Return the labels' file."""
        return (self.path,)
