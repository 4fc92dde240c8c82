"""Train students and baselines again and again, and ask what tells them apart beyond chance."""

from __future__ import annotations

from collections.abc import Sequence

from nversion.architectures import Architecture, find_architecture
from nversion.datasets import Dataset
from nversion.replication.arms import BASELINE, find_arm
from nversion.replication.campaign import Work, planned, summed
from nversion.replication.costs import Costed
from nversion.replication.network import Material
from nversion.replication.settings import Settings
from nversion.replication.teacher import Teacher
from nversion.replication.teachers import teacher_in
from nversion.study.config import StudyConfig
from nversion.study.context import Study
from nversion.study.sections import Replicated
from nversion.study.units.replicating import AskForReplication, MeasureCosts, ReplicateNetwork
from nversion.study.units.trained import TrainedVersion
from nversion.versions import load_recipe

__all__ = ["replicate_networks", "replicated_architecture", "replication_settings"]


def replicate_networks(study: Study, versions: Sequence[TrainedVersion]) -> Replicated | None:
    """Return what a replication came to.

    Networks that fail are noted as failures of the study and left out; those that do not learn
    are left out, and named in the section.

    Args:
        study: that runs.
        versions: of the program, which teach.

    Raises:
        NVersionError: a version could not be asked.
    """
    teachers = _teachers(study, versions)
    settings = replication_settings(study.config, study.data)
    place = study.folder.replication
    asked = [
        AskForReplication(
            name=f"replication/outputs/{teacher.name}",
            teacher=teacher,
            shared=study.shared,
            path=place.outputs(teacher.name),
        )
        for teacher in teachers
    ]
    study.units.require("asking the versions for the replication", asked)
    weights = [teacher.weights for teacher in teachers]
    wanted = planned(settings, place, study.data.digest, weights, study.folder.adversarial)
    material = Material(
        study.shared,
        tuple(teachers),
        tuple(unit.path for unit in asked),
        study.folder.adversarial,
    )
    units = [_unit(settings, work, material) for work in wanted]
    before = len(study.units.failures)
    study.units.run("training and measuring networks again and again", units)
    failures = [f"{name}: {error}" for name, error in study.units.failures[before:]]
    failed = {name for name, _ in study.units.failures[before:]}
    there = [work for work, unit in zip(wanted, units, strict=True) if unit.name not in failed]
    summed(settings, place, [teacher.name for teacher in teachers], there, failures)
    _measure_costs(study, settings, teachers)
    return Replicated.found(place)


def _teachers(study: Study, versions: Sequence[TrainedVersion]) -> list[Teacher]:
    """Return the versions as teachers: those trained here, then those from files, by name.

    It is the order in which ``nversion distil`` finds them in the folder.
    """
    return [
        teacher_in(version.folder, trust=study.config.versions.trust)
        for version in sorted(versions, key=lambda one: (one.source is not None, one.name))
    ]


def _unit(settings: Settings, work: Work, material: Material) -> ReplicateNetwork:
    return ReplicateNetwork(
        name=f"replication/{work.arm.name}/{work.repeat:03d}",
        # Pair after pair, so that what is finished is whole pairs.
        cost=settings.repeats - work.repeat,
        settings=settings,
        arm=work.arm,
        repeat=work.repeat,
        material=material,
        digest=work.digest,
        path=work.path,
    )


def _measure_costs(study: Study, settings: Settings, teachers: Sequence[Teacher]) -> None:
    whose = Costed(
        teachers,
        settings.voter,
        settings.architecture,
        study.data.shape,
        study.data.classes,
    )
    unit = MeasureCosts(name="replication/costs", whose=whose, path=study.folder.replication.costs)
    study.units.run("measuring what answers cost", [unit])


def replicated_architecture(config: StudyConfig, data: Dataset) -> Architecture:
    """Return the architecture of a replication's networks.

    Raises:
        ArchitectureError: it cannot be read or does not fit the images.
    """
    architecture = find_architecture(config.replication.architecture, data.shape, data.classes)
    architecture.check(data.shape, data.classes)
    return architecture


def replication_settings(config: StudyConfig, data: Dataset) -> Settings:
    """Return what a study's replication trains and measures, as ``nversion distil`` would."""
    section = config.replication
    recipe = section.recipe or config.distillation.recipe or config.versions.recipe
    return Settings(
        tuple(find_arm(name) for name in (BASELINE, *section.objectives)),
        section.repeats,
        replicated_architecture(config, data),
        load_recipe(recipe),
        config.seed,
        config.program.voter,
        section.radius_images,
        section.attack_images,
        section.attacks,
        section.box_images,
        config.versions.precision,
    )
