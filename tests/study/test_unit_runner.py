"""The dearest unit is begun first, and the units are handed back in their own order."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nversion.study.folder import StudyFolder
from nversion.study.ledger import Ledger
from nversion.study.unit_runner import UnitRunner
from nversion.study.units.base import Unit
from nversion.workers import open_pool


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Note(Unit):
    place: Path
    log: Path

    def run(self) -> None:
        self.place.write_text(self.name)
        with self.log.open("a") as file:
            file.write(self.name)

    def inputs(self) -> Mapping[str, Any]:
        return {}

    def outputs(self) -> tuple[Path, ...]:
        return (self.place,)


def test_the_dearest_unit_is_begun_first(tmp_path: Path) -> None:
    log = tmp_path / "log"
    units = [
        Note(name=name, cost=cost, place=tmp_path / name, log=log)
        for name, cost in (("a", 1.0), ("b", 3.0), ("c", 2.0), ("d", 3.0))
    ]
    with open_pool(1) as pool:
        entries = UnitRunner(StudyFolder(tmp_path), pool, lambda line: None).run("noting", units)
    assert log.read_text() == "bdca"
    assert list(entries) == ["a", "b", "c", "d"]


def test_the_journal_knows_the_stage_of_a_unit(tmp_path: Path) -> None:
    units = [Note(name="a", place=tmp_path / "a", log=tmp_path / "log")]
    with open_pool(1) as pool:
        runner = UnitRunner(StudyFolder(tmp_path), pool, lambda line: None)
        with runner.stage("notes"):
            runner.run("noting", units)
    assert Ledger(tmp_path).entries()["a"].stage == "notes"
