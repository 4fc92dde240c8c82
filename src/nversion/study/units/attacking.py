"""Run one attack on one network."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from nversion.adversarial import AttackRun
from nversion.attacks import Attack
from nversion.datasets.shared import SharedDataset
from nversion.device import deterministic
from nversion.versions import Version

__all__ = ["attack_version"]


def attack_version(
    version: Path,
    name: str,
    attack: Attack,
    shared: SharedDataset,
    drawn: npt.NDArray[np.int64],
    seed: int,
    storable: bool,
    device: torch.device,
    path: Path,
) -> None:
    """Attack one version on the test images that were drawn, and save the run."""
    test, indices = shared.open().test, torch.from_numpy(drawn)
    originals, truth = test.images[indices], test.labels[indices]
    model = Version.load(version).model.to(device)
    started = time.perf_counter()
    with deterministic(device):
        result = attack(model, originals, truth, seed=seed, storable=storable)
    run = AttackRun.of(
        name,
        attack,
        result,
        originals=originals,
        labels=truth,
        test_indices=indices,
        seed=seed,
        seconds=time.perf_counter() - started,
        storable=storable,
    )
    run.save(path)
