"""Attack a vote itself on some test images."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from nversion.attacks.votes import attack_program, house_attacks
from nversion.datasets.shared import SharedDataset
from nversion.device import deterministic
from nversion.files import write_tensors
from nversion.program import Program, create_voter
from nversion.study.units.base import Unit
from nversion.study.units.loading import load_version
from nversion.study.units.trained import TrainedVersion

__all__ = ["AttackWhole"]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class AttackWhole(Unit):
    """Write the smallest changes found that make a vote fall, on some test images.

    Attributes:
        versions: that vote; one alone is attacked by the same means.
        voter: how they vote, by name.
        norm: "2" or "inf".
        shared: the dataset.
        drawn: int64 [images], which test images.
        seed: of the attacks.
        device: where the networks compute.
        path: of what was found.
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
        """Attack it."""
        test, indices = self.shared.open().test, torch.from_numpy(self.drawn)
        models = [load_version(one).model.to(self.device) for one in self.versions]
        program = Program(models, self.voter)
        images, labels = test.images[indices], test.labels[indices]
        started = time.perf_counter()
        with deterministic(self.device):
            found = attack_program(program, images, labels, self.norm, seed=self.seed)
        seconds = time.perf_counter() - started
        distances = {"2": found.l2, "inf": found.linf}[self.norm]
        tensors = {"distances": distances.masked_fill(found.already_misclassified, 0.0)}
        if found.wrong is not None:
            wrong = {"2": found.wrong.l2, "inf": found.wrong.linf}[self.norm]
            # An abstention before any attack is no wrong verdict yet; what it takes is not known.
            tensors["wrong"] = wrong.masked_fill(found.already_misclassified, 0.0)
        facts = {
            "attack": list(found.attack),
            "forwards": found.forwards,
            "backwards": found.backwards,
            "seconds": seconds,
        }
        write_tensors(self.path, tensors, facts)

    def inputs(self) -> Mapping[str, Any]:
        """Return the versions, the voter, the norm, the images and the seed."""
        return {
            "weights": [one.weights for one in self.versions],
            "voter": self.voter,
            "norm": self.norm,
            "data": self.shared.digest,
            "drawn": self.drawn,
            "seed": self.seed,
            "device": self.device.type,
        }

    def outputs(self) -> tuple[Path, ...]:
        """Return the file of what was found."""
        return (self.path,)

    def uses(self) -> tuple[object, ...]:
        """Return the voter, and the attacks that are found by name."""
        return (create_voter(self.voter), *house_attacks())
