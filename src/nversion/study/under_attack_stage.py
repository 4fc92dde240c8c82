"""The versions' accuracy under attack at the usual radii, from the attack runs that are there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nversion.study.engine import Engine
from nversion.study.folder import StudyFolder
from nversion.study.ledger import Unit
from nversion.study.sections import Section, UnderAttackRow
from nversion.study.units.measuring import measure_accuracy_under_attack

__all__ = ["measure_under_attack"]


class UnderAttack(Section):
    """What the unit wrote: its rows."""

    rows: list[UnderAttackRow]


def measure_under_attack(
    folder: StudyFolder, runs: Mapping[Path, str], seed: int, engine: Engine
) -> list[UnderAttackRow]:
    """Return the key "under_attack" of the results.

    Its rows are those of :func:`nversion.evaluation.under_attack.under_attack`.

    Args:
        folder: of the study.
        runs: the attack runs' files with their digests, of all attacks on all versions.
        seed: the study's.
        engine: runs the unit.

    Raises:
        NVersionError: a run cannot be read.
    """
    unit = Unit(
        name="evaluation/under-attack",
        function=measure_accuracy_under_attack,
        arguments={"runs": list(runs), "seed": seed, "path": folder.under_attack},
        inputs={"runs": list(runs.values()), "seed": seed},
        outputs=(folder.relative(folder.under_attack),),
    )
    engine.require("measuring accuracy under attack", [unit])
    return UnderAttack.read(folder.under_attack).rows
