"""Choose the smallest program on training images, and judge it on others."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nversion.datasets.shared import SharedDataset
from nversion.files import read_tensor, write_json
from nversion.measures.answers import Doubles
from nversion.program import accuracy_by_n, create_voter
from nversion.program.white_box import white_box
from nversion.selection import Accuracy, Coincidence, Criterion, WhiteBox, greedy
from nversion.study.units.base import MadeFrom, Unit
from nversion.study.units.loading import load_version
from nversion.study.units.stored import StoredOutputs, read_outputs
from nversion.study.units.trained import TrainedVersion

__all__ = ["ChooseVersions"]

COUNTING = ("plurality", "majority", "k-of-n", "consensus")
"""Voters whose programs are chosen by a plurality, others by the mean softmax."""


@dataclasses.dataclass(frozen=True)
class _Answers:
    """Softmax outputs [versions, count, classes] of all versions, and the labels [count]."""

    outputs: Tensor
    labels: Tensor

    def along(self, order: Sequence[int], voter: str) -> list[float]:
        """Return the accuracy of the first 1, 2, ... versions of an order."""
        return accuracy_by_n(self.outputs[list(order)], self.labels, voter)

    @property
    def accuracies(self) -> Tensor:
        """Each version's own, [versions]."""
        return (self.outputs.argmax(dim=2) == self.labels).double().mean(dim=1)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ChooseVersions(Unit):
    """Write which versions would be enough, by each criterion, and what other orders bring.

    Attributes:
        versions: all of them, in the study's order.
        answers: what they answered on the adversarial set and the test images.
        on_training: what they answered on training images.
        shared: the dataset.
        rows: which training images these are, int64 [count].
        white_box_images: the first so many of them are asked for gradients; 0: none.
        labels: of the adversarial set, int64 [images of the set].
        voter: the program's.
        path: of what was found.
    """

    versions: tuple[TrainedVersion, ...]
    answers: tuple[StoredOutputs, ...]
    on_training: tuple[MadeFrom, ...]
    shared: SharedDataset
    rows: npt.NDArray[np.int64]
    white_box_images: int
    labels: npt.NDArray[np.int64]
    voter: str
    path: Path

    def run(self) -> None:
        """Choose."""
        training = self._on_training()
        kinds = {"test": self._on_test(), "adversarial": self._on_set()}
        vote = "plurality" if self.voter in COUNTING else "mean"
        by_accuracy = Accuracy(training.outputs, training.labels, vote)
        wrong = training.outputs.argmax(dim=2) != training.labels
        criteria: dict[str, Criterion] = {
            "accuracy": by_accuracy,
            "coincident-failures": Coincidence(wrong),
        }
        white = self._white_box()
        if white is not None:
            criteria["white-box"] = white
        everyone = range(len(self.versions))
        full = by_accuracy.score(everyone)
        orders = {name: greedy(criterion).members for name, criterion in criteria.items()}
        along = {name: by_accuracy.along(order) for name, order in orders.items()}
        sizes = {name: _enough(scores, full) for name, scores in along.items()}
        several = dict.fromkeys(orders, _several(len(self.versions)))

        def judged(chosen: Mapping[str, int]) -> list[dict[str, Any]]:
            return [
                self._judged(name, orders[name][:size], along[name][size - 1], kinds, white)
                for name, size in chosen.items()
            ]

        values: dict[str, Any] = {
            "images": len(self.rows),
            "white_box_images": 0 if white is None else white.count,
            "mean_accuracy": float(training.accuracies.mean()),
            "full": self._judged("all", everyone, full, kinds, white),
            "chosen": judged(sizes),
            "sized": judged(several),
        }
        for kind, other in (("test", "adversarial"), ("adversarial", "test")):
            values[kind] = self._orders(kinds[kind], kinds[other], orders["accuracy"])
        write_json(self.path, values)

    def inputs(self) -> Mapping[str, Any]:
        """Return the versions, their answers, the images and the voter."""
        return {
            "weights": [version.weights for version in self.versions],
            "answers": [one.inputs() for one in self.answers],
            "training": [one.digest for one in self.on_training],
            "data": self.shared.digest,
            "rows": self.rows,
            "white_box_images": self.white_box_images,
            "labels": self.labels,
            "voter": self.voter,
        }

    def outputs(self) -> tuple[Path, ...]:
        """Return the file of what was found."""
        return (self.path,)

    def uses(self) -> tuple[object, ...]:
        """Return the voter, which is found by name."""
        return (create_voter(self.voter),)

    def _on_training(self) -> _Answers:
        labels = self.shared.open().train.labels[torch.from_numpy(self.rows)]
        outputs = torch.stack([read_outputs(one.path) for one in self.on_training])
        return _Answers(outputs, labels)

    def _on_test(self) -> _Answers:
        logits = torch.stack([read_tensor(one.on_test.path, "logits") for one in self.answers])
        return _Answers(logits.softmax(dim=2), self.shared.open().test.labels)

    def _on_set(self) -> _Answers | None:
        if len(self.labels) == 0:
            return None
        outputs = torch.stack([read_outputs(one.on_set.path) for one in self.answers])
        return _Answers(outputs, torch.from_numpy(self.labels))

    def _white_box(self) -> WhiteBox | None:
        """Return the criterion against an attacker who knows the program, if it is asked for."""
        if self.white_box_images == 0:
            return None
        rows = torch.from_numpy(self.rows[: self.white_box_images])
        train = self.shared.open().train
        models = [load_version(version).model for version in self.versions]
        return white_box(models, train.images[rows], train.labels[rows])

    def _judged(
        self,
        name: str,
        members: Sequence[int],
        train_accuracy: float,
        kinds: Mapping[str, _Answers | None],
        white: WhiteBox | None,
    ) -> dict[str, Any]:
        """Return a choice with what its vote gets right elsewhere."""
        right = {
            f"{kind}_accuracy": None if known is None else known.along(members, self.voter)[-1]
            for kind, known in kinds.items()
        }
        return {
            "name": name,
            "members": [self.versions[one].name for one in members],
            "train_accuracy": float(train_accuracy),
            **right,
            "distance": None if white is None else white.score(list(members)),
        }

    def _orders(
        self, judged: _Answers | None, ranked: _Answers | None, chosen: Sequence[int]
    ) -> dict[str, list[float]] | None:
        """Return the program as it grows: the best elsewhere first, and as versions were chosen."""
        if judged is None:
            return None
        first: list[int] = []
        if ranked is not None:
            first = np.argsort(-ranked.accuracies.numpy(), kind="stable").tolist()
        return {
            "best_first": judged.along(first, self.voter) if first else [],
            "chosen": judged.along(chosen, self.voter),
        }


def _enough(along: Doubles, full: float) -> int:
    """Return how many of the first versions are the least that are as accurate as all."""
    return int(np.argmax(along >= full - 1e-12)) + 1


def _several(versions: int) -> int:
    """Return how many versions every criterion chooses, to be compared: ten, or half of few."""
    return min(10, (versions + 1) // 2)
