"""The arms of a replication: from whom a network learns, and what it minimises.

Every arm has the same architecture, recipe and, within a pair, seed; what tells two arms apart is
the targets and the objective alone. The controls belong to the question:

- ``squared-error`` minimises what the students minimise, the mean squared error of the softmax
  outputs, but to the true labels (Brier, "Verification of forecasts expressed in terms of
  probability", 1950). The vote's student against it is the teacher alone, and it against the
  baseline, which minimises the cross-entropy, is the objective alone.
- ``label-smoothing`` has soft labels that know nothing of the image.
- ``one-teacher`` has those of a single version.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

from nversion.errors import InputError
from nversion.naming import did_you_mean
from nversion.objectives import create_objective, objective_names

__all__ = [
    "ARMS",
    "BASELINE",
    "CONTROL",
    "DEFAULT_ARMS",
    "ONE",
    "SMOOTHED",
    "VOTE",
    "Arm",
    "Source",
    "find_arm",
]

Source = Literal["labels", "one", "vote"]
"""Where the targets come from: the dataset, one of the versions, or the vote of those drawn."""


@dataclasses.dataclass(frozen=True)
class Arm:
    """One way to train a network.

    Attributes:
        name: of the arm.
        source: of its targets.
        objective: what it minimises, by name.
        options: of the objective.
    """

    name: str
    source: Source
    objective: str
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the arm as JSON values."""
        return {**dataclasses.asdict(self), "options": dict(self.options)}


BASELINE = "labels"
"""The arm that the others are held against: the true labels, by cross-entropy."""

CONTROL = "squared-error"
"""The arm with the students' objective and the baseline's labels."""

SMOOTHED, ONE, VOTE = "label-smoothing", "one-teacher", "vote"

ARMS: Mapping[str, Arm] = MappingProxyType(
    {
        arm.name: arm
        for arm in (
            Arm(BASELINE, "labels", "cross-entropy"),
            Arm(SMOOTHED, "labels", "label-smoothing"),
            Arm(CONTROL, "labels", "mean-squared-error"),
            Arm(ONE, "one", "mean-squared-error"),
            Arm(VOTE, "vote", "mean-squared-error"),
            Arm("vote-temperature", "vote", "temperature"),
        )
    }
)
"""The arms with a name of their own; ``vote`` is the student of the 2019 study."""

DEFAULT_ARMS = (SMOOTHED, CONTROL, ONE, VOTE)
"""The arms beside the baseline that are trained unless others are named."""

_TAUGHT = ("mean-squared-error", "temperature", "ard", "rslad", "oracle")
"""Objectives that learn from the vote; every other one learns from the labels."""


def find_arm(name: str) -> Arm:
    """Return the arm called `name`: one of :data:`ARMS`, or an objective's name.

    An objective that is made for a teacher learns from the vote, another from the true labels.

    Raises:
        InputError: there is neither.
    """
    if name in ARMS:
        return ARMS[name]
    known = [*ARMS, *objective_names()]
    if name not in known:
        raise InputError(
            f"no arm is called {name!r}{did_you_mean(name, known)}; arms: {', '.join(ARMS)}; or "
            f"an objective: {', '.join(objective_names())}"
        )
    create_objective(name)
    return Arm(name, "vote" if name in _TAUGHT else "labels", name)
