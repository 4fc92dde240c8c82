"""Count what program, best version, baseline and student answer to each class of test images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from nversion.files import read_tensor
from nversion.study.context import Study
from nversion.study.sections import ClassAnswers
from nversion.study.units.base import MadeFrom
from nversion.study.units.stored import StoredOutputs

__all__ = ["answers_by_class", "confusion_of"]


def answers_by_class(
    study: Study,
    verdicts: MadeFrom,
    versions: Sequence[StoredOutputs],
    networks: Sequence[StoredOutputs],
) -> list[ClassAnswers]:
    """Return the answers by class, the program's first.

    Args:
        study: that runs.
        verdicts: the program's labels of the test images ("test").
        versions: what they answer; the best on test images is taken, the first of equals.
        networks: what baseline and student answer.
    """
    labels = study.data.test.labels
    kinds: Mapping[str, Literal["baseline", "student"]] = {
        "baseline": "baseline",
        "student": "student",
    }
    best = max(versions, key=lambda one: int(one.right_on_test(labels).sum()))
    answers = read_tensor(verdicts.path, "test")
    found = [confusion_of("program", "program", labels, answers, study.data.classes)]
    found.append(_network(best, "version", labels, study.data.classes))
    found += [_network(one, kinds[one.name], labels, study.data.classes) for one in networks]
    return found


def _network(
    stored: StoredOutputs,
    kind: Literal["version", "baseline", "student"],
    labels: Tensor,
    classes: int,
) -> ClassAnswers:
    answers = read_tensor(stored.on_test.path, "logits").argmax(dim=1)
    return confusion_of(stored.name, kind, labels, answers, classes)


def confusion_of(
    name: str,
    kind: Literal["program", "version", "baseline", "student"],
    labels: Tensor,
    answers: Tensor,
    classes: int,
) -> ClassAnswers:
    """Return how many images of each class got each answer.

    Args:
        name: whose answers they are.
        kind: what that is.
        labels: true classes, int64 [count].
        answers: classes answered, int64 [count]; negative where there is no answer.
        classes: how many there are.
    """
    answered = answers >= 0
    pairs = labels[answered] * classes + answers[answered]
    table = torch.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    return ClassAnswers(
        name=name,
        kind=kind,
        confusion=table.tolist(),
        abstained=torch.bincount(labels[~answered], minlength=classes).tolist(),
    )
