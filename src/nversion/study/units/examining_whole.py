"""Say where a vote's distance goes, and whether the attacks on it can be believed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from nversion.attacks.doctor import examine
from nversion.attacks.votes import diversity_budget
from nversion.device import deterministic
from nversion.files import write_json, write_tensors
from nversion.study.units.of_vote import UnitOfVote

__all__ = ["BUDGET", "ExamineWhole", "MeasureBudget"]

BUDGET = (
    *("predicted", "best_member", "cosine", "equal_members"),
    *("lost_to_alignment", "lost_to_inequality"),
)
"""The columns of a diversity budget that are kept, each with a number for every image."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class MeasureBudget(UnitOfVote):
    """Write what a linearised vote predicts of its own distance."""

    def run(self) -> None:
        """Measure it."""
        program, images, labels = self.opened()
        with deterministic(self.device):
            found = diversity_budget(program, images, labels, self.norm)
        columns = {name: getattr(found, name) for name in BUDGET}
        write_tensors(self.path, columns, {"cosine_for_twice": found.cosine_for_twice})


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ExamineWhole(UnitOfVote):
    """Write what checks say of the attacks on a vote.

    Attributes:
        seed: of the attacks.
    """

    seed: int

    def run(self) -> None:
        """Make the checks."""
        program, images, labels = self.opened()
        with deterministic(self.device):
            found = examine(program, images, labels, norm=self.norm, seed=self.seed)
        checks = [
            {"name": check.name, "passed": check.passed, "says": check.says}
            for check in found.checks
        ]
        write_json(self.path, {"images": found.images, "norm": self.norm, "checks": checks})

    def inputs(self) -> Mapping[str, Any]:
        """Return what every unit of a vote rests on, and the seed."""
        return {**super().inputs(), "seed": self.seed}
