"""Train one version, or the student or its baseline."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from nversion.architectures import Architecture
from nversion.datasets.shared import SharedDataset
from nversion.files import read_tensor
from nversion.study.units.base import MadeFrom, Unit
from nversion.versions import Precision, Recipe, resolve_precision, train

__all__ = ["WEIGHTS", "TrainNetwork"]

WEIGHTS = "weights.safetensors"
"""The file of a version's folder by which it is told apart."""

FILES = ("architecture.txt", WEIGHTS, "record.json", "test-logits.safetensors")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class TrainNetwork(Unit):
    """Train one network and save it with its record.

    Attributes:
        architecture: with a name.
        shared: the dataset.
        recipe: how to train.
        seed: of the training.
        precision: wished for.
        device: where it is trained.
        targets: soft labels of the training images ("labels"); None for the true ones.
        folder: of the version, inside the study.
    """

    architecture: Architecture
    shared: SharedDataset
    recipe: Recipe
    seed: int
    precision: Precision
    device: torch.device
    targets: MadeFrom | None = None
    folder: Path

    def run(self) -> None:
        """Train it, on soft labels where there are any."""
        version = train(
            self.architecture,
            self.shared.open(),
            self.recipe,
            self.seed,
            targets=read_tensor(self.targets.path, "labels") if self.targets else None,
            precision=self.precision,
            device=self.device,
        )
        version.save(self.folder)

    def inputs(self) -> Mapping[str, Any]:
        """Return data, architecture, recipe, seed, precision, kind of device, and soft labels."""
        return {
            "data": self.shared.digest,
            "architecture": self.architecture.to_text(),
            "recipe": self.recipe.model_dump(),
            "seed": self.seed,
            "precision": resolve_precision(self.precision, self.architecture, self.device),
            "device": self.device.type,
            "targets": self.targets.digest if self.targets else "",
        }

    def outputs(self) -> tuple[Path, ...]:
        """Return the files of a version."""
        return tuple(self.folder / file for file in FILES)

    def uses(self) -> tuple[object, ...]:
        """Return the objective, which the recipe names."""
        return self.recipe.objectives()
