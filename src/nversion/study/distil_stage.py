"""Stage 4: the teacher's labels, the student that learns from them, and the baseline."""

from __future__ import annotations

from collections.abc import Sequence

from nversion.architectures import student_architecture
from nversion.datasets import Dataset
from nversion.datasets.shared import SharedDataset
from nversion.device import resolve_device
from nversion.distillation import ROLES, recipes, role_seed
from nversion.program import create_voter
from nversion.study.config import StudyConfig
from nversion.study.engine import Engine
from nversion.study.folder import StudyFolder
from nversion.study.ledger import Unit
from nversion.study.train_stage import TrainedVersion, train_unit, weights_of
from nversion.study.units.teaching import PART, join_parts, teach_part

__all__ = ["ROLES", "distil"]


def distil(
    config: StudyConfig,
    folder: StudyFolder,
    data: Dataset,
    shared: SharedDataset,
    versions: Sequence[TrainedVersion],
    engine: Engine,
) -> dict[str, TrainedVersion]:
    """Train baseline and student and return them by role.

    Both have the study's student architecture, the same recipe and the same seed (so the same
    initial weights and order of images); only their labels differ, and the objective.
    """
    teacher_digest = _teach(config, folder, shared, len(data.train), versions, engine)
    by_role = recipes(
        config.distillation.recipe or config.versions.recipe, config.distillation.objective
    )
    architecture = student_architecture()
    architecture.check(data.shape, data.classes)
    units = [
        train_unit(
            name=f"distillation/{role}",
            architecture=architecture,
            folder=folder.network(role),
            root=folder,
            shared=shared,
            recipe=by_role[role],
            seed=role_seed(config.seed),
            precision=config.versions.precision,
            device=resolve_device(config.run.device),
            targets=folder.teacher if role == "student" else None,
            targets_digest=teacher_digest if role == "student" else "",
        )
        for role in ROLES
    ]
    entries = engine.require("training baseline and student", units)
    return {
        role: TrainedVersion(
            role, weights_of(entries[f"distillation/{role}"]), folder.network(role)
        )
        for role in ROLES
    }


def _teach(
    config: StudyConfig,
    folder: StudyFolder,
    shared: SharedDataset,
    count: int,
    versions: Sequence[TrainedVersion],
    engine: Engine,
) -> str:
    """Make the teacher's labels and return the SHA-256 of their file."""
    device = resolve_device(config.run.device)
    inputs = {
        "data": shared.digest,
        "versions": [version.name for version in versions],
        "weights": [version.weights for version in versions],
        "voter": config.program.voter,
        "device": device.type,
    }
    starts = range(0, count, PART)
    parts = [folder.teacher_part(part) for part in range(len(starts))]
    units = [
        Unit(
            name=f"teacher/{part:03d}",
            function=teach_part,
            arguments={
                "shared": shared,
                "start": start,
                "versions": [version.folder for version in versions],
                "voter": config.program.voter,
                "device": device,
                "path": parts[part],
            },
            inputs={**inputs, "start": start, "images": PART},
            outputs=(folder.relative(parts[part]),),
            uses=(create_voter(config.program.voter),),
        )
        for part, start in enumerate(starts)
    ]
    engine.require("asking the teacher", units)
    joined = Unit(
        name="teacher/all",
        function=join_parts,
        arguments={"parts": parts, "path": folder.teacher},
        inputs={"parts": [unit.digest for unit in units]},
        outputs=(folder.relative(folder.teacher),),
    )
    entries = engine.require("joining the teacher's labels", [joined])
    return entries["teacher/all"].outputs[folder.relative(folder.teacher)]
