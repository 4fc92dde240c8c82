"""What units that look into a vote itself share: which versions vote, and on which images."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nversion.datasets.shared import SharedDataset
from nversion.program import Program, create_voter
from nversion.study.units.base import Unit
from nversion.study.units.loading import load_version
from nversion.study.units.trained import TrainedVersion

__all__ = ["UnitOfVote"]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class UnitOfVote(Unit):
    """Work on a vote, its images moved in one norm, that leaves one file.

    Attributes:
        versions: that vote; one alone is a vote as well.
        voter: how they vote, by name.
        norm: "2" or "inf".
        shared: the dataset.
        drawn: int64 [images], which test images.
        device: where the networks compute.
        path: of what is written.
    """

    versions: tuple[TrainedVersion, ...]
    voter: str
    norm: str
    shared: SharedDataset
    drawn: npt.NDArray[np.int64]
    device: torch.device
    path: Path

    def opened(self) -> tuple[Program, Tensor, Tensor]:
        """Return the vote, and the images with their labels."""
        test, indices = self.shared.open().test, torch.from_numpy(self.drawn)
        models = [load_version(one).model.to(self.device) for one in self.versions]
        return Program(models, self.voter), test.images[indices], test.labels[indices]

    def inputs(self) -> Mapping[str, Any]:
        """Return the versions, the voter, the norm and the images."""
        return {
            "weights": [one.weights for one in self.versions],
            "voter": self.voter,
            "norm": self.norm,
            "data": self.shared.digest,
            "drawn": self.drawn,
            "device": self.device.type,
        }

    def outputs(self) -> tuple[Path, ...]:
        """Return the file that is written."""
        return (self.path,)

    def uses(self) -> tuple[object, ...]:
        """Return the voter, which is found by its name."""
        return (create_voter(self.voter),)
