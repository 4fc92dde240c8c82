"""Which arms are held against which, and what the difference of two arms stands for.

Two arms that differ in one thing alone say what that thing adds: in the objective (the control
against the baseline), in the teacher (the vote against the control), in the softness of labels
(label smoothing against the baseline), in how many versions teach (the vote against one).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

from nversion.replication.arms import BASELINE, CONTROL, ONE, SMOOTHED, VOTE

__all__ = ["ADDED", "MEANINGS", "Sides", "questions"]

Sides: TypeAlias = tuple[str, str]
"""Two arms, of which the first is held against the second."""

ADDED: Mapping[Sides, str] = MappingProxyType(
    {
        (VOTE, CONTROL): "the teacher",
        (CONTROL, BASELINE): "the objective",
        (SMOOTHED, BASELINE): "only soft labels",
        (VOTE, ONE): "a vote beside one version",
    }
)
"""Arms that differ in one thing, and what that is."""

MEANINGS: Mapping[Sides, str] = MappingProxyType(
    {
        (VOTE, BASELINE): "Student and baseline",
        (VOTE, CONTROL): "What the teacher adds",
        (CONTROL, BASELINE): "What the objective adds",
        (SMOOTHED, BASELINE): "What only soft labels add",
        (VOTE, ONE): "What a vote adds beside one version",
        (ONE, CONTROL): "What one version adds as the teacher",
    }
)
"""What is asked of two arms, where there are words for it."""


def questions(arms: Sequence[str]) -> list[Sides]:
    """Return which arms are held against which: all against the baseline, students and controls.

    Args:
        arms: names of those there are.
    """
    asked = [*MEANINGS, (VOTE, SMOOTHED), *((arm, BASELINE) for arm in arms if arm != BASELINE)]
    return [sides for sides in dict.fromkeys(asked) if set(sides) <= set(arms)]
