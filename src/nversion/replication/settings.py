"""What a replication does: settings that decide its numbers, and the folder that it fills."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nversion.architectures import Architecture
from nversion.errors import InputError
from nversion.files import digest_of
from nversion.randomness import derive_seed
from nversion.replication.arms import BASELINE, Arm
from nversion.versions import Precision, Recipe

__all__ = ["DEFAULT_ATTACKS", "ReplicationFolder", "Settings"]

DEFAULT_ATTACKS = ("gradient", "gradient-sign", "deepfool", "carlini-wagner", "random-pgd")


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is trained and what is measured.

    Attributes:
        arms: the ways to train; the baseline is always among them.
        repeats: how many pairs (one network of each arm).
        architecture: of every network.
        recipe: of every network, but for the objective.
        seed: decides everything that is drawn.
        voter: of the teacher, by name.
        radius_images: test images that are certified.
        attack_images: test images that are attacked.
        attacks: names of the attacks that make up the adversarial frequency.
        box_images: how many of these are certified for valid images too, which costs more.
        precision: of training.
    """

    arms: tuple[Arm, ...]
    repeats: int
    architecture: Architecture
    recipe: Recipe
    seed: int = 0
    voter: str = "mean-softmax"
    radius_images: int = 50
    attack_images: int = 50
    attacks: tuple[str, ...] = DEFAULT_ATTACKS
    box_images: int = 50
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        names = [arm.name for arm in self.arms]
        if BASELINE not in names:
            raise InputError(f"the arm {BASELINE}, which others are held against, is missing")
        if len(set(names)) < len(names):
            raise InputError(f"an arm is named twice: {', '.join(names)}")
        if self.repeats < 1:
            raise InputError(f"repeats must be at least 1, not {self.repeats}")
        if min(self.radius_images, self.box_images, self.attack_images) < 0:
            raise InputError("the numbers of images must be 0 or more")

    def digest(self, arm: Arm, material: Sequence[str]) -> str:
        """Return what a network's numbers depend on, but for its repeat, as one digest.

        Args:
            arm: how it is trained.
            material: digests of the data, the versions and the adversarial set.
        """
        facts = {
            **self.to_json(),
            "arms": [],
            "repeats": 0,
            "arm": arm.to_json(),
            "material": list(material),
        }
        return digest_of(facts)

    def pair_seed(self, repeat: int) -> int:
        """Return the training seed of all networks of one pair: weights, order and dropout."""
        return derive_seed(self.seed, "replication", repeat)

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return {
            "arms": [arm.to_json() for arm in self.arms],
            "repeats": self.repeats,
            "architecture": self.architecture.to_text(),
            "recipe": self.recipe.model_dump(mode="json"),
            "seed": self.seed,
            "voter": self.voter,
            "radius_images": self.radius_images,
            "attack_images": self.attack_images,
            "attacks": list(self.attacks),
            "box_images": self.box_images,
            "precision": self.precision,
        }


@dataclasses.dataclass(frozen=True)
class ReplicationFolder:
    """Where a replication's files are.

    Attributes:
        root: the folder.
    """

    root: Path

    @property
    def summary(self) -> Path:
        """What came of it: every number that is shown."""
        return self.root / "replication.json"

    @property
    def costs(self) -> Path:
        """What it takes to ask program, student, baseline and best version, as measured here."""
        return self.root / "costs.json"

    @property
    def figure(self) -> Path:
        """The figure in which each pair can be seen; its data lie beside it, as CSV."""
        return self.root / "pairs.svg"

    def outputs(self, version: str) -> Path:
        """A version's softmax outputs on the training images."""
        return self.root / "outputs" / f"{version}.safetensors"

    def network(self, arm: str, repeat: int) -> Path:
        """What was measured on one network."""
        return self.root / "networks" / arm / f"{repeat:03d}.json"
