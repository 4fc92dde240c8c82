"""Build the adversarial set from the attack runs, and the example to show."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from nversion.adversarial import (
    AttackExample,
    AttackRun,
    PerceptibilityRule,
    SetRecord,
    StoredRuns,
    build,
    choose_example,
    summarise,
)
from nversion.files import write_json
from nversion.study.units.base import MadeFrom, Unit

__all__ = ["BuildSet", "MakeExample"]

SET_FILES = ("images.safetensors", "provenance.csv", "record.json")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class BuildSet(Unit):
    """Build the adversarial set of all runs, and beside it the table of attacks.

    Attributes:
        runs: the attack runs.
        rule: which attacks are in the set.
        facts: of the study, for the set's record.
        folder: of the set.
        table: the file of the table of attacks, and of the image to show them on.
    """

    runs: tuple[MadeFrom, ...]
    rule: PerceptibilityRule
    facts: Mapping[str, Any]
    folder: Path
    table: Path

    def run(self) -> None:
        """Build it."""
        stored = StoredRuns([run.path for run in self.runs])
        adversarial = build(stored, self.rule)
        adversarial.save(self.folder)
        table = summarise(stored, self.rule)
        SetRecord.of(adversarial, table, self.rule, **self.facts).save(self.folder)
        # What the study needs of the runs beside the set, so that it need not read them all again.
        write_json(
            self.table,
            {"table": [row.to_json() for row in table], "example": choose_example(stored)},
        )

    def inputs(self) -> Mapping[str, Any]:
        """Return the runs, the rule and the facts."""
        return {
            "runs": [run.digest for run in self.runs],
            "rule": dataclasses.asdict(self.rule),
            "facts": self.facts,
        }

    def outputs(self) -> tuple[Path, ...]:
        """Return the set's files and the table's."""
        return (*(self.folder / name for name in SET_FILES), self.table)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class MakeExample(Unit):
    """Save what all attacks made of one test image.

    Attributes:
        runs: of all attacks on the version that is shown.
        index: of the test image.
        original: float32 [channels, height, width], that image.
        data: digest of the dataset.
        path: of the example.
    """

    runs: tuple[MadeFrom, ...]
    index: int
    original: npt.NDArray[np.float32]
    data: str
    path: Path

    def run(self) -> None:
        """Save it."""
        loaded = [AttackRun.load(run.path) for run in self.runs]
        AttackExample.of(loaded, self.index, torch.from_numpy(self.original)).save(self.path)

    def inputs(self) -> Mapping[str, Any]:
        """Return the runs and the image."""
        return {
            "runs": [run.digest for run in self.runs],
            "index": self.index,
            "data": self.data,
        }

    def outputs(self) -> tuple[Path, ...]:
        """Return the example's file."""
        return (self.path,)
