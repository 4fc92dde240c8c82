"""Recipes: how a version is trained, as data.

Three recipes come with the package: ``study`` repeats the 2019 study (Adadelta, Zeiler 2012, with
the defaults of Keras 2.2), ``fast`` gets to the same accuracy in a quarter of the epochs (AdamW,
Loshchilov & Hutter 2019, on a one-cycle schedule, Smith & Topin 2018), ``small`` is ``fast`` for
datasets of a few thousand images. A user's own recipe is a TOML file with the same keys.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from nversion.errors import ConfigError
from nversion.naming import did_you_mean
from nversion.reading import describe_validation_error, parse_toml, read_toml
from nversion.versions.objectives import create_objective

__all__ = ["Recipe", "load_recipe", "recipe_names"]


class Recipe(BaseModel):
    """How a version is trained.

    Attributes:
        name: the name it was asked for by.
        optimiser: "adadelta", "adamw" or "sgd" (with Nesterov momentum).
        learning_rate: the constant rate, or the peak of the one-cycle schedule.
        schedule: "constant" or "one-cycle" (up for the first 30 % of the steps, then down).
        epochs: passes over the training images.
        batch_size: images a step.
        objective: what is minimised: "cross-entropy", "mean-squared-error", or a plugin's (see
            :mod:`nversion.versions.objectives`).
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


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with the package."""
    folder = resources.files(__package__) / "recipes"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir())


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
