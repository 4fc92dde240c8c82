"""Measure the versions' accuracy under attack at the usual radii, from the runs that are there."""

from __future__ import annotations

from nversion.study.context import Study
from nversion.study.sections import Section, UnderAttackRow
from nversion.study.units.base import MadeFrom
from nversion.study.units.measuring import MeasureUnderAttack

__all__ = ["measure_under_attack"]


class UnderAttack(Section):
    """What the unit wrote: its rows."""

    rows: list[UnderAttackRow]


def measure_under_attack(study: Study, runs: tuple[MadeFrom, ...]) -> list[UnderAttackRow]:
    """Return the key "under_attack" of the results.

    Its rows are those of :func:`nversion.evaluation.under_attack.under_attack`.

    Args:
        study: that runs.
        runs: of all attacks on all versions.

    Raises:
        NVersionError: a run cannot be read.
    """
    unit = MeasureUnderAttack(
        name="evaluation/under-attack",
        runs=runs,
        seed=study.seed,
        path=study.folder.under_attack,
    )
    study.units.require("measuring accuracy under attack", [unit])
    return UnderAttack.read(unit.path).rows
