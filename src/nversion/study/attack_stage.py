"""Stage 2: attack every version, and build the adversarial set; later, attack the networks."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nversion.adversarial import (
    AdversarialSet,
    AttackRun,
    AttackSummary,
    PerceptibilityRule,
    build,
    draw_indices,
    summarise,
)
from nversion.attacks import Attack
from nversion.datasets import Dataset
from nversion.errors import StudyError
from nversion.randomness import derive_seed
from nversion.study.config import StudyConfig
from nversion.study.engine import Engine
from nversion.study.folder import StudyFolder
from nversion.study.ledger import Unit, code_digest
from nversion.study.train_stage import TrainedVersion
from nversion.versions import Version

__all__ = ["attack_networks", "attack_versions", "build_set"]


def attack_versions(
    config: StudyConfig,
    folder: StudyFolder,
    data: Dataset,
    versions: Sequence[TrainedVersion],
    engine: Engine,
) -> dict[Path, str]:
    """Run every attack on every version; return the runs' files in order, with their digests.

    Raises:
        StudyError: no run came about.
    """
    attacks = config.create_attacks()
    units: list[Unit] = []
    for version in versions:
        correct = torch.tensor(version.correct(data))
        drawn = draw_indices(correct, config.attacks.images, config.seed, version.name)
        units += [
            _attack_unit(
                f"attacks/{version.name}/{name}",
                version,
                attack,
                data,
                drawn,
                derive_seed(config.seed, "attack", version.name, name),
                folder.run(version.name, name),
                folder,
            )
            for name, attack in attacks.items()
        ]
    done = engine.run("attacking versions", units)
    if not done:
        raise StudyError(f"every attack run failed; the first: {engine.failures[-1][1]}")
    return {unit.arguments["path"]: unit.digest for unit in units if unit.name in done}


def attack_networks(
    config: StudyConfig,
    folder: StudyFolder,
    data: Dataset,
    networks: Mapping[str, TrainedVersion],
    engine: Engine,
) -> dict[str, list[AttackRun]]:
    """Run every attack on baseline and student, on images both classify correctly.

    Returns:
        The runs by role, for their adversarial frequency.
    """
    correct = torch.tensor([network.correct(data) for network in networks.values()]).all(dim=0)
    drawn = draw_indices(correct, config.evaluation.frequency_images, config.seed, "networks")
    units = [
        _attack_unit(
            f"attacks/{role}/{name}",
            network,
            attack,
            data,
            drawn,
            derive_seed(config.seed, "attack", "networks", name),
            folder.network_run(role, name),
            folder,
        )
        for role, network in networks.items()
        for name, attack in config.create_attacks().items()
    ]
    done = engine.run("attacking baseline and student", units)
    runs: dict[str, list[AttackRun]] = {role: [] for role in networks}
    for unit in units:
        if unit.name in done:
            run = AttackRun.load(unit.arguments["path"])
            runs[run.version].append(run)
    return runs


def _attack_unit(
    name: str,
    version: TrainedVersion,
    attack: Attack,
    data: Dataset,
    drawn: Tensor,
    seed: int,
    path: Path,
    folder: StudyFolder,
) -> Unit:
    return Unit(
        name=name,
        function=_attack,
        arguments={
            "version": version.folder,
            "name": version.name,
            "attack": attack,
            "images": data.test.images[drawn].numpy(),
            "labels": data.test.labels[drawn].numpy(),
            "test_indices": drawn.numpy(),
            "seed": seed,
            "path": path,
        },
        inputs={
            "version": version.name,
            "weights": version.weights,
            "attack": attack.name,
            "options": attack.options(),
            "data": data.digest,
            "drawn": drawn,
            "seed": seed,
            "code": code_digest("nversion.attacks", "nversion.models", __name__),
        },
        outputs=(folder.relative(path),),
    )


def _attack(
    version: Path,
    name: str,
    attack: Attack,
    images: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    test_indices: npt.NDArray[np.int64],
    seed: int,
    path: Path,
) -> None:
    originals, truth = torch.from_numpy(images), torch.from_numpy(labels)
    model = Version.load(version).model
    started = time.perf_counter()
    result = attack(model, originals, truth, seed=seed)
    run = AttackRun.of(
        name,
        attack,
        result,
        originals=originals,
        labels=truth,
        test_indices=torch.from_numpy(test_indices),
        seed=seed,
        seconds=time.perf_counter() - started,
    )
    run.save(path)


def build_set(
    folder: StudyFolder, runs: Mapping[Path, str], rule: PerceptibilityRule, engine: Engine
) -> tuple[AdversarialSet, list[AttackSummary]]:
    """Build the adversarial set from the runs' files; return it with the table of attacks."""
    names = ("images.safetensors", "provenance.csv")
    unit = Unit(
        name="adversarial/set",
        function=_build,
        arguments={"runs": list(runs), "rule": rule, "folder": folder.adversarial},
        inputs={
            "runs": list(runs.values()),
            "rule": rule.explain(),
            "code": code_digest("nversion.adversarial"),
        },
        outputs=tuple(folder.relative(folder.adversarial / name) for name in names),
    )
    engine.require("building the adversarial set", [unit])
    table = summarise([AttackRun.load(path) for path in runs], rule)
    return AdversarialSet.load(folder.adversarial), table


def _build(runs: Sequence[Path], rule: PerceptibilityRule, folder: Path) -> None:
    build([AttackRun.load(path) for path in runs], rule).save(folder)
