"""Say where a vote's distance goes, and whether the attacks on it can be believed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nversion.attacks.doctor import examine
from nversion.attacks.votes import diversity_budget
from nversion.datasets.shared import SharedDataset
from nversion.device import deterministic
from nversion.files import write_json, write_tensors
from nversion.program import Program, create_voter
from nversion.study.units.base import Unit
from nversion.study.units.loading import load_version
from nversion.study.units.trained import TrainedVersion

__all__ = ["BUDGET", "ExamineWhole", "MeasureBudget"]

BUDGET = (
    *("predicted", "best_member", "cosine", "equal_members"),
    *("lost_to_alignment", "lost_to_inequality"),
)
"""The columns of a diversity budget that are kept, each with a number for every image."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class MeasureBudget(Unit):
    """Write what a linearised vote predicts of its own distance.

    Attributes:
        versions: that vote.
        voter: how they vote, by name.
        norm: "2" or "inf".
        shared: the dataset.
        drawn: int64 [images], which test images.
        device: where the networks compute.
        path: of the budget.
    """

    versions: tuple[TrainedVersion, ...]
    voter: str
    norm: str
    shared: SharedDataset
    drawn: npt.NDArray[np.int64]
    device: torch.device
    path: Path

    def run(self) -> None:
        """Measure it."""
        program, images, labels = _opened(self)
        with deterministic(self.device):
            found = diversity_budget(program, images, labels, self.norm)
        columns = {name: getattr(found, name) for name in BUDGET}
        write_tensors(self.path, columns, {"cosine_for_twice": found.cosine_for_twice})

    def inputs(self) -> Mapping[str, Any]:
        """Return the versions, the voter, the norm and the images."""
        return _inputs(self)

    def outputs(self) -> tuple[Path, ...]:
        """Return the budget's file."""
        return (self.path,)

    def uses(self) -> tuple[object, ...]:
        """Return the voter."""
        return (create_voter(self.voter),)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ExamineWhole(Unit):
    """Write what checks say of the attacks on a vote.

    Attributes:
        versions: that vote.
        voter: how they vote, by name.
        norm: "2" or "inf".
        shared: the dataset.
        drawn: int64 [images], which test images.
        seed: of the attacks.
        device: where the networks compute.
        path: of what they say.
    """

    versions: tuple[TrainedVersion, ...]
    voter: str
    norm: str
    shared: SharedDataset
    drawn: npt.NDArray[np.int64]
    seed: int
    device: torch.device
    path: Path

    def run(self) -> None:
        """Make the checks."""
        program, images, labels = _opened(self)
        with deterministic(self.device):
            found = examine(program, images, labels, norm=self.norm, seed=self.seed)
        checks = [
            {"name": check.name, "passed": check.passed, "says": check.says}
            for check in found.checks
        ]
        write_json(self.path, {"images": found.images, "norm": self.norm, "checks": checks})

    def inputs(self) -> Mapping[str, Any]:
        """Return the versions, the voter, the norm, the images and the seed."""
        return {**_inputs(self), "seed": self.seed}

    def outputs(self) -> tuple[Path, ...]:
        """Return the checks' file."""
        return (self.path,)

    def uses(self) -> tuple[object, ...]:
        """Return the voter."""
        return (create_voter(self.voter),)


def _opened(unit: MeasureBudget | ExamineWhole) -> tuple[Program, Tensor, Tensor]:
    """Return the vote, and the images with their labels."""
    test, indices = unit.shared.open().test, torch.from_numpy(unit.drawn)
    models = [load_version(one).model.to(unit.device) for one in unit.versions]
    return Program(models, unit.voter), test.images[indices], test.labels[indices]


def _inputs(unit: MeasureBudget | ExamineWhole) -> dict[str, Any]:
    return {
        "weights": [one.weights for one in unit.versions],
        "voter": unit.voter,
        "norm": unit.norm,
        "data": unit.shared.digest,
        "drawn": unit.drawn,
        "device": unit.device.type,
    }
