"""Stage 3: the versions' outputs on the adversarial set, and the program's accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from nversion.adversarial import AdversarialSet
from nversion.datasets import Dataset
from nversion.device import resolve_device
from nversion.files import sha256_of_file
from nversion.program import create_voter
from nversion.randomness import derive_seed
from nversion.study.config import StudyConfig
from nversion.study.engine import Engine
from nversion.study.folder import StudyFolder
from nversion.study.ledger import Entry, Unit
from nversion.study.sections import Program
from nversion.study.train_stage import TrainedVersion
from nversion.study.units.evaluating import evaluate_on_set
from nversion.study.units.voting import summarise

__all__ = ["measure_program", "outputs_unit"]


def outputs_unit(
    name: str,
    network: Path,
    weights: str,
    folder: StudyFolder,
    set_digest: str,
    output: Path,
    device: torch.device,
) -> Unit:
    """Return the unit that evaluates one network on the adversarial set."""
    return Unit(
        name=name,
        function=evaluate_on_set,
        arguments={
            "network": network,
            "adversarial": folder.adversarial,
            "output": output,
            "device": device,
        },
        inputs={
            "weights": weights,
            "set": set_digest,
            "device": device.type,
        },
        outputs=(folder.relative(output),),
    )


def measure_program(
    config: StudyConfig,
    folder: StudyFolder,
    data: Dataset,
    versions: Sequence[TrainedVersion],
    adversarial: AdversarialSet,
    set_digest: str,
    engine: Engine,
) -> Program:
    """Return what the program and its versions get right (the key "program" of the results)."""
    units = [
        outputs_unit(
            f"program/outputs/{version.name}",
            version.folder,
            version.weights,
            folder,
            set_digest,
            folder.outputs(version.name),
            resolve_device(config.run.device),
        )
        for version in versions
    ]
    entries = engine.require("evaluating versions", units)
    summary = Unit(
        name="program/summary",
        function=summarise,
        arguments={
            "labels": adversarial.labels.numpy(),
            "test_labels": data.test.labels.numpy(),
            "outputs": [(v.name, folder.outputs(v.name), v.folder) for v in versions],
            "voter": config.program.voter,
            "orders": config.program.orders,
            "seed": derive_seed(config.seed, "orders"),
            "path": folder.program_summary,
            "verdicts": folder.verdicts,
        },
        inputs={
            "outputs": [_only_output(entry) for entry in entries.values()],
            "versions": [version.name for version in versions],
            "test_logits": [
                sha256_of_file(version.folder / "test-logits.safetensors") for version in versions
            ],
            "data": data.digest,
            "voter": config.program.voter,
            "orders": config.program.orders,
            "seed": config.seed,
        },
        outputs=(folder.relative(folder.program_summary), folder.relative(folder.verdicts)),
        uses=(create_voter(config.program.voter),),
    )
    engine.require("voting", [summary])
    return Program.read(folder.program_summary)


def _only_output(entry: Entry) -> str:
    (checksum,) = entry.outputs.values()
    return checksum
