"""The engine begins the dearest unit first, and hands the units back in their own order."""

from __future__ import annotations

from pathlib import Path

from nversion.study.engine import Engine
from nversion.study.folder import StudyFolder
from nversion.study.ledger import Unit
from nversion.workers import open_pool


def _note(place: Path, log: Path, name: str) -> None:
    place.write_text(name)
    with log.open("a") as file:
        file.write(name)


def test_the_dearest_unit_is_begun_first(tmp_path: Path) -> None:
    log = tmp_path / "log"
    units = [
        Unit(
            name,
            _note,
            {"place": tmp_path / name, "log": log, "name": name},
            {"name": name},
            (name,),
            cost,
        )
        for name, cost in (("a", 1.0), ("b", 3.0), ("c", 2.0), ("d", 3.0))
    ]
    with open_pool(1) as pool:
        engine = Engine(StudyFolder(tmp_path), pool, lambda line: None)
        entries = engine.run("noting", units)
    assert log.read_text() == "bdca"
    assert list(entries) == ["a", "b", "c", "d"]
