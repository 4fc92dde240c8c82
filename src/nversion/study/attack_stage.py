"""Stage 2: attack every version, and build the adversarial set; later, attack the networks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from nversion.adversarial import (
    AdversarialSet,
    AttackExample,
    AttackRun,
    AttackSummary,
    PerceptibilityRule,
    draw_indices,
)
from nversion.attacks import Attack
from nversion.datasets import Dataset
from nversion.datasets.shared import SharedDataset
from nversion.device import Device, resolve_device
from nversion.errors import StudyError
from nversion.files import read_object
from nversion.randomness import derive_seed
from nversion.study.config import StudyConfig
from nversion.study.engine import Engine
from nversion.study.folder import StudyFolder
from nversion.study.ledger import Unit
from nversion.study.train_stage import TrainedVersion
from nversion.study.units.attacking import attack_version
from nversion.study.units.collecting import collect, make_example

__all__ = ["AttackPlan", "BuiltSet", "attack_networks", "attack_versions", "build_set"]

SET_FILES = ("images.safetensors", "provenance.csv", "record.json")


@dataclasses.dataclass(frozen=True)
class AttackPlan:
    """How versions are attacked.

    Attributes:
        attacks: by name, in the order of the tables.
        images: correctly classified test images per version.
        seed: what the images are drawn and the attacks are called with.
        storable: whether the images must stay adversarial when they are stored in 8 bits a value.
        rule: which attacks are in the adversarial set.
        device: where the attacked versions compute.
    """

    attacks: Mapping[str, Attack]
    images: int
    seed: int
    storable: bool = True
    rule: PerceptibilityRule = dataclasses.field(default_factory=PerceptibilityRule)
    device: Device = "cpu"

    @classmethod
    def of(cls, config: StudyConfig) -> AttackPlan:
        """Return the plan of a study."""
        section = config.attacks
        return cls(
            config.create_attacks(),
            section.images,
            config.seed,
            section.storable,
            section.perceptibility.rule(),
            config.run.device,
        )


@dataclasses.dataclass(frozen=True)
class BuiltSet:
    """An adversarial set with what was made beside it.

    Attributes:
        adversarial: the set.
        table: the table of attacks.
        example: all attacks on one image; None if no attack succeeded.
    """

    adversarial: AdversarialSet
    table: list[AttackSummary]
    example: AttackExample | None


def attack_versions(
    plan: AttackPlan,
    folder: StudyFolder,
    shared: SharedDataset,
    versions: Iterable[tuple[TrainedVersion, Tensor]],
    engine: Engine,
) -> dict[Path, str]:
    """Run every attack on every version; return the runs' files in order, with their digests.

    Args:
        plan: how they are attacked.
        folder: where the runs go.
        shared: the dataset.
        versions: each with whether it classifies each test image correctly, bool [test images].
        engine: runs the units.

    Raises:
        StudyError: no run came about.
    """
    units: list[Unit] = []
    for version, correct in versions:
        drawn = draw_indices(correct, plan.images, plan.seed, version.name)
        units += [
            _attack_unit(
                f"attacks/{version.name}/{name}",
                version,
                attack,
                shared,
                drawn,
                derive_seed(plan.seed, "attack", version.name, name),
                folder.run(version.name, name),
                folder,
                storable=plan.storable,
                device=resolve_device(plan.device),
            )
            for name, attack in plan.attacks.items()
        ]
    done = engine.run("attacking versions", units)
    if not done:
        raise StudyError(f"every attack run failed; the first: {engine.failures[-1][1]}")
    return {unit.arguments["path"]: unit.digest for unit in units if unit.name in done}


def attack_networks(
    config: StudyConfig,
    folder: StudyFolder,
    data: Dataset,
    shared: SharedDataset,
    networks: Mapping[str, TrainedVersion],
    engine: Engine,
) -> dict[str, list[AttackRun]]:
    """Run every attack on baseline and student, on images both classify correctly.

    Returns:
        The runs by role, for their adversarial frequency.
    """
    correct = torch.stack([network.correct(data) for network in networks.values()]).all(dim=0)
    drawn = draw_indices(correct, config.evaluation.frequency_images, config.seed, "networks")
    units = [
        _attack_unit(
            f"attacks/{role}/{name}",
            network,
            attack,
            shared,
            drawn,
            derive_seed(config.seed, "attack", "networks", name),
            folder.network_run(role, name),
            folder,
            storable=config.attacks.storable,
            device=resolve_device(config.run.device),
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
    shared: SharedDataset,
    drawn: Tensor,
    seed: int,
    path: Path,
    folder: StudyFolder,
    *,
    storable: bool,
    device: torch.device,
) -> Unit:
    return Unit(
        name=name,
        function=attack_version,
        arguments={
            "version": version.folder,
            "name": version.name,
            "attack": attack,
            "shared": shared,
            "drawn": drawn.numpy(),
            "seed": seed,
            "storable": storable,
            "device": device,
            "path": path,
        },
        inputs={
            "version": version.name,
            "weights": version.weights,
            "attack": attack.name,
            "options": attack.options(),
            "data": shared.digest,
            "drawn": drawn,
            "seed": seed,
            "storable": storable,
            "device": device.type,
        },
        outputs=(folder.relative(path),),
        uses=(attack,),
    )


def build_set(
    plan: AttackPlan, folder: StudyFolder, data: Dataset, runs: Mapping[Path, str], engine: Engine
) -> BuiltSet:
    """Build the adversarial set from the runs' files, with its record and the example to show."""
    facts = {
        "dataset": data.name,
        "dataset_digest": data.digest,
        "seed": plan.seed,
        "images_per_version": plan.images,
    }
    made_from = {"runs": list(runs.values())}
    unit = Unit(
        name="adversarial/set",
        function=collect,
        arguments={
            "runs": list(runs),
            "rule": plan.rule,
            "folder": folder.adversarial,
            "facts": facts,
            "summary": folder.built,
        },
        inputs={**made_from, "rule": dataclasses.asdict(plan.rule), "facts": facts},
        outputs=(
            *(folder.relative(folder.adversarial / name) for name in SET_FILES),
            folder.relative(folder.built),
        ),
    )
    engine.require("building the adversarial set", [unit])
    known = read_object(folder.built)
    table = [AttackSummary.from_json(row) for row in known["table"]]
    chosen = known["example"]
    if chosen is None:
        folder.example.unlink(missing_ok=True)
        return BuiltSet(AdversarialSet.load(folder.adversarial), table, None)
    version, index = chosen
    example = Unit(
        name="adversarial/example",
        function=make_example,
        arguments={
            "runs": [path for path in runs if path.parent == folder.run(version, "").parent],
            "index": index,
            "original": data.test.images[index].numpy(),
            "path": folder.example,
        },
        inputs={**made_from, "version": version, "index": index, "data": data.digest},
        outputs=(folder.relative(folder.example),),
    )
    engine.require("showing all attacks on one image", [example])
    adversarial = AdversarialSet.load(folder.adversarial)
    return BuiltSet(adversarial, table, AttackExample.load(folder.example))
