"""`nversion diversity`, `nversion select` and `nversion vote` of tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import nversion as nv
from nversion.cli import select as select_command
from nversion.cli import sources
from nversion.cli.app import app
from nversion.cli.diversity import WORDS
from nversion.errors import DatasetError, InputError
from nversion.measures import MATRICES, NUMBERS
from nversion.selection import SEARCHES, Accuracy
from nversion.tables import ENDINGS, read_table
from nversion.versions import Version


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [*map(str, words)])


def facts(*words: object) -> Any:
    result = run(*words, "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of five versions' classes."""
    randomness = np.random.default_rng(0)
    labels = randomness.integers(0, 3, 200)
    hard = randomness.beta(1, 5, 200)
    wrong = randomness.random((5, 200)) < hard
    predictions = np.where(wrong, (labels + 1) % 3, labels)
    path = tmp_path_factory.mktemp("table") / "t.npz"
    np.savez(path, labels=labels, predictions=predictions, names=list("abcde"))
    return path


def test_what_is_checked_early_is_what_there_is() -> None:
    assert sources.TABLES == ENDINGS
    assert set(SEARCHES) == set(select_command.SEARCHES)
    assert list(WORDS) == [*MATRICES, *NUMBERS]


def test_diversity_of_a_table_is_the_librarys(table: Path) -> None:
    values = facts("diversity", table, "--resamples", 50)
    read = read_table(table)
    expected = nv.diversity(read.outputs, read.labels, resamples=50)
    assert values["diversity"] == expected.to_json()
    assert values["names"] == list("abcde")
    failures = nv.coincident_failures(read.answers.wrong, read.labels)
    assert values["coincident_failures"] == failures.to_json()
    assert len(values["plurality"]["right"]) == 5


def test_diversity_says_what_a_person_wants_to_know(table: Path) -> None:
    result = run("diversity", table, "--resamples", 0)
    assert result.exit_code == 0, result.exception
    for words in WORDS.values():
        assert words in result.stdout
    for words in ("effective number", "if independent", "votes of", "versions taken at random"):
        assert words in result.stdout
    assert "interval" not in result.stdout


def test_versions_stored_outputs_are_taken(versions: Path) -> None:
    values = facts("diversity", versions / "a", versions / "b", "--resamples", 0)
    loaded = [Version.load(versions / name) for name in ("a", "b")]
    labels = nv.load_dataset("digits").test.labels
    logits = [one.test_logits for one in loaded]
    assert None not in logits
    expected = nv.diversity(logits, labels)
    assert values["diversity"]["q"] == expected.to_json()["q"]
    assert values["source"] == "digits"


@pytest.mark.parametrize("what", ["heat-map", "histogram", "growth"])
def test_pictures_are_drawn(table: Path, tmp_path: Path, what: str) -> None:
    path = tmp_path / f"{what}.svg"
    result = run("diversity", table, "--resamples", 20, "--figure", path, "--draw", what)
    assert result.exit_code == 0, result.exception
    assert path.read_text("utf-8").startswith("<?xml")


def test_a_selection_is_judged_on_other_images(table: Path, tmp_path: Path) -> None:
    values = facts("select", table, "--tolerance", 0.01, "--contributions", 10)
    assert values["chosen_on"].startswith("100 images")
    assert values["judged_on"].startswith("100 images")
    assert sum(values["contributions"]["values"]) <= 1
    read = read_table(table)
    other = tmp_path / "other.npz"
    np.savez(other, labels=read.labels, predictions=read.outputs[:, ::-1], names=read.names)
    judged = facts("select", table, "--judge", other, "--size", 3, "--search", "exact")
    assert len(judged["members"]) == 3
    criterion = Accuracy(read.outputs[:, ::-1], read.labels)
    members = [read.names.index(name) for name in judged["members"]]
    assert judged["accuracy"] == pytest.approx(criterion.score(members))
    assert judged["full_accuracy"] == pytest.approx(criterion.score(range(5)))
    by_failures = facts("select", table, "--criterion", "coincident-failures", "--size", 2)
    assert by_failures["criterion"] == "coincident-failures"


def test_select_prints_and_draws_how_it_came_about(table: Path, tmp_path: Path) -> None:
    picture = tmp_path / "orders.svg"
    result = run("select", table, "--size", 3, "--contributions", 5, "--figure", picture)
    assert result.exit_code == 0, result.exception
    assert "best first" in picture.read_text("utf-8")
    for words in ("3 of 5 versions", "score of all 5", "the chosen", "contributes"):
        assert words in result.stdout


def test_versions_are_chosen_against_an_attacker_who_knows_them(versions: Path) -> None:
    words = ["select", versions / "a", versions / "b", "--criterion", "white-box", "--images", 8]
    values = facts(*words, "--size", 2, "--weights")
    assert values["criterion"] == "white-box"
    assert values["chosen_on"] == "8 training images"
    assert sum(values["weights"].values()) == pytest.approx(1.0)
    assert "weight" in run(*words, "--weights").stdout


@pytest.mark.parametrize("voter", [None, "majority", "k-of-n"])
def test_a_table_is_voted_on(table: Path, voter: str | None) -> None:
    values = facts("vote", table, *(() if voter is None else ("--voter", voter)))
    read = read_table(table)
    assert values["images"] == 200
    assert values["voter"] == (voter or "majority")
    alone = 1 - read.answers.wrong.mean(axis=1)
    assert [one["accuracy"] for one in values["versions"]] == pytest.approx(alone)
    right = Accuracy(read.outputs, read.labels).score(range(5))
    assert voter == "k-of-n" or values["accuracy"] == pytest.approx(right)


def test_a_table_of_probabilities_is_voted_on_by_all_voters(tmp_path: Path) -> None:
    scores = np.random.default_rng(0).normal(size=(3, 50, 4))
    labels = np.random.default_rng(1).integers(0, 4, 50)
    shares = np.exp(scores) / np.exp(scores).sum(axis=2, keepdims=True)
    np.savez(tmp_path / "p.npz", labels=labels, probabilities=shares)
    np.savez(tmp_path / "l.npz", labels=labels, logits=scores)
    expected = float((shares.mean(axis=0).argmax(axis=1) == labels).mean())
    for name in ("p.npz", "l.npz"):
        assert facts("vote", tmp_path / name)["accuracy"] == pytest.approx(expected)
    assert facts("vote", tmp_path / "p.npz", "--images", 7)["images"] == 7


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("diversity", "TABLE", "TABLE"), "stands for itself"),
        (("diversity", "nowhere"), "no such folder"),
        (("diversity", "nowhere.csv"), "no such file"),
        (("diversity", "TABLE", "--on", "adversarial"), "only a study's folder"),
        (("diversity", "TABLE", "--data", "digits"), "a table has its labels"),
        (("diversity", "TABLE", "--draw", "histogramm"), "did you mean 'histogram'"),
        (("diversity", "TABLE", "--figure", "a.bmp"), "must end in"),
        (("diversity", "TABLE", "--resamples", "1"), "resamples must be 0"),
        (("select", "TABLE", "--criterion", "white-box"), "needs networks"),
        (("select", "TABLE", "--weights"), "only the criterion white-box"),
        (("select", "TABLE", "--size", "6"), "--size must be at most the 5 versions"),
        (("select", "TABLE", "--judge", "folder"), "--judge names a table"),
        (("select", "TABLE", "--contributions", "1"), "0, or 2 and more"),
        (("vote", "TABLE", "--voter", "mean-softmax"), "needs probabilities"),
    ],
)
def test_wrong_use_is_said(table: Path, words: tuple[str, ...], message: str) -> None:
    result = run(*(table if word == "TABLE" else word for word in words))
    assert result.exit_code != 0
    assert isinstance(result.exception, InputError | DatasetError)
    assert message in str(result.exception)


def test_abstentions_in_a_table_are_not_voted_on_but_measured(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("label,a,b\n0,0,-1\n1,1,1\n", encoding="utf-8")
    assert "1 answers are abstentions" in run("diversity", path, "--resamples", 0).stdout
    assert "abstentions" in str(run("vote", path).exception)
