from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from nversion.files import write_text
from nversion.study.engine import Engine
from nversion.study.folder import StudyFolder
from nversion.study.ledger import Ledger, Unit, _meaning, code_digest


def _write(path: Path, text: str) -> None:
    write_text(path, text)


def _raise(path: Path, text: str) -> None:
    raise RuntimeError(f"no {text} for {path.name}")


def unit(folder: Path, name: str = "part/one", text: str = "hello") -> Unit:
    path = folder / name / "out.txt"
    return Unit(
        name=name,
        function=_write,
        arguments={"path": path, "text": text},
        inputs={"text": text},
        outputs=(path.relative_to(folder).as_posix(),),
    )


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def engine(tmp_path: Path, said: list[str]) -> Engine:
    return Engine(StudyFolder(tmp_path), 1, said.append)


def test_a_unit_is_made_once(tmp_path: Path, engine: Engine, said: list[str]) -> None:
    engine.run("writing", [unit(tmp_path)])
    (tmp_path / "part/one/out.txt").touch()
    entries = engine.run("writing", [unit(tmp_path)])
    assert list(entries) == ["part/one"]
    assert said == ["writing: 1 to do"]


def test_other_inputs_make_it_again(tmp_path: Path, engine: Engine) -> None:
    engine.run("writing", [unit(tmp_path)])
    engine.run("writing", [unit(tmp_path, text="bye")])
    assert (tmp_path / "part/one/out.txt").read_text() == "bye"


@pytest.mark.parametrize("damage", ["flip", "remove", "record"])
def test_a_damaged_output_is_made_again(tmp_path: Path, engine: Engine, damage: str) -> None:
    engine.run("writing", [unit(tmp_path)])
    path = tmp_path / "part/one/out.txt"
    if damage == "flip":
        path.write_text("hellp")
    elif damage == "remove":
        path.unlink()
    else:
        (tmp_path / ".units/part/one.json").write_text("{")
    engine.run("writing", [unit(tmp_path)])
    assert path.read_text() == "hello"


def test_a_failing_unit_is_noted_and_tried_again(
    tmp_path: Path, engine: Engine, said: list[str]
) -> None:
    bad = dataclasses.replace(unit(tmp_path, "part/two"), function=_raise)
    entries = engine.run("writing", [bad, unit(tmp_path)])
    assert list(entries) == ["part/one"]
    assert engine.failures == [("part/two", "RuntimeError: no hello for out.txt")]
    assert "RuntimeError" in (tmp_path / ".units/part/two.error.txt").read_text()
    assert "part/two failed" in said[-1]
    again = Engine(StudyFolder(tmp_path), 1, said.append)
    assert list(again.run("writing", [unit(tmp_path, "part/two")])) == ["part/two"]
    assert again.failures == []


def test_a_record_is_only_good_for_its_unit(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    first = unit(tmp_path)
    _write(**first.arguments)
    ledger.record(first, 1.0)
    assert ledger.entry(first) is not None
    assert ledger.entry(dataclasses.replace(first, inputs={"text": "other"})) is None


def test_the_code_digest_follows_the_code_alone() -> None:
    assert code_digest("nversion.versions") == code_digest("nversion.versions")
    assert code_digest("nversion.versions") != code_digest("nversion.attacks")
    plain = "def f(x):\n    return x + 1\n"
    dressed = '"""Module."""\ndef f(x):\n    """Add one."""\n    # why\n    return x + 1\n'
    assert _meaning(plain + "\n\n") == _meaning(plain)
    assert _meaning('""""""\ndef f(x):\n    ""\n    return x + 1\n') == _meaning(dressed)
    assert _meaning(plain) != _meaning(plain.replace("1", "2"))
