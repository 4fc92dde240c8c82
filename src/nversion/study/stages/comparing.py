"""Who is better than whom on the same images: program, best version, baseline and student.

What is compared, and on which images, is in :mod:`nversion.study.units.comparing`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from nversion.adversarial import AdversarialSet, AttackRun
from nversion.evaluation.clustered import clustered_gain
from nversion.randomness import numpy_generator
from nversion.study.context import Study
from nversion.study.sections import Comparison, Comparisons
from nversion.study.stages.voting import Voted
from nversion.study.units.base import MadeFrom
from nversion.study.units.comparing import Compare
from nversion.study.units.stored import StoredOutputs

__all__ = ["compare", "compare_frequencies"]


def compare(
    study: Study, voted: Voted, networks: Sequence[StoredOutputs], adversarial: AdversarialSet
) -> Comparisons:
    """Return who is better than whom on the adversarial set and on the test images.

    Args:
        study: that runs.
        voted: what the versions answer, and their vote.
        networks: what baseline and student answer.
        adversarial: the set.

    Raises:
        NVersionError: the comparison failed.
    """
    unit = Compare(
        name="evaluation/comparisons",
        adversarial=MadeFrom(study.folder.adversarial, adversarial.digest),
        verdicts=voted.verdicts,
        versions=voted.outputs,
        networks=tuple(networks),
        test_labels=study.data.test.labels.numpy(),
        data=study.data.digest,
        seed=study.seed,
        path=study.folder.comparisons,
    )
    study.units.require("comparing", [unit])
    return Comparisons.read(unit.path)


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
