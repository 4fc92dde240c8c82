"""Draw the curve of accuracy by coverage of every voter, from what versions answered."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nversion.files import read_rows, write_json
from nversion.program import create_voter, vote_outputs
from nversion.program.coverage import CoverageCurve, coverage_curve
from nversion.program.verdict import join
from nversion.study.units.base import MadeFrom, Unit

__all__ = ["CoverImages"]

POINTS = 60
"""Points of a curve that are kept: one for each so many parts of the images."""

BLOCK_VALUES = 2**22
"""Answers of all versions that are in memory at once."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class CoverImages(Unit):
    """Write what every voter gets right of the images that it is surest of.

    Attributes:
        answers: each version's file, in the study's order.
        tensor: what they are called in it: "logits" or "probabilities".
        labels: int64 [count].
        data: digest of the images.
        voters: by name.
        path: of the curves.
    """

    answers: tuple[MadeFrom, ...]
    tensor: str
    labels: npt.NDArray[np.int64]
    data: str
    voters: tuple[str, ...]
    path: Path

    def run(self) -> None:
        """Let every voter vote."""
        truth = torch.from_numpy(self.labels)
        curves = [self._curve(name, truth) for name in self.voters] if len(truth) else []
        write_json(self.path, {"voters": sorted(curves, key=lambda one: -one["area"])})

    def inputs(self) -> Mapping[str, Any]:
        """Return the answers, the images and the voters."""
        return {
            "answers": [one.digest for one in self.answers],
            "labels": self.labels,
            "data": self.data,
            "voters": list(self.voters),
        }

    def outputs(self) -> tuple[Path, ...]:
        """Return the curves' file."""
        return (self.path,)

    def uses(self) -> tuple[object, ...]:
        """Return the voters, which are found by name."""
        return tuple(create_voter(name) for name in self.voters)

    def _curve(self, name: str, truth: Tensor) -> dict[str, Any]:
        verdict = join([vote_outputs(block, name) for block in self._blocks(len(truth))])
        curve = coverage_curve(verdict, truth)
        coverage, accuracy = _thinned(curve)
        return {
            "voter": name,
            "right": float((verdict.labels == truth).double().mean()),
            "decided": float((verdict.labels >= 0).double().mean()),
            "area": curve.area,
            "coverage": coverage,
            "accuracy": accuracy,
        }

    def _blocks(self, count: int) -> Iterator[Tensor]:
        """Yield the versions' softmax outputs, little by little."""
        classes = read_rows(self.answers[0].path, self.tensor, slice(0, 1)).shape[1]
        size = max(BLOCK_VALUES // (len(self.answers) * classes), 1)
        for start in range(0, count, size):
            rows = slice(start, min(start + size, count))
            block = torch.stack([read_rows(one.path, self.tensor, rows) for one in self.answers])
            yield block.softmax(dim=2) if self.tensor == "logits" else block


def _thinned(curve: CoverageCurve) -> tuple[list[float], list[float]]:
    """Return some points of a curve, the last among them."""
    coverage = np.array(curve.coverage)
    if len(coverage) == 0:
        return [], []
    wanted = np.linspace(1.0 / POINTS, 1.0, POINTS)
    places = np.unique(np.searchsorted(coverage, wanted).clip(max=len(coverage) - 1))
    accuracy = np.array(curve.accuracy)
    return np.round(coverage[places], 6).tolist(), np.round(accuracy[places], 6).tolist()
