from __future__ import annotations

import contextlib
import dataclasses
import resource
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nversion.attacks import Attack, create
from nversion.errors import DiskFullError
from nversion.files import write_text
from nversion.study.folder import StudyFolder
from nversion.study.ledger import Entry, Ledger, _line
from nversion.study.unit_runner import UnitRunner
from nversion.study.units.base import Unit
from nversion.workers import open_pool


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Write(Unit):
    """Write a text."""

    path: Path
    text: str

    def run(self) -> None:
        write_text(self.path, self.text)

    def inputs(self) -> Mapping[str, Any]:
        return {"text": self.text}

    def outputs(self) -> tuple[Path, ...]:
        return (self.path,)


class Break(Write):
    """Fail."""

    def run(self) -> None:
        raise RuntimeError(f"no {self.text} for {self.path.name}")


class Fill(Write):
    """Write a text where there is no room for it."""

    def run(self) -> None:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2, before[1]))
        try:
            super().run()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class WriteByAttack(Write):
    """Write a text with the help of attacks."""

    attacks: tuple[Attack, ...]

    def uses(self) -> tuple[object, ...]:
        return self.attacks


def unit(
    folder: Path, name: str = "part/one", text: str = "hello", kind: type[Write] = Write
) -> Write:
    return kind(name=name, path=folder / name / "out.txt", text=text)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def runner(tmp_path: Path, said: list[str]) -> UnitRunner:
    return UnitRunner(StudyFolder(tmp_path), open_pool(1), said.append)


def test_a_unit_is_made_once(tmp_path: Path, runner: UnitRunner, said: list[str]) -> None:
    runner.run("writing", [unit(tmp_path)])
    (tmp_path / "part/one/out.txt").touch()
    entries = runner.run("writing", [unit(tmp_path)])
    assert list(entries) == ["part/one"]
    assert said == ["writing: 1 to do", "writing: 1 kept"]


def test_other_inputs_make_it_again(tmp_path: Path, runner: UnitRunner) -> None:
    runner.run("writing", [unit(tmp_path)])
    runner.run("writing", [unit(tmp_path, text="bye")])
    assert (tmp_path / "part/one/out.txt").read_text() == "bye"


def test_other_inputs_are_told(tmp_path: Path, runner: UnitRunner, said: list[str]) -> None:
    runner.run("writing", [unit(tmp_path)])
    runner.run("writing", [unit(tmp_path, text="bye"), unit(tmp_path, "part/two")])
    assert said[-1] == "writing: 2 to do (1 from other settings, data or code)"


@pytest.mark.parametrize(
    ("damage", "reason"), [("flip", "does not match its checksum"), ("remove", "is missing")]
)
def test_a_damaged_output_is_made_again_and_said_so(
    tmp_path: Path, runner: UnitRunner, said: list[str], damage: str, reason: str
) -> None:
    runner.run("writing", [unit(tmp_path)])
    path = tmp_path / "part/one/out.txt"
    path.write_text("hellp") if damage == "flip" else path.unlink()
    runner.run("writing", [unit(tmp_path)])
    assert path.read_text() == "hello"
    assert said[1] == f"part/one/out.txt {reason}: part/one is made again"


def test_what_a_killed_writer_left_is_removed(tmp_path: Path, runner: UnitRunner) -> None:
    left = tmp_path / "part/one/.out.txt.abc.tmp"
    left.parent.mkdir(parents=True)
    left.write_text("hal")
    runner.run("writing", [unit(tmp_path)])
    assert [path.name for path in left.parent.iterdir()] == ["out.txt"]


def test_a_full_disk_ends_the_study_and_keeps_what_is_done(
    tmp_path: Path, runner: UnitRunner
) -> None:
    full = unit(tmp_path, "part/two", kind=Fill)
    with pytest.raises(DiskFullError, match=r"part/two/out.txt: no room to write it.*again"):
        runner.run("writing", [unit(tmp_path), full, unit(tmp_path, "part/three")])
    assert not (tmp_path / "part/two/out.txt").exists()
    again = UnitRunner(StudyFolder(tmp_path), open_pool(1), lambda line: None)
    assert again.run("writing", [unit(tmp_path)])


def test_a_failing_unit_is_noted_and_tried_again(
    tmp_path: Path, runner: UnitRunner, said: list[str]
) -> None:
    bad = unit(tmp_path, "part/two", kind=Break)
    entries = runner.run("writing", [bad, unit(tmp_path)])
    assert list(entries) == ["part/one"]
    assert runner.failures == [("part/two", "RuntimeError: no hello for out.txt")]
    assert "RuntimeError" in (tmp_path / ".units/errors/part/two.txt").read_text()
    assert "part/two failed" in said[-1]
    again = UnitRunner(StudyFolder(tmp_path), open_pool(1), said.append)
    assert list(again.run("writing", [unit(tmp_path, "part/two")])) == ["part/two"]
    assert again.failures == []


def test_an_entry_is_only_good_for_its_unit(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    first = unit(tmp_path)
    assert ledger.check(first).state == "new"
    first.run()
    ledger.record(first, 1.0)
    assert ledger.check(first).state == "done"
    assert ledger.check(dataclasses.replace(first, text="other")).state == "changed"


def _recorded(folder: Path, names: str) -> list[Write]:
    ledger, units = Ledger(folder), [unit(folder, f"part/{name}") for name in names]
    for one in units:
        one.run()
        ledger.record(one, 1.0)
    return units


@given(cut=st.integers(0, 2000))
@settings(max_examples=30, deadline=None)
def test_a_journal_cut_off_anywhere_keeps_the_lines_before(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    units = _recorded(folder, "abc")
    journal = folder / ".units/journal.jsonl"
    content = journal.read_bytes()
    journal.write_bytes(content[:cut])
    whole = content[:cut].count(b"\n")
    ledger = Ledger(folder)
    assert [ledger.check(one).state for one in units] == ["done"] * whole + ["new"] * (3 - whole)
    ledger.record(units[2], 1.0)
    assert Ledger(folder).check(units[2]).state == "done"


def test_a_damaged_line_costs_its_own_unit(tmp_path: Path, said: list[str]) -> None:
    units = _recorded(tmp_path, "abc")
    journal = tmp_path / ".units/journal.jsonl"
    journal.write_text(journal.read_text().replace("part/b/out", "part/b/oat"))
    ledger = Ledger(tmp_path)
    assert [ledger.check(one).state for one in units] == ["done", "new", "done"]
    assert ledger.damaged == 1
    assert Ledger(tmp_path).damaged == 0


@pytest.mark.parametrize("outputs", [{}, {"../outside": "0" * 64}])
def test_the_journal_does_not_say_which_files_a_unit_has(
    tmp_path: Path, outputs: dict[str, str]
) -> None:
    (unit,) = _recorded(tmp_path, "a")
    entry = Entry(Ledger(tmp_path).digest(unit), outputs, 1.0, None)
    (tmp_path / ".units/journal.jsonl").write_text(_line(unit.name, entry))
    assert Ledger(tmp_path).check(unit).state == "damaged"


@pytest.mark.parametrize("line", ["[" * 100_000, "9" * 5_000, "{}", '{"check": 1}', "null"])
def test_a_line_that_could_do_harm_is_a_damaged_one(tmp_path: Path, line: str) -> None:
    units = _recorded(tmp_path, "ab")
    with (tmp_path / ".units/journal.jsonl").open("a") as journal:
        journal.write(f"{line}\n")
    ledger = Ledger(tmp_path)
    assert ledger.damaged == 1
    assert all(ledger.check(unit).state == "done" for unit in units)


def test_a_journal_of_lines_that_no_longer_hold_is_written_anew(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    one = unit(tmp_path)
    one.run()
    for _ in range(110):
        ledger.record(one, 1.0)
    assert Ledger(tmp_path).check(one).state == "done"
    assert (tmp_path / ".units/journal.jsonl").read_text().count("\n") == 1


def test_a_line_for_which_there_is_no_room_leaves_no_part_of_itself(tmp_path: Path) -> None:
    units = _recorded(tmp_path, "ab")
    size = (tmp_path / ".units/journal.jsonl").stat().st_size
    ledger = Ledger(tmp_path)
    with _file_size_limit(size + 20), pytest.raises(DiskFullError, match="no room"):
        ledger.record(units[1], 2.0)
    assert (tmp_path / ".units/journal.jsonl").stat().st_size == size
    ledger.record(units[1], 2.0)
    assert Ledger(tmp_path).check(units[1]).state == "done"


@contextlib.contextmanager
def _file_size_limit(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_unit_rests_on_the_code_of_what_it_uses(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    path = tmp_path / "out"
    used = {
        ledger.digest(WriteByAttack(name="a", path=path, text="", attacks=attacks))
        for attacks in ((), (create("gradient"),), (create("adef"),))
    }
    assert len(used) == 3
    assert len({ledger.digest(unit(tmp_path, kind=kind)) for kind in (Write, Break)}) == 2
