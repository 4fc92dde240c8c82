"""Look for the smallest change of a network's answer on the images that it is certified on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from nversion.attacks.nearest_of_all import NearestOfAll
from nversion.datasets.shared import SharedDataset
from nversion.device import deterministic
from nversion.files import write_tensors
from nversion.study.units.base import Unit
from nversion.study.units.loading import load_version
from nversion.study.units.trained import TrainedVersion

__all__ = ["AttackCertified"]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class AttackCertified(Unit):
    """Write the distance of the nearest error that was found, image by image.

    Attributes:
        network: that is attacked.
        attack: with its norm and its passes.
        shared: the dataset.
        rows: of the test images: the first, and the one after the last.
        seed: of the attack.
        device: where the network computes.
        path: of the distances: 0 where the network is wrong to begin with, infinite where no error
            was found.
    """

    network: TrainedVersion
    attack: NearestOfAll
    shared: SharedDataset
    rows: tuple[int, int]
    seed: int
    device: torch.device
    path: Path

    def run(self) -> None:
        """Attack it."""
        test, rows = self.shared.open().test, slice(*self.rows)
        model = load_version(self.network).model.to(self.device)
        with deterministic(self.device):
            found = self.attack(model, test.images[rows], test.labels[rows], seed=self.seed)
        distances = {"l0": found.l0, "l1": found.l1, "l2": found.l2, "linf": found.linf}
        nearest = distances[self.attack.norm].masked_fill(found.already_misclassified, 0.0)
        spent = {"forwards": found.forwards, "backwards": found.backwards}
        write_tensors(self.path, {"distances": nearest.cpu()}, spent)

    def inputs(self) -> Mapping[str, Any]:
        """Return the weights, the attack's options, the images and the seed."""
        return {
            "weights": self.network.weights,
            "options": self.attack.options(),
            "data": self.shared.digest,
            "rows": list(self.rows),
            "seed": self.seed,
            "device": self.device.type,
        }

    def outputs(self) -> tuple[Path, ...]:
        """Return the distances' file."""
        return (self.path,)

    def uses(self) -> tuple[object, ...]:
        """Return the attack, those that it runs by name, and what opens a foreign network."""
        source = self.network.source
        own = () if source is None else (source,)
        return (self.attack, *self.attack.parts(), *own)
