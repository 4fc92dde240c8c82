"""Where a version may stand, so may the file of a program, or the folder of a study."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import nversion as nv
from nversion.cli.app import app
from nversion.errors import InputError


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [*map(str, words)])


def facts(*words: object) -> Any:
    result = run(*words, "--data", "digits", "--json")
    assert result.exit_code in (0, 1), result.output
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def places(versions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program's file and a study's folder, each of the versions a and b by plurality."""
    folder = tmp_path_factory.mktemp("places")
    made = {name: nv.Version.load(versions / name) for name in ("a", "b")}
    program = nv.Program([one.model for one in made.values()], "plurality")
    images = nv.load_dataset("digits").test.images[:4]
    nv.export(program, folder / "program.pt2", images, versions=made)
    shutil.copytree(versions, folder / "study" / "versions")
    (folder / "study" / "study.toml").write_text('[program]\nvoter = "plurality"\n')
    return folder


PLACES = pytest.mark.parametrize("place", ["program.pt2", "study"])


@PLACES
def test_they_vote_as_they_did(places: Path, place: str) -> None:
    found = facts("vote", places / place)
    assert [row["name"] for row in found["versions"]] == ["a", "b"]
    assert found["voter"] == "plurality"
    other = facts("vote", places / place, "--voter", "borda")
    assert other["voter"] == "borda"


@PLACES
def test_the_doctor_examines_their_vote(places: Path, place: str) -> None:
    found = facts("doctor", places / place, "--images", 2)
    assert found["versions"] == ["a", "b"]
    assert found["voter"]["name"] == "plurality"


@PLACES
def test_faults_are_injected_into_them(places: Path, place: str) -> None:
    found = facts("inject", places / place, "--images", 20, "--faults", "nan", "--into", "b")
    assert found["versions"] == ["a", "b"]
    assert found["voter"] == "plurality"
    assert found["rows"][1]["faulty"] == ["b"]


@PLACES
def test_their_diversity_is_measured(places: Path, place: str) -> None:
    found = facts("diversity", places / place, "--resamples", 0)
    assert found["names"] == ["a", "b"]


@PLACES
@pytest.mark.parametrize("criterion", ["accuracy", "white-box"])
def test_some_of_them_are_selected(places: Path, place: str, criterion: str) -> None:
    words = ("--criterion", criterion, "--images", 8, "--size", 1)
    assert facts("select", places / place, *words)["members"][0] in ("a", "b")


@PLACES
def test_a_set_is_built_of_them(places: Path, place: str, tmp_path: Path) -> None:
    words = ("--attacks", "gradient-sign", "--images", 1, "--workers", 1, "--out", tmp_path / "s")
    found = facts("adversarial", "build", places / place, *words)
    assert list(found["per_version"]) == ["a", "b"]


def test_a_set_names_versions_alike_after_where_they_lie(
    places: Path, versions: Path, tmp_path: Path
) -> None:
    paths = (places / "program.pt2", versions / "b")
    words = ("--attacks", "gradient-sign", "--images", 1, "--workers", 1, "--out", tmp_path / "s")
    found = facts("adversarial", "build", *paths, *words)
    alike = f"{versions.name}-b"
    assert list(found["per_version"]) == ["a", "program-b", alike]


@PLACES
def test_all_that_is_known_against_votes_is_tried(places: Path, place: str) -> None:
    found = facts("attack", places / place, "--norm", "inf", "--no-picture")
    assert found["voter"]["name"] == "plurality"
    assert [row["name"] for row in found["attacks"]] == ["no right verdict", "wrong verdict"]


@PLACES
def test_they_leave_as_one_file(places: Path, place: str, tmp_path: Path) -> None:
    facts("export", places / place, "--out", tmp_path / "again.pt2", "--images", 4)
    assert nv.load_program(tmp_path / "again.pt2").voter.name == "plurality"


@PLACES
def test_they_are_certified_together(places: Path, place: str) -> None:
    found = facts("certify", places / place, "--images", 1, "--norm", 2, "--workers", 1)
    assert found["models"] == ["a", "b"]


def test_a_study_without_versions_and_a_folder_within_one(places: Path, tmp_path: Path) -> None:
    (tmp_path / "study.toml").touch()
    (tmp_path / "program").mkdir()
    for place, said in {"": "has no versions yet", "program": "name the study's folder"}.items():
        result = run("vote", tmp_path / place, "--data", "digits")
        assert isinstance(result.exception, InputError)
        assert said in str(result.exception)


def test_what_a_file_calls_its_classes_is_said_where_the_images_have_numbers(
    places: Path, versions: Path, tmp_path: Path
) -> None:
    words = [f"digit {place}" for place in range(10)]
    swapped = [words[1], words[0], *words[2:]]
    paths = (places / "program.pt2", "--input", f"classes={':'.join(words)}")
    assert facts("vote", *paths)["classes"] == words
    assert facts("diversity", *paths, "--resamples", 0)["classes"] == words
    assert facts("attack", *paths, "--attack", "gradient", "--no-picture")["classes"] == words
    facts("export", *paths, "--out", tmp_path / "named.pt2", "--images", 4)
    found = facts("vote", tmp_path / "named.pt2", versions / "b")
    assert found["classes"] == words
    # Versions that have them in another order are put into the first one's.
    other = facts("vote", tmp_path / "named.pt2", "--input", f"classes={':'.join(swapped)}")
    assert other["accuracy"] == facts("vote", tmp_path / "named.pt2")["accuracy"]
    shown = run(
        *("attack", tmp_path / "named.pt2", "--data", "digits"),
        *("--attack", "gradient", "--no-picture"),
    )
    assert "a digit 0, taken for digit 0" in shown.stdout
