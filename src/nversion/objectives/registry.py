"""Objectives by name: nversion's own, each imported when it is asked for, and those of plugins.

What a version was trained by is part of what it rests on. So the modules of objectives that it did
not use are not imported by the training, and a change in one of them remakes no other version.
"""

from __future__ import annotations

from typing import Any

from nversion.objectives.base import StepObjective
from nversion.registry import Registry

__all__ = [
    "OBJECTIVES",
    "create_objective",
    "describe_objectives",
    "objective_names",
    "register",
]

_HOME = "nversion.objectives"

OBJECTIVES: Registry[StepObjective] = Registry(
    "objective",
    "nversion.objectives",
    StepObjective,
    own={
        "cross-entropy": f"{_HOME}.soft_labels:CrossEntropy",
        "mean-squared-error": f"{_HOME}.soft_labels:MeanSquaredError",
        "temperature": f"{_HOME}.soft_labels:Temperature",
        "label-smoothing": f"{_HOME}.soft_labels:LabelSmoothing",
        "oracle": f"{_HOME}.teaching:AskTeacher",
        "ard": f"{_HOME}.teaching:RobustDistillation",
        "rslad": f"{_HOME}.teaching:RobustSoftLabels",
        "adversarial": f"{_HOME}.adversarial:Adversarial",
        "trades": f"{_HOME}.adversarial:Trades",
        "ddn": f"{_HOME}.adversarial:DecoupledDirection",
        "mma": f"{_HOME}.adversarial:MaxMargin",
        "lipschitz-margin": f"{_HOME}.lipschitz:LipschitzMargin",
        "lmt": f"{_HOME}.lipschitz:LipschitzMarginTraining",
        "interval": f"{_HOME}.intervals:Interval",
        "crown-ibp": f"{_HOME}.crown:CrownInterval",
        "mtl-ibp": f"{_HOME}.intervals:ExpressiveInterval",
        "relu-stability": f"{_HOME}.penalties:ReluStability",
        "jacobian": f"{_HOME}.penalties:JacobianPenalty",
    },
)

create_objective = OBJECTIVES.create
objective_names = OBJECTIVES.names
register = OBJECTIVES.register


def describe_objectives() -> list[dict[str, Any]]:
    """Return each objective's name, its options with their defaults, and what a step costs."""
    described = []
    for name in objective_names():
        maker = OBJECTIVES.maker(name)
        described.append(
            {
                "name": name,
                "options": OBJECTIVES.options(name),
                "passes": getattr(maker, "passes", ""),
                "summary": (maker.__doc__ or "").partition("\n")[0],
            }
        )
    return described
