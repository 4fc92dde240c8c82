from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from nversion.cli.compare import compare
from nversion.errors import ArtefactError, InputError

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"


@pytest.fixture
def run() -> Callable[..., Result]:
    app = typer.Typer()
    app.command()(compare)
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_two_studies_are_shown_and_written_as_a_page(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    result = run(RESULTS / "mnist-10", RESULTS / "mnist-100", "--out", tmp_path / "page.html")
    assert result.exit_code == 0
    assert "versions.count" in result.stdout
    assert "mnist-100 less mnist-10" in result.stdout
    assert "2 studies side by side" in (tmp_path / "page.html").read_text("utf-8")


def test_folders_of_one_name_are_told_apart(run: Callable[..., Result], tmp_path: Path) -> None:
    for name in ("one", "two"):
        shutil.copytree(RESULTS / "mnist-10", tmp_path / name / "study")
    result = run(tmp_path / "one" / "study", tmp_path / "two" / "study", "--json")
    assert json.loads(result.stdout)["studies"] == ["one/study", "two/study"]


@pytest.mark.parametrize(
    ("folders", "error", "words"),
    [
        (["mnist-10"], InputError, "two studies or more"),
        (["mnist-10", "mnist-10"], InputError, "named twice"),
        (["mnist-10", "nope"], ArtefactError, "give the folder of a finished study"),
    ],
)
def test_wrong_use_is_an_error(
    run: Callable[..., Result], folders: list[str], error: type[Exception], words: str
) -> None:
    result = run(*(RESULTS / name for name in folders))
    assert isinstance(result.exception, error)
    assert words in str(result.exception)
