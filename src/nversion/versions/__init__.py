"""Versions: train one or many, save and load them."""

from nversion.objectives import Objective, create_objective, objective_names
from nversion.versions.many import Outcome, train_each, train_many
from nversion.versions.recipe import Recipe, load_recipe, recipe_names
from nversion.versions.together import disjoint, train_together
from nversion.versions.training import Precision, resolve_precision, train
from nversion.versions.version import Origin, Record, Version

__all__ = [
    "Objective",
    "Origin",
    "Outcome",
    "Precision",
    "Recipe",
    "Record",
    "Version",
    "create_objective",
    "disjoint",
    "load_recipe",
    "objective_names",
    "recipe_names",
    "resolve_precision",
    "train",
    "train_each",
    "train_many",
    "train_together",
]
