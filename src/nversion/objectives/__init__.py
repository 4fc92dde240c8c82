"""Objectives: what training makes small, for versions and students alike.

A new one is a class in a file of its own here, entered in :mod:`nversion.objectives.registry`, or
an entry point of the group ``nversion.objectives`` in a package of its own.
"""

from nversion.objectives.base import Batch, Objective, StepObjective
from nversion.objectives.mixture import Mixture, Term
from nversion.objectives.registry import create_objective, describe_objectives, objective_names

__all__ = [
    "Batch",
    "Mixture",
    "Objective",
    "StepObjective",
    "Term",
    "create_objective",
    "describe_objectives",
    "objective_names",
]
