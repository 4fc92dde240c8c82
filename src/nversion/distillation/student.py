"""Student and baseline: two networks of one architecture that differ in their labels alone.

The student learns from the teacher's soft labels, the baseline from the true ones. Both start from
the same weights and see the images in the same order, so that what tells them apart is what they
were taught. The 2019 study took the mean squared error between the teacher's labels and the
student's softmax outputs for the student's objective; cross-entropy (Hinton, Vinyals and Dean,
2015, at temperature 1) can be had instead.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal

from torch import Tensor

from nversion.architectures import Architecture, student_architecture
from nversion.arguments import typed
from nversion.datasets import Dataset
from nversion.distillation.teacher import teacher_labels
from nversion.modes import ordinary
from nversion.program import Program
from nversion.randomness import derive_seed
from nversion.versions import Precision, Recipe, Version, load_recipe, train

__all__ = ["ROLES", "Distilled", "Role", "distil", "recipes", "role_seed"]

Role = Literal["baseline", "student"]

ROLES: tuple[Role, ...] = ("baseline", "student")


@dataclasses.dataclass(frozen=True)
class Distilled:
    """What distillation gives.

    Attributes:
        student: learnt from the teacher's labels.
        baseline: its twin, learnt from the true labels.
        labels: the teacher's labels of the training images, float32 [count, classes].
    """

    student: Version
    baseline: Version
    labels: Tensor


def recipes(recipe: str | Recipe, objective: str) -> dict[Role, Recipe]:
    """Return each role's recipe: the same but for the student's objective.

    Raises:
        ConfigError: there is no such recipe.
        InputError: there is no such objective.
    """
    base = load_recipe(recipe)
    return {"baseline": base, "student": base.with_objective(objective)}


def role_seed(seed: int) -> int:
    """Return the training seed of both roles for a study's seed."""
    return derive_seed(seed, "distillation")


@typed
@ordinary()
def distil(
    program: Program,
    data: Dataset,
    architecture: Architecture | None = None,
    recipe: str | Recipe = "study",
    objective: str = "mean-squared-error",
    seed: int = 0,
    *,
    precision: Precision = "auto",
    advance: Callable[[], None] = lambda: None,
) -> Distilled:
    """Teach a student what a program says of the training images, and train its baseline.

    The same versions, data, recipe and seed as in a study give the study's two networks, bit for
    bit on one machine.

    Args:
        program: the teacher.
        data: the dataset whose train split both learn on.
        architecture: of both; by default the 2019 study's student.
        recipe: how both are trained.
        objective: what the student minimises between the teacher's labels and its outputs, by
            name (``nversion.versions.objective_names()``).
        seed: decides weights, order and dropout of both.
        precision: of the arithmetic of training (see :func:`nversion.train`).
        advance: called after each epoch of either.

    Raises:
        TrainingError: one of them did not learn.
        ArchitectureError: the architecture does not fit the images.
        ConfigError: the recipe is wrong.
        InputError: the program does not fit the data, or there is no such objective.
    """
    chosen = architecture or student_architecture()
    chosen.check(data.shape, data.classes)
    by_role = recipes(recipe, objective)
    labels = teacher_labels(program, data.train.images)

    def ask(images: Tensor) -> Tensor:
        return program.vote(images).probabilities

    trained = {
        role: train(
            chosen,
            data,
            by_role[role],
            role_seed(seed),
            name=role,
            targets=labels if role == "student" else None,
            teacher=ask if role == "student" else None,
            precision=precision,
            advance=advance,
        )
        for role in ROLES
    }
    return Distilled(trained["student"], trained["baseline"], labels)
