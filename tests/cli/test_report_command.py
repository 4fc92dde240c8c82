from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from nversion.cli.report import report
from nversion.errors import ArtefactError


@pytest.fixture
def run() -> Callable[..., Result]:
    app = typer.Typer()
    app.command()(report)
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_report_is_written_again_and_its_path_printed(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    (tmp_path / "results.json").write_text(json.dumps({"study": {"name": "mine"}}))
    result = run(tmp_path)
    assert result.exit_code == 0
    page = tmp_path / "report" / "index.html"
    assert result.stdout == f"{page}\n"
    assert "N-version study: mine" in page.read_text("utf-8")


def test_a_study_is_published_to_another_folder(run: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(json.dumps({"study": {"name": "mine"}}))
    result = run(tmp_path, "--publish", tmp_path / "out", "--command", "nversion study --seed 1")
    assert result.stdout == f"{tmp_path / 'out' / 'README.md'}\n"
    assert "$ nversion study --seed 1" in (tmp_path / "out" / "README.md").read_text("utf-8")
    assert not (tmp_path / "report").exists()


def test_results_are_inserted_into_a_page(run: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(json.dumps({"study": {"name": "mine", "commit": "0a1"}}))
    page = tmp_path / "page.md"
    page.write_text("<!-- nversion: table out -->\n<!-- nversion: end -->\n")
    result = run(tmp_path, "--publish", tmp_path / "out", "--insert", page)
    assert result.stdout.split() == [str(tmp_path / "out" / "README.md"), str(page)]
    assert "| commit | 0a1 |" in page.read_text("utf-8")
    assert run(tmp_path, "--insert", page).stdout == f"{page}\n"
    assert not (tmp_path / "report").exists()


def test_the_questions_are_answered_anew_from_the_numbers(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    results = {
        "study": {"name": "mine", "test_images": 100},
        "versions": [{"status": "trained", "test_accuracy": 0.5}],
        "attacks": [{"name": "deepfool", "tried": 4, "succeeded": 3, "effectiveness": 0.75}],
        "adversarial_set": {"size": 0},
        "program": {"mean_individual": None, "accuracy": None},
        "certification": {},
        "distillation": {"baseline": {}, "student": {}, "student_rank": None, "rank_of": 1},
        "questions": [{"question": "Old?", "answer": "An old answer.", "rests_on": []}],
    }
    (tmp_path / "results.json").write_text(json.dumps(results))
    assert run(tmp_path).exit_code == 0
    page = (tmp_path / "report" / "index.html").read_text("utf-8")
    assert "75.00\u202f% of 4 attack runs" in page
    assert "An old answer." not in page
    del results["attacks"]
    (tmp_path / "results.json").write_text(json.dumps(results))
    assert run(tmp_path).exit_code == 0
    assert "An old answer." in (tmp_path / "report" / "index.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "give the folder of a finished study"),
        ("{", "not readable as JSON"),
        ("[1]", "must hold a JSON object, not a list"),
        ("[" * 100_000, "nested"),
        ('{"study": {"seed": ' + "9" * 5_000 + "}}", "Exceeds the limit"),
        ('{"study": {"seed": NaN}}', "NaN is not a number of JSON"),
    ],
)
def test_a_folder_without_results_is_an_error_that_says_what_to_do(
    run: Callable[..., Result], tmp_path: Path, content: str | None, words: str
) -> None:
    if content is not None:
        (tmp_path / "results.json").write_text(content)
    result = run(tmp_path)
    assert isinstance(result.exception, ArtefactError)
    assert words in str(result.exception)
    assert str(tmp_path / "results.json") in str(result.exception)
    assert not (tmp_path / "report").exists()
