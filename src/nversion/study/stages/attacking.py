"""Attack every version, and build the adversarial set; later, attack baseline and student."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from nversion.adversarial import (
    AdversarialSet,
    AttackExample,
    AttackRun,
    AttackSummary,
    draw_indices,
)
from nversion.datasets import Dataset
from nversion.errors import StudyError
from nversion.files import read_object
from nversion.randomness import derive_seed
from nversion.study.context import AttackPlan, Context, Study
from nversion.study.units.attacking import AttackNetwork
from nversion.study.units.base import MadeFrom
from nversion.study.units.collecting import BuildSet, MakeExample
from nversion.study.units.trained import TrainedVersion
from nversion.versions.version import read_logits

__all__ = [
    "BuiltSet",
    "attack_networks",
    "attack_versions",
    "build_set",
    "correct_on_test_images",
]


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
    context: Context, plan: AttackPlan, versions: Iterable[tuple[TrainedVersion, Tensor]]
) -> tuple[MadeFrom, ...]:
    """Run every attack on every version; return the runs in order.

    Args:
        context: where, and on which images.
        plan: how they are attacked.
        versions: each with whether it classifies each test image correctly, bool [test images].

    Raises:
        StudyError: no run came about.
    """
    units = [
        AttackNetwork(
            name=f"attacks/{version.name}/{name}",
            version=version,
            attack=attack,
            shared=context.shared,
            drawn=drawn,
            seed=derive_seed(plan.seed, "attack", version.name, name),
            storable=plan.storable,
            device=context.device,
            path=context.folder.run(version.name, name),
        )
        for version, correct in versions
        for drawn in [draw_indices(correct, plan.images, plan.seed, version.name).numpy()]
        for name, attack in plan.attacks.items()
    ]
    done = context.units.run("attacking versions", units)
    if not done:
        raise StudyError(f"every attack run failed; the first: {context.units.failures[-1][1]}")
    return tuple(MadeFrom(unit.path, done[unit.name].digest) for unit in units if unit.name in done)


def correct_on_test_images(version: TrainedVersion, data: Dataset) -> Tensor:
    """Return whether a version classifies each test image correctly, bool [test images]."""
    logits = read_logits(version.test_logits, len(data.test), data.classes)
    return logits.argmax(dim=1) == data.test.labels


def build_set(context: Context, plan: AttackPlan, runs: Sequence[MadeFrom]) -> BuiltSet:
    """Build the adversarial set from the runs, with its record and the example to show."""
    folder, data = context.folder, context.data
    facts = {
        "dataset": data.name,
        "dataset_digest": data.digest,
        "seed": plan.seed,
        "images_per_version": plan.images,
    }
    built = BuildSet(
        name="adversarial/set",
        runs=tuple(runs),
        rule=plan.rule,
        facts=facts,
        folder=folder.adversarial,
        table=folder.attack_table,
    )
    context.units.require("building the adversarial set", [built])
    known = read_object(folder.attack_table)
    table = [AttackSummary.from_json(row) for row in known["table"]]
    chosen = known["example"]
    if chosen is None:
        folder.example.unlink(missing_ok=True)
        return BuiltSet(AdversarialSet.load(folder.adversarial), table, None)
    version, index = chosen
    of_version = folder.run(version, "").parent
    example = MakeExample(
        name="adversarial/example",
        runs=tuple(run for run in runs if run.path.parent == of_version),
        index=index,
        original=data.test.images[index].numpy(),
        data=data.digest,
        path=folder.example,
    )
    context.units.require("showing all attacks on one image", [example])
    adversarial = AdversarialSet.load(folder.adversarial)
    return BuiltSet(adversarial, table, AttackExample.load(folder.example))


def attack_networks(
    study: Study, networks: Mapping[str, TrainedVersion]
) -> dict[str, list[AttackRun]]:
    """Run every attack on baseline and student, on images both classify correctly.

    Returns:
        The runs by role, for their adversarial frequency.
    """
    right = [correct_on_test_images(network, study.data) for network in networks.values()]
    images = study.config.evaluation.frequency_images
    drawn = draw_indices(torch.stack(right).all(dim=0), images, study.seed, "networks").numpy()
    units = [
        AttackNetwork(
            name=f"attacks/{role}/{name}",
            version=network,
            attack=attack,
            shared=study.shared,
            drawn=drawn,
            seed=derive_seed(study.seed, "attack", "networks", name),
            storable=study.attacks.storable,
            device=study.device,
            path=study.folder.network_run(role, name),
        )
        for role, network in networks.items()
        for name, attack in study.attacks.attacks.items()
    ]
    done = study.units.run("attacking baseline and student", units)
    runs: dict[str, list[AttackRun]] = {role: [] for role in networks}
    for unit in units:
        if unit.name in done:
            run = AttackRun.load(unit.path)
            runs[run.version].append(run)
    return runs
