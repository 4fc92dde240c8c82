"""The sources of diversity: what may differ between versions, everything else being equal.

Every source makes the same number of versions from one basis, whose first architecture, recipe and
seed all versions share but for what the source varies. The first of most sources' versions is the
basis itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import torch

from nversion.architectures import Architecture
from nversion.datasets import Dataset, corrupt
from nversion.datasets.dataset import Split
from nversion.errors import InputError
from nversion.randomness import derive_seed, generator
from nversion.versions import Recipe, disjoint

__all__ = ["EVERYTHING", "SOURCES", "Basis", "Making", "Source", "basic"]

CORRUPTIONS = ("noise", "shift", "rotation", "blur", "contrast")
"""How training images are changed, at severity 1 first, and at each higher one after all five."""

RECIPES: tuple[Mapping[str, Any], ...] = (
    {},
    {"optimiser": "sgd", "learning_rate": 0.05, "weight_decay": 5e-4},
    {"optimiser": "adadelta", "learning_rate": 1.0, "weight_decay": 0.0, "schedule": "constant"},
    {"optimiser": "adamw", "learning_rate": 8e-3, "batch_size": 512},
    {"optimiser": "adamw", "learning_rate": 4e-3, "weight_decay": 0.3},
    {"optimiser": "adamw", "learning_rate": 1e-3, "schedule": "constant"},
    {"optimiser": "sgd", "learning_rate": 0.02, "weight_decay": 0.0, "schedule": "constant"},
    {"optimiser": "adamw", "learning_rate": 1e-3, "weight_decay": 0.1},
    {"optimiser": "adadelta", "learning_rate": 1.0, "weight_decay": 1e-4, "schedule": "one-cycle"},
    {"optimiser": "adamw", "learning_rate": 2e-3, "batch_size": 64},
)
"""What the versions of the source "recipe" change in the recipe of the basis."""

OBJECTIVES: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("", {}),
    ("label-smoothing", {}),
    ("mean-squared-error", {}),
    ("jacobian", {}),
    ("adversarial", {"norm": "inf", "radius": 0.1, "steps": 3}),
    ("relu-stability", {}),
    ("trades", {"norm": "inf", "radius": 0.1, "steps": 3}),
    ("adversarial", {"norm": "2", "radius": 1.0, "steps": 3}),
    ("temperature", {}),
    ("lipschitz-margin", {}),
)
"""What the versions of the source "objective" make small; "" is the basis's own."""


@dataclasses.dataclass(frozen=True)
class Basis:
    """What versions share where a source does not vary it.

    Attributes:
        architectures: of the source "architecture"; the first is everybody else's. Every source
            makes as many versions as there are architectures.
        recipe: of the training.
        seed: decides all that is drawn.
    """

    architectures: tuple[Architecture, ...]
    recipe: Recipe
    seed: int = 0

    def __post_init__(self) -> None:
        texts = {architecture.to_text() for architecture in self.architectures}
        if len(self.architectures) < 2 or len(texts) < len(self.architectures):
            raise InputError("name two architectures or more, all different: as many versions")

    @property
    def versions(self) -> int:
        """How many versions every source makes."""
        return len(self.architectures)


@dataclasses.dataclass(frozen=True)
class Making:
    """How one version is made.

    Attributes:
        architecture: what is trained.
        recipe: how.
        seed: of weights, order and dropout.
        images: "all" training images, a "bootstrap" sample of as many, or a "part" of them.
        place: which sample or part.
        of: how many parts there are.
        drawn: the seed of samples and parts, the same for all versions.
        corruption: how the training images are changed, and how severely; None: not at all.
    """

    architecture: Architecture
    recipe: Recipe
    seed: int
    images: str = "all"
    place: int = 0
    of: int = 1
    drawn: int = 0
    corruption: tuple[str, int] | None = None

    def data(self, data: Dataset) -> Dataset:
        """Return the dataset that the version learns from; the test images are the same."""
        if self.images == "part":
            data = disjoint(data, self.of, self.drawn)[self.place]
        elif self.images == "bootstrap":
            draws = generator(self.drawn, "bootstrap", self.place)
            rows = torch.randint(len(data.train), (len(data.train),), generator=draws)
            train = Split(data.train.images[rows], data.train.labels[rows])
            data = dataclasses.replace(data, train=train)
        if self.corruption is not None:
            images = corrupt(data.train.images, *self.corruption, seed=self.drawn)
            data = dataclasses.replace(data, train=Split(images, data.train.labels))
        return data

    def to_json(self) -> dict[str, Any]:
        """Return what it is, as JSON values."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {
            **values,
            "architecture": self.architecture.to_text(),
            "recipe": self.recipe.model_dump(mode="json"),
            "corruption": list(self.corruption) if self.corruption else None,
        }


def basic(basis: Basis) -> Making:
    """Return how the version is made that most sources begin with."""
    return Making(basis.architectures[0], basis.recipe, basis.seed, drawn=basis.seed)


def _seed(basis: Basis, making: Making, place: int) -> Making:
    seed = derive_seed(basis.seed, "version", place) if place else basis.seed
    return dataclasses.replace(making, seed=seed)


def _architecture(basis: Basis, making: Making, place: int) -> Making:
    return dataclasses.replace(making, architecture=basis.architectures[place])


def _bootstrap(basis: Basis, making: Making, place: int) -> Making:
    return dataclasses.replace(making, images="bootstrap", place=place)


def _disjoint(basis: Basis, making: Making, place: int) -> Making:
    # As many steps as on all images: the source is which images, not how long.
    longer = making.recipe.model_copy(update={"epochs": making.recipe.epochs * basis.versions})
    return dataclasses.replace(making, images="part", place=place, of=basis.versions, recipe=longer)


def _transformation(basis: Basis, making: Making, place: int) -> Making:
    if place == 0:
        return making
    severity, kind = divmod(place - 1, len(CORRUPTIONS))
    return dataclasses.replace(making, corruption=(CORRUPTIONS[kind], severity + 1))


def _recipe(basis: Basis, making: Making, place: int) -> Making:
    changes = {**RECIPES[place % len(RECIPES)]}
    changed = Recipe(**{**making.recipe.model_dump(), **changes})
    return dataclasses.replace(making, recipe=changed)


def _objective(basis: Basis, making: Making, place: int) -> Making:
    name, options = OBJECTIVES[place % len(OBJECTIVES)]
    if not name:
        return making
    return dataclasses.replace(making, recipe=making.recipe.with_objective(name, **options))


@dataclasses.dataclass(frozen=True)
class Source:
    """One thing that versions may differ in.

    Attributes:
        words: what differs.
        vary: returns a version's making, of the basis, a making and the version's place.
        most: versions that it can make all different; None for any number.
    """

    words: str
    vary: Callable[[Basis, Making, int], Making]
    most: int | None = None

    def makings(self, basis: Basis) -> list[Making]:
        """Return how its versions are made.

        Raises:
            InputError: it cannot make so many.
        """
        if self.most is not None and basis.versions > self.most:
            raise InputError(
                f"{self.words}: at most {self.most} versions can be made all different, not "
                f"{basis.versions}"
            )
        return [self.vary(basis, basic(basis), place) for place in range(basis.versions)]


EVERYTHING = "everything"


def _everything(basis: Basis, making: Making, place: int) -> Making:
    for vary in (_seed, _architecture, _bootstrap, _transformation, _recipe):
        making = vary(basis, making, place)
    return making


SOURCES: Mapping[str, Source] = {
    "seed": Source("initial weights, order of the images and dropout", _seed),
    "architecture": Source("the architecture", _architecture),
    "bootstrap": Source("the sample of the training images, drawn with replacement", _bootstrap),
    "disjoint": Source("the part of the training images, no image in two of them", _disjoint),
    "transformation": Source(
        "how the training images are changed", _transformation, 1 + 5 * len(CORRUPTIONS)
    ),
    "recipe": Source("optimiser, rate, decay and size of batches", _recipe, len(RECIPES)),
    "objective": Source("what the training makes small", _objective, len(OBJECTIVES)),
    EVERYTHING: Source(
        "seed, architecture, bootstrap, transformation and recipe at once",
        _everything,
        len(RECIPES),
    ),
}
"""By name."""
