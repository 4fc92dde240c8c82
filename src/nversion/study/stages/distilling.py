"""Make the teacher's labels, the student that learns from them, and the baseline."""

from __future__ import annotations

from collections.abc import Sequence

from nversion.architectures import student_architecture
from nversion.distillation import ROLES, role_seed
from nversion.study.context import Study
from nversion.study.stages.training import trained
from nversion.study.units.base import MadeFrom
from nversion.study.units.teaching import PART, AskTeacher, JoinLabels
from nversion.study.units.trained import TrainedVersion
from nversion.study.units.training import TrainNetwork

__all__ = ["distil"]


def distil(study: Study, versions: Sequence[TrainedVersion]) -> dict[str, TrainedVersion]:
    """Train baseline and student and return them by role.

    Both have the study's student architecture, the same recipe and the same seed (so the same
    initial weights and order of images); only their labels differ, and the objective.
    """
    labels = _teach(study, versions)
    architecture = student_architecture()
    architecture.check(study.data.shape, study.data.classes)
    units = {
        role: TrainNetwork(
            name=f"distillation/{role}",
            architecture=architecture,
            shared=study.shared,
            recipe=study.network_recipes[role],
            seed=role_seed(study.seed),
            precision=study.config.versions.precision,
            device=study.device,
            targets=labels if role == "student" else None,
            folder=study.folder.network(role),
        )
        for role in ROLES
    }
    entries = study.units.require("training baseline and student", list(units.values()))
    return {
        role: trained(study, role, unit.folder, entries[unit.name]) for role, unit in units.items()
    }


def _teach(study: Study, versions: Sequence[TrainedVersion]) -> MadeFrom:
    """Make the teacher's labels of the training images and return their file."""
    parts = [
        AskTeacher(
            name=f"teacher/{part:03d}",
            shared=study.shared,
            start=start,
            versions=tuple(versions),
            voter=study.config.program.voter,
            device=study.device,
            path=study.folder.teacher_part(part),
        )
        for part, start in enumerate(range(0, len(study.data.train), PART))
    ]
    entries = study.units.require("asking the teacher", parts)
    joined = JoinLabels(
        name="teacher/all",
        parts=tuple(MadeFrom(part.path, entries[part.name].digest) for part in parts),
        path=study.folder.teacher,
    )
    entry = study.units.require("joining the teacher's labels", [joined])[joined.name]
    return study.output(entry, joined.path)
