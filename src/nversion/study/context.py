"""What the stages of a study receive: everything its configuration asks for, resolved once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Self

import torch

from nversion.adversarial import PerceptibilityRule
from nversion.architectures import Architecture
from nversion.attacks import Attack
from nversion.datasets import Dataset
from nversion.datasets.shared import SharedDataset
from nversion.device import Device, resolve_device
from nversion.distillation import Role, recipes
from nversion.formats.source import Source
from nversion.study.config import StudyConfig
from nversion.study.folder import StudyFolder
from nversion.study.ledger import Entry
from nversion.study.unit_runner import UnitRunner
from nversion.study.units.base import MadeFrom
from nversion.versions import Recipe, load_recipe

__all__ = ["AttackPlan", "Context", "Study"]


@dataclasses.dataclass(frozen=True)
class AttackPlan:
    """How versions are attacked.

    Attributes:
        attacks: by name, in the order of the tables.
        images: correctly classified test images per version.
        seed: what the images are drawn and the attacks are called with.
        storable: whether the images must stay adversarial when they are stored in 8 bits a value.
        rule: which attacks are in the adversarial set.
        device: where the attacked versions compute.
    """

    attacks: Mapping[str, Attack]
    images: int
    seed: int
    storable: bool = True
    rule: PerceptibilityRule = dataclasses.field(default_factory=PerceptibilityRule)
    device: Device = "cpu"

    @classmethod
    def of(cls, config: StudyConfig) -> AttackPlan:
        """Return the plan of a study."""
        section = config.attacks
        return cls(
            config.create_attacks(),
            section.images,
            config.seed,
            section.storable,
            section.perceptibility.rule(),
            config.run.device,
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Context:
    """Where units of work are made: on which data, into which folder, by whom.

    Attributes:
        folder: the study's, locked.
        data: the dataset.
        shared: the same, in the form that reaches all workers.
        units: runs them, and knows which are done.
        device: where networks are trained, attacked and evaluated.
    """

    folder: StudyFolder
    data: Dataset
    shared: SharedDataset
    units: UnitRunner
    device: torch.device

    def output(self, entry: Entry, path: Path) -> MadeFrom:
        """Return one of the files that a unit left, to be handed to another unit.

        Args:
            entry: of the unit that wrote it.
            path: of the file.
        """
        return MadeFrom(path, entry.outputs[self.folder.relative(path)])


@dataclasses.dataclass(frozen=True, eq=False)
class Study(Context):
    """A study that runs: what the stages work on, and what they go by.

    Attributes:
        config: as it was asked for; a stage reads its own section.
        architectures: of the versions, in their order.
        recipe: of the versions.
        network_recipes: of baseline and student.
        attacks: how versions are attacked, and baseline and student likewise.
        sources: what other versions are loaded from, by their names.
    """

    config: StudyConfig
    architectures: tuple[Architecture, ...]
    recipe: Recipe
    network_recipes: Mapping[Role, Recipe]
    attacks: AttackPlan
    sources: Mapping[str, Source] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(
        cls,
        config: StudyConfig,
        architectures: Sequence[Architecture],
        data: Dataset,
        shared: SharedDataset,
        units: UnitRunner,
        sources: Mapping[str, Source] = MappingProxyType({}),
    ) -> Self:
        """Return the study that a configuration asks for, in the folder of the units' runner.

        Raises:
            NVersionError: a recipe, an attack or the device is not there.
        """
        section = config.distillation
        return cls(
            folder=units.folder,
            data=data,
            shared=shared,
            units=units,
            device=resolve_device(config.run.device),
            config=config,
            architectures=tuple(architectures),
            recipe=load_recipe(config.versions.recipe),
            network_recipes=recipes(section.recipe or config.versions.recipe, section.objective),
            attacks=AttackPlan.of(config),
            sources=sources,
        )

    @property
    def seed(self) -> int:
        """What everything random comes from, with the name of what it is for."""
        return self.config.seed
