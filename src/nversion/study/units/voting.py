"""Let the program vote over its versions' stored outputs, and count what it gets right."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nversion.files import read_rows, write_json, write_tensors
from nversion.program import AccuracyCounter, create_voter, vote_outputs
from nversion.study.units.base import Unit
from nversion.study.units.stored import StoredOutputs

__all__ = ["Vote", "accuracies_on_set"]

BLOCK_VALUES = 2**22
"""Stored outputs of all versions that are in memory at once: 16 MB, however many there are."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Vote(Unit):
    """Write what the program gets right of the test images and the adversarial set, and its labels.

    Attributes:
        labels: int64 [images of the set].
        test_labels: int64 [test images].
        data: digest of the dataset.
        versions: that vote, in the study's order.
        voter: the program's.
        orders: orders of the versions to draw.
        seed: of the orders.
        path: of the accuracies.
        verdicts: the file of the program's labels of both kinds of images.
    """

    labels: npt.NDArray[np.int64]
    test_labels: npt.NDArray[np.int64]
    data: str
    versions: tuple[StoredOutputs, ...]
    voter: str
    orders: int
    seed: int
    path: Path
    verdicts: Path

    def run(self) -> None:
        """Let them vote."""
        truth, test_truth = torch.from_numpy(self.labels), torch.from_numpy(self.test_labels)
        names = [version.name for version in self.versions]
        logits = [version.on_test.path for version in self.versions]
        voted = torch.cat(
            [
                vote_outputs(block.softmax(dim=2), self.voter).labels
                for _, block in _blocks(logits, "logits", len(test_truth))
            ]
        )
        summary: dict[str, Any] = {
            "voter": self.voter,
            "versions": names,
            "test_accuracy": _share(voted == test_truth),
            "accuracy_by_n": [],
            "accuracy_by_n_orders": None,
            "mean_individual": None,
            "best_individual": None,
            "best_individual_name": None,
            "accuracy": None,
        }
        voted_on_set = torch.zeros(0, dtype=torch.int64)
        if len(truth):
            files = [version.on_set.path for version in self.versions]
            found, voted_on_set = accuracies_on_set(
                names, files, truth, self.voter, self.orders, self.seed
            )
            summary |= found
        write_tensors(self.verdicts, {"adversarial": voted_on_set, "test": voted})
        write_json(self.path, summary)

    def inputs(self) -> Mapping[str, Any]:
        """Return the versions' answers, the images, the voter and the orders."""
        return {
            "versions": [version.inputs() for version in self.versions],
            "labels": self.labels,
            "data": self.data,
            "voter": self.voter,
            "orders": self.orders,
            "seed": self.seed,
        }

    def outputs(self) -> tuple[Path, ...]:
        """Return both files."""
        return (self.path, self.verdicts)

    def uses(self) -> tuple[object, ...]:
        """Return the voter, which is found by name."""
        return (create_voter(self.voter),)


def accuracies_on_set(
    names: Sequence[str], files: Sequence[Path], truth: Tensor, voter: str, orders: int, seed: int
) -> tuple[dict[str, Any], Tensor]:
    """Return what the program and its versions get right of the set, and the program's labels.

    The files are gone through once.
    """
    counter = AccuracyCounter(len(files), voter, orders, seed)
    right = torch.zeros(len(files), dtype=torch.int64)
    verdicts = torch.zeros(len(truth), dtype=torch.int64)
    for rows, block in _blocks(files, "probabilities", len(truth)):
        counter.add(block, truth[rows])
        right += (block.argmax(dim=2) == truth[rows]).sum(dim=1)
        verdicts[rows] = vote_outputs(block, voter).labels
    single = right.double() / len(truth)
    best = int(single.argmax())
    band, by_n = counter.over_orders(), counter.in_order()
    measured = {
        "accuracy_by_n": by_n,
        "accuracy_by_n_orders": dataclasses.asdict(band),
        "mean_individual": float(single.mean()),
        "best_individual": float(single[best]),
        "best_individual_name": names[best],
        "accuracy": by_n[-1],
    }
    return measured, verdicts


def _blocks(files: Sequence[Path], name: str, count: int) -> Iterator[tuple[slice, Tensor]]:
    """Yield (rows, all versions' outputs on them [versions, rows, classes]), little by little."""
    if count == 0:
        return
    classes = read_rows(files[0], name, slice(0, 1)).shape[1]
    size = max(BLOCK_VALUES // (len(files) * classes), 1)
    for start in range(0, count, size):
        rows = slice(start, min(start + size, count))
        yield rows, torch.stack([read_rows(file, name, rows) for file in files])


def _share(right: Tensor) -> float:
    return float(right.double().mean())
