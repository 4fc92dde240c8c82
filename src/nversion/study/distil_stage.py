"""Stage 4: the teacher's labels, the student that learns from them, and the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from nversion.architectures import student_architecture
from nversion.datasets import Dataset
from nversion.datasets.shared import SharedDataset
from nversion.device import resolve_device
from nversion.distillation import ROLES, recipes, role_seed
from nversion.files import read_tensor, write_tensors
from nversion.program import vote_outputs
from nversion.study.config import StudyConfig
from nversion.study.engine import Engine
from nversion.study.folder import StudyFolder
from nversion.study.ledger import Unit, code_digest
from nversion.study.program_stage import softmax_outputs
from nversion.study.train_stage import TrainedVersion, train_unit, weights_of
from nversion.versions import Version

__all__ = ["ROLES", "distil"]

PART = 2_000
"""Training images a unit of the teacher's labels treats: enough to load each version for, few
enough that all versions' outputs on them fit easily in memory."""


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
    code = code_digest(
        "nversion.versions", "nversion.models", "nversion.batches", "nversion.program", __name__
    )
    inputs = {
        "data": shared.digest,
        "versions": [version.name for version in versions],
        "weights": [version.weights for version in versions],
        "voter": config.program.voter,
        "device": device.type,
        "code": code,
    }
    starts = range(0, count, PART)
    parts = [folder.teacher_part(part) for part in range(len(starts))]
    units = [
        Unit(
            name=f"teacher/{part:03d}",
            function=_teach_part,
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
        )
        for part, start in enumerate(starts)
    ]
    engine.require("asking the teacher", units)
    joined = Unit(
        name="teacher/all",
        function=_join,
        arguments={"parts": parts, "path": folder.teacher},
        inputs={**inputs, "images": PART},
        outputs=(folder.relative(folder.teacher),),
    )
    entries = engine.require("joining the teacher's labels", [joined])
    return entries["teacher/all"].outputs[folder.relative(folder.teacher)]


def _teach_part(
    shared: SharedDataset,
    start: int,
    versions: Sequence[Path],
    voter: str,
    device: torch.device,
    path: Path,
) -> None:
    block = shared.open().train.images[start : start + PART]
    outputs = torch.stack(
        [softmax_outputs(Version.load(folder), block, device) for folder in versions]
    )
    write_tensors(path, {"labels": vote_outputs(outputs, voter).probabilities})


def _join(parts: Sequence[Path], path: Path) -> None:
    labels = torch.cat([read_tensor(part, "labels") for part in parts])
    write_tensors(path, {"labels": labels})
