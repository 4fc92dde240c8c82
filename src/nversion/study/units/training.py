"""Train one version, or the student or its baseline."""

from __future__ import annotations

from pathlib import Path

import torch

from nversion.architectures import Architecture
from nversion.datasets.shared import SharedDataset
from nversion.files import read_tensor
from nversion.versions import Precision, Recipe, train

__all__ = ["train_version"]


def train_version(
    shared: SharedDataset,
    architecture: Architecture,
    recipe: Recipe,
    seed: int,
    precision: Precision,
    device: torch.device,
    targets: Path | None,
    folder: Path,
) -> None:
    """Train one network, on soft labels where there are any, and save it with its record."""
    version = train(
        architecture,
        shared.open(),
        recipe,
        seed,
        targets=read_tensor(targets, "labels") if targets else None,
        precision=precision,
        device=device,
    )
    version.save(folder)
