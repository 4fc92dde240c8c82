"""A study's own replication: kept, taken up, and the same as that of ``nversion distil``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from nversion.cli.distil import distil
from nversion.errors import ConfigError
from nversion.files import read_object
from nversion.study import make_config, run_study, without_times
from nversion.study.finished import open_study, with_replication
from nversion.study.former import settings_digest
from nversion.study.sections import Results

SMALL: dict[str, Any] = {
    "attacks": {"names": ["gradient"], "images": 2},
    "whole": {"images": 0},
    "reliability": {"training_images": 0, "resamples": 2, "orders": 1},
    "evaluation": {"frequency_images": 2},
    "certification": {
        "method": "interval",
        "images": 1,
        "norms": [2],
        "domains": ["ball"],
        "random_target_images": 0,
        "program_images": 0,
    },
}

SECTION: dict[str, Any] = {
    "repeats": 1,
    "objectives": ["vote"],
    "radius_images": 1,
    "box_images": 0,
    "attack_images": 2,
    "attacks": ["gradient-sign"],
}


@pytest.fixture(scope="module")
def values(tiny: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    network = tmp_path_factory.mktemp("network") / "network.txt"
    network.write_text("dense, 8, relu\n")
    section = {**SECTION, "architecture": str(network)}
    versions = {**tiny["versions"], "count": 2}
    return {**tiny, **SMALL, "versions": versions, "replication": section}


@pytest.fixture(scope="module")
def study(values: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results]:
    folder = tmp_path_factory.mktemp("replicating") / "study"
    return folder, run_study(make_config(values), folder)


def test_a_study_replicates_as_its_last_stage_and_keeps_what_is_done(
    study: tuple[Path, Results], values: dict[str, Any]
) -> None:
    folder, results = study
    assert results.replication is not None
    assert {arm: list(by) for arm, by in results.replication.networks.items()} == {
        "labels": ["0"],
        "vote": ["0"],
    }
    assert [cost.name for cost in results.replication.costs][:3] == [
        "program",
        "student",
        "baseline",
    ]
    assert "replication" in results.study.wall_seconds
    said: list[str] = []
    again = run_study(make_config(values), folder, say=said.append)
    assert "everything was there: nothing was made again" in said
    assert without_times(again) == without_times(results)


def test_more_pairs_keep_those_there_are(
    study: tuple[Path, Results], values: dict[str, Any]
) -> None:
    folder, results = study
    file = folder / "replication" / "networks" / "vote" / "000.json"
    made = file.stat().st_mtime_ns
    more = {**values, "replication": {**values["replication"], "repeats": 2}}
    said: list[str] = []
    found = run_study(make_config(more), folder, say=said.append).replication
    assert "training and measuring networks again and again: 2 to do, 2 kept" in said
    assert file.stat().st_mtime_ns == made
    assert found is not None
    assert results.replication is not None
    assert found.networks["vote"]["0"] == results.replication.networks["vote"]["0"]


def test_the_command_finds_the_studys_networks_and_draws_them(
    study: tuple[Path, Results], values: dict[str, Any], tmp_path: Path
) -> None:
    folder, _ = study
    place = folder / "replication"
    before = {path: path.stat().st_mtime_ns for path in (place / "networks").rglob("*.json")}
    options = {
        "--objectives": "vote",
        "--repeats": len(before) // 2,
        "--architecture": values["replication"]["architecture"],
        "--radius-images": 1,
        "--box-images": 0,
        "--attack-images": 2,
        "--attacks": "gradient-sign",
        "--seed": values["seed"],
        "--workers": 1,
        "--engine": "threads",
        "--publish": tmp_path / "out",
        "--command": "nversion distil mine",
    }
    app = typer.Typer()
    app.command()(distil)
    called = [str(word) for option in options.items() for word in option]
    result = CliRunner().invoke(app, [str(folder), *called], catch_exceptions=False)
    assert result.exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert "best version" in result.stdout
    assert "too few for a test" in result.stdout
    assert (place / "pairs.svg").read_text("utf-8").startswith("<?xml")
    assert "vote \u2212 labels, pair 1" in (place / "pairs.csv").read_text("utf-8")
    written = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert "$ nversion distil mine" in written
    assert "](pairs.svg)" in written
    assert "too few for a test" in written
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "README.md",
        "pairs.csv",
        "pairs.svg",
        "replication.json",
    }


def test_the_report_finds_what_the_command_left(study: tuple[Path, Results]) -> None:
    opened = open_study(study[0])
    without = opened.results.model_copy(update={"replication": None})
    shown = with_replication(without, opened.folder).replication
    assert shown is not None
    assert shown.to_json()["means"] == read_object(opened.folder.replication.summary)["means"]


def test_a_section_that_is_off_changes_no_study(values: dict[str, Any]) -> None:
    config = make_config({key: value for key, value in values.items() if key != "replication"})
    settings = config.model_dump(mode="json")
    assert settings["replication"]["repeats"] == 0
    older = {key: value for key, value in settings.items() if key != "replication"}
    assert settings_digest(older) == settings_digest(settings)
    assert settings_digest(make_config(values).model_dump(mode="json")) != settings_digest(older)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"objectives": ["votes"]}, "no arm is called 'votes'"),
        ({"objectives": ["vote", "vote"]}, "named twice"),
        ({"attacks": ["gradeint"]}, "gradeint"),
        ({"repeats": -1}, "replication.repeats"),
    ],
)
def test_what_is_wrong_with_the_section_is_said_at_once(section: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make_config({"dataset": "digits", "replication": section})
