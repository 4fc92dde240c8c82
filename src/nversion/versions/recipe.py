"""Recipes: how a version is trained, as data.

Three recipes come with the package: ``study`` repeats the 2019 study (Adadelta, Zeiler 2012, with
the defaults of Keras 2.2), ``fast`` gets to the same accuracy in a quarter of the epochs (AdamW,
Loshchilov & Hutter 2019, on a one-cycle schedule, Smith & Topin 2018), ``small`` is ``fast`` for
datasets of a few thousand images. A user's own recipe is a TOML file with the same keys.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from nversion.arguments import typed
from nversion.errors import ConfigError
from nversion.naming import did_you_mean
from nversion.objectives import Mixture, StepObjective, Term, create_objective
from nversion.reading import describe_validation_error, parse_toml, read_toml

__all__ = ["MixedObjective", "Recipe", "load_recipe", "recipe_names"]


class MixedObjective(BaseModel):
    """One objective of several that a recipe mixes.

    Attributes:
        objective: its name.
        options: its options.
        weight: its weight, or its weights at the beginning and at the end of the ramp.
        ramp: share of the training over which the weight changes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)

    objective: str
    options: dict[str, Any] = Field(default_factory=dict)
    weight: float | tuple[float, float] = 1.0
    ramp: float = Field(default=1.0, ge=0, le=1)

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        create_objective(self.objective, **self.options)
        return self

    def term(self) -> Term:
        """Return the objective with its weights."""
        both = self.weight if isinstance(self.weight, tuple) else (self.weight, self.weight)
        return Term(create_objective(self.objective, **self.options), *both, self.ramp)


class Recipe(BaseModel):
    """How a version is trained.

    Attributes:
        name: the name it was asked for by.
        optimiser: "adadelta", "adamw" or "sgd" (with Nesterov momentum).
        learning_rate: the constant rate, or the peak of the one-cycle schedule.
        schedule: "constant" or "one-cycle" (up for the first 30 % of the steps, then down).
        epochs: passes over the training images.
        batch_size: images a step.
        objective: what is minimised, by name (see :mod:`nversion.objectives`).
        objective_options: its options, as ``radius`` and ``norm`` of an adversarial one.
        mix: several objectives with weights, in place of `objective`.
        rho: Adadelta's decay of the running averages.
        epsilon: the optimiser's constant for numerical stability.
        weight_decay: decoupled for AdamW, L2 for SGD; not used by Adadelta.
        momentum: SGD's.
        max_steps: stop after so many steps, for trials; None: all epochs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)

    name: str = "custom"
    optimiser: Literal["adadelta", "adamw", "sgd"]
    learning_rate: float = Field(gt=0, allow_inf_nan=False)
    schedule: Literal["constant", "one-cycle"] = "constant"
    epochs: int = Field(ge=1, le=100_000)
    batch_size: int = Field(ge=1)
    objective: str = "cross-entropy"
    objective_options: dict[str, Any] = Field(default_factory=dict)
    mix: tuple[MixedObjective, ...] = ()
    rho: float = Field(default=0.95, gt=0, lt=1)
    epsilon: float = Field(default=1e-8, gt=0, allow_inf_nan=False)
    weight_decay: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    max_steps: int | None = Field(default=None, ge=1)

    @field_validator("objective")
    @classmethod
    def _known_objective(cls, value: str) -> str:
        create_objective(value)
        return value

    @model_validator(mode="after")
    def _known_options(self) -> Self:
        self.make_objective()
        if self.mix and self.objective_options:
            raise ValueError("objective_options: with mix, options stand beside each objective")
        return self

    def make_objective(self) -> StepObjective:
        """Return what is minimised.

        Raises:
            InputError: there is no such objective, or it has no such options.
        """
        if self.mix:
            return Mixture(tuple(part.term() for part in self.mix))
        return create_objective(self.objective, **self.objective_options)

    def objectives(self) -> tuple[StepObjective, ...]:
        """Return every objective that training by this recipe computes."""
        made = self.make_objective()
        return tuple(term.objective for term in made.terms) if self.mix else (made,)  # type: ignore[attr-defined]

    def with_objective(self, objective: str, **options: Any) -> Recipe:
        """Return the same recipe with another objective.

        Raises:
            InputError: there is no such objective, or it has no such options.
        """
        create_objective(objective, **options)
        changes = {"objective": objective, "objective_options": options, "mix": ()}
        return self.model_copy(update=changes)


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with the package."""
    folder = resources.files(__package__) / "recipes"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir())


@typed
def load_recipe(recipe: str | Path | Recipe) -> Recipe:
    """Return the recipe of that name, or read it from a TOML file; a Recipe is given back as is.

    Raises:
        ConfigError: there is no such recipe or file, or a key or value in it is wrong.
    """
    if isinstance(recipe, Recipe):
        return recipe
    if str(recipe) in recipe_names():
        source = f"recipe {recipe}"
        text = (resources.files(__package__) / "recipes" / f"{recipe}.toml").read_text("utf-8")
        values = parse_toml(text, source, ConfigError)
    else:
        path = Path(recipe)
        source = str(path)
        if not path.is_file():
            raise ConfigError(
                f"no recipe is called {str(recipe)!r} and no file has that name"
                f"{did_you_mean(recipe, recipe_names())}; "
                f"recipes: {', '.join(recipe_names())}; or name a .toml file"
            )
        values = read_toml(path, ConfigError)
    try:
        return Recipe(**{"name": Path(recipe).stem, **values})
    except ValidationError as error:
        raise ConfigError(describe_validation_error(source, error, Recipe)) from error
