from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from nversion.cli.gate import gate
from nversion.errors import ArtefactError, InputError


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Result]:
    values = {"study": {"name": "mine"}, "program": {"accuracy": 0.75, "test_accuracy": None}}
    (tmp_path / "results.json").write_text(json.dumps(values))
    app = typer.Typer()
    app.command()(gate)
    return lambda *arguments: CliRunner().invoke(app, [str(tmp_path), *map(str, arguments)])


def test_requirements_that_hold_end_with_zero(run: Callable[..., Result]) -> None:
    result = run("--require", "program.accuracy>=0.75", "--require", "study.name==mine")
    assert result.exit_code == 0
    assert result.stdout.count("passed") == 2


def test_all_are_judged_and_one_that_fails_ends_with_one(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    (tmp_path / "more.txt").write_text("program.test_accuracy>=0 # of all\nprogram.accuracy<1\n")
    result = run(
        *("--require", "program.accuracy>1", "--requirements", tmp_path / "more.txt", "--json"),
        *("--junit", tmp_path / "deep" / "gate.xml"),
    )
    assert result.exit_code == 1
    assert [one["passed"] for one in json.loads(result.stdout)] == [False, False, True]
    assert (tmp_path / "deep" / "gate.xml").read_text("utf-8").count("<failure") == 2


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ([], InputError, "nothing is required"),
        (["--require", "program.acuracy>1"], InputError, "did you mean 'accuracy'"),
    ],
)
def test_wrong_use_is_an_error(
    run: Callable[..., Result], arguments: list[str], error: type[Exception], words: str
) -> None:
    result = run(*arguments)
    assert isinstance(result.exception, error)
    assert words in str(result.exception)


def test_a_folder_without_results_is_an_error(run: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "results.json").unlink()
    assert isinstance(run("--require", "program.accuracy>1").exception, ArtefactError)
