"""Measure the versions' accuracy under attack at the usual radii."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nversion.adversarial import StoredRuns
from nversion.evaluation.under_attack import smallest_distances, under_attack
from nversion.files import write_json
from nversion.randomness import numpy_generator
from nversion.study.units.base import MadeFrom, Unit

__all__ = ["MeasureUnderAttack"]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class MeasureUnderAttack(Unit):
    """Write the accuracy under attack at the usual radii that the stored attack runs leave.

    Attributes:
        runs: of all attacks on all versions.
        seed: the study's.
        path: of the rows.
    """

    runs: tuple[MadeFrom, ...]
    seed: int
    path: Path

    def run(self) -> None:
        """Measure it."""
        smallest = smallest_distances(StoredRuns([run.path for run in self.runs]))
        rows = under_attack(smallest, numpy_generator(self.seed, "under attack"))
        write_json(self.path, {"rows": rows})

    def inputs(self) -> Mapping[str, Any]:
        """Return the runs and the seed."""
        return {"runs": [run.digest for run in self.runs], "seed": self.seed}

    def outputs(self) -> tuple[Path, ...]:
        """Return the rows' file."""
        return (self.path,)
