"""Run one attack on one network."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from nversion.adversarial import AttackRun
from nversion.attacks import Attack
from nversion.datasets.shared import SharedDataset
from nversion.device import deterministic
from nversion.study.units.base import Unit
from nversion.study.units.loading import load_version
from nversion.study.units.trained import TrainedVersion

__all__ = ["AttackNetwork"]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class AttackNetwork(Unit):
    """Attack one network on the test images that were drawn, and save the run.

    Attributes:
        version: that is attacked.
        attack: with its options.
        shared: the dataset.
        drawn: int64 [images], which test images.
        seed: of the attack.
        storable: whether the images must stay adversarial when they are stored in 8 bits a value.
        device: where the network computes.
        path: of the run.
    """

    version: TrainedVersion
    attack: Attack
    shared: SharedDataset
    drawn: npt.NDArray[np.int64]
    seed: int
    storable: bool
    device: torch.device
    path: Path

    def run(self) -> None:
        """Attack it."""
        test, indices = self.shared.open().test, torch.from_numpy(self.drawn)
        originals, truth = test.images[indices], test.labels[indices]
        model = load_version(self.version).model.to(self.device)
        started = time.perf_counter()
        with deterministic(self.device):
            result = self.attack(model, originals, truth, seed=self.seed, storable=self.storable)
        run = AttackRun.of(
            self.version.name,
            self.attack,
            result,
            originals=originals,
            labels=truth,
            test_indices=indices,
            seed=self.seed,
            seconds=time.perf_counter() - started,
            storable=self.storable,
        )
        run.save(self.path)

    def inputs(self) -> Mapping[str, Any]:
        """Return the version, the attack with its options, the images and the seed."""
        return {
            "version": self.version.name,
            "weights": self.version.weights,
            "attack": self.attack.name,
            "options": self.attack.options(),
            "data": self.shared.digest,
            "drawn": self.drawn,
            "seed": self.seed,
            "storable": self.storable,
            "device": self.device.type,
        }

    def outputs(self) -> tuple[Path, ...]:
        """Return the run's file."""
        return (self.path,)

    def uses(self) -> tuple[object, ...]:
        """Return the attack, and what opens a version from elsewhere."""
        source = self.version.source
        return (self.attack,) if source is None else (self.attack, source)
