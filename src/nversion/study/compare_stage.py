"""Who is better than whom on the same images: program, best version, baseline and student.

What is compared, and on which images, is in :mod:`nversion.study.units.comparing`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from nversion.adversarial import AdversarialSet, AttackRun
from nversion.datasets import Dataset
from nversion.evaluation.clustered import clustered_gain
from nversion.files import sha256_of_file
from nversion.randomness import numpy_generator
from nversion.study.config import StudyConfig
from nversion.study.engine import Engine
from nversion.study.folder import StudyFolder
from nversion.study.ledger import Unit
from nversion.study.sections import Comparison, Comparisons
from nversion.study.train_stage import TrainedVersion
from nversion.study.units.comparing import Compared, compare_on_images

__all__ = ["compare", "compare_frequencies"]


def compare(
    config: StudyConfig,
    folder: StudyFolder,
    data: Dataset,
    versions: Sequence[TrainedVersion],
    networks: Mapping[str, TrainedVersion],
    adversarial: AdversarialSet,
    engine: Engine,
) -> Comparisons:
    """Return who is better than whom on the adversarial set and on the test images.

    Raises:
        NVersionError: the comparison failed.
    """
    voting = [
        Compared(version.name, folder.outputs(version.name), _logits(version))
        for version in versions
    ]
    single = [
        Compared(role, folder.network_outputs(role), _logits(network))
        for role, network in networks.items()
    ]
    unit = Unit(
        name="evaluation/comparisons",
        function=compare_on_images,
        arguments={
            "adversarial": folder.adversarial,
            "verdicts": folder.verdicts,
            "versions": voting,
            "networks": single,
            "test_labels": data.test.labels.numpy(),
            "seed": config.seed,
            "path": folder.comparisons,
        },
        inputs={
            "set": adversarial.digest,
            "verdicts": sha256_of_file(folder.verdicts),
            "outputs": [
                [one.name, sha256_of_file(one.on_set), sha256_of_file(one.on_test)]
                for one in (*voting, *single)
            ],
            "data": data.digest,
            "seed": config.seed,
        },
        outputs=(folder.relative(folder.comparisons),),
    )
    engine.require("comparing", [unit])
    return Comparisons.read(folder.comparisons)


def _logits(network: TrainedVersion) -> Path:
    return network.folder / "test-logits.safetensors"


def compare_frequencies(runs: Mapping[str, Sequence[AttackRun]], seed: int) -> Comparison | None:
    """Return the student's adversarial frequency against the baseline's, by test image.

    Only attacks that ran on both count, on images that both had right; None if there are none.
    """
    baseline = {run.attack: run for run in runs["baseline"]}
    columns: list[tuple[Tensor, Tensor, Tensor]] = []
    for student in runs["student"]:
        other = baseline.get(student.attack)
        if other is not None and torch.equal(other.test_indices, student.test_indices):
            fair = ~(student.already_misclassified | other.already_misclassified)
            columns.append((student.success[fair], other.success[fair], student.test_indices[fair]))
    if not sum(len(ours) for ours, *_ in columns):
        return None
    ours, theirs, originals = (torch.cat(column).numpy() for column in zip(*columns, strict=True))
    gain = clustered_gain(ours, theirs, originals, numpy_generator(seed, "frequencies"))
    return Comparison(**dataclasses.asdict(gain))
