"""Train and measure one network of a replication; what it learns from; what asking costs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nversion.attacks import create as create_attack
from nversion.datasets.shared import SharedDataset
from nversion.program import create_voter
from nversion.replication.arms import Arm
from nversion.replication.costs import Costed, keep_costs
from nversion.replication.network import Material, ask_version, measure_network
from nversion.replication.settings import Settings
from nversion.replication.teacher import Teacher
from nversion.study.units.base import Unit

__all__ = ["AskForReplication", "MeasureCosts", "ReplicateNetwork"]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class AskForReplication(Unit):
    """Write one version's softmax outputs on all training images.

    Attributes:
        teacher: the version.
        shared: the dataset.
        path: of the outputs.
    """

    teacher: Teacher
    shared: SharedDataset
    path: Path

    def run(self) -> None:
        """Ask it."""
        facts = {"weights": self.teacher.weights, "data": self.shared.digest}
        ask_version(self.shared, self.teacher, self.path, facts)

    def inputs(self) -> Mapping[str, Any]:
        """Return the weights and the images."""
        return {"weights": self.teacher.weights, "data": self.shared.digest}

    def outputs(self) -> tuple[Path, ...]:
        """Return the outputs' file."""
        return (self.path,)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ReplicateNetwork(Unit):
    """Train and measure one network; one that does not learn is written down as such.

    Attributes:
        settings: of the replication.
        arm: how it is trained.
        repeat: of which pair it is.
        material: what it learns from and is measured on.
        digest: of all that its numbers depend on beside the code.
        path: of its file.
    """

    settings: Settings
    arm: Arm
    repeat: int
    material: Material
    digest: str
    path: Path

    def run(self) -> None:
        """Train and measure it."""
        measure_network(self.settings, self.arm, self.repeat, self.material, self.digest, self.path)

    def inputs(self) -> Mapping[str, Any]:
        """Return the digest, and which pair it is."""
        return {"digest": self.digest, "repeat": self.repeat}

    def outputs(self) -> tuple[Path, ...]:
        """Return the network's file."""
        return (self.path,)

    def uses(self) -> tuple[object, ...]:
        """Return the objective, the voter and the attacks, which are found by name."""
        recipe = self.settings.recipe.with_objective(self.arm.objective, **self.arm.options)
        attacks = self.settings.attacks if self.settings.attack_images else ()
        return (
            *recipe.objectives(),
            create_voter(self.settings.voter),
            *(create_attack(name) for name in attacks),
        )


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class MeasureCosts(Unit):
    """Measure what it takes to ask program, student, baseline and best version.

    Attributes:
        whose: what is measured.
        path: of the costs.
    """

    whose: Costed
    path: Path

    def run(self) -> None:
        """Measure them anew."""
        self.path.unlink(missing_ok=True)
        keep_costs(self.whose, self.path)

    def inputs(self) -> Mapping[str, Any]:
        """Return what is measured."""
        return {"whose": self.whose.digest()}

    def outputs(self) -> tuple[Path, ...]:
        """Return the costs' file."""
        return (self.path,)

    def uses(self) -> tuple[object, ...]:
        """Return the voter, which is found by name."""
        return (create_voter(self.whose.voter),)
