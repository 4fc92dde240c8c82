from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from nversion.cli.app import app

runner = CliRunner()


def nversion(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nversion", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]


def test_the_help_is_a_table_of_contents_of_every_command() -> None:
    shown = runner.invoke(app, ["--help"])
    assert shown.exit_code == 0
    click_app = typer.main.get_command(app)
    for name, command in click_app.commands.items():  # type: ignore[attr-defined]
        assert name in shown.output
        assert command.help, f"{name} says nothing of what it does"


def test_the_version_is_shown() -> None:
    from nversion import __version__

    assert nversion("--version").stdout == f"nversion {__version__}\n"


def test_bad_input_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    done = nversion("study", "--set", "program.voter=loudest", "--out", str(tmp_path / "s"))
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "loudest" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "s").exists()


def test_show_config_prints_what_would_run_and_runs_nothing(tmp_path: Path) -> None:
    config = tmp_path / "mine.toml"
    config.write_text('seed = 5\n[versions]\ncount = 4\n[program]\nvoter = "majority"\n')
    shown = runner.invoke(
        app,
        ["study", "--config", str(config), "--versions", "6", "--attacks", "gradient, deepfool",
         "--set", "program.orders=9", "--workers", "2", "--show-config"],
    )  # fmt: skip
    assert shown.exit_code == 0, shown.output
    values = tomllib.loads(shown.output)
    assert values["seed"] == 5
    assert values["versions"]["count"] == 6
    assert values["program"] == {"voter": "majority", "orders": 9}
    assert values["attacks"]["names"] == ["gradient", "deepfool"]
    assert values["run"]["workers"] == 2


@pytest.mark.parametrize("setting", ["orders", "=3", "seed.x=1"])
def test_a_malformed_setting_is_refused(setting: str) -> None:
    done = runner.invoke(app, ["study", "--seed", "3", "--set", setting, "--show-config"])
    assert done.exit_code == 2


def test_recipes_are_listed_and_shown() -> None:
    listed = runner.invoke(app, ["recipes"])
    names = ["certified-l2", "certified-linf", "fast", "robust-l2", "robust-linf", "small", "study"]
    assert [line.split()[0] for line in listed.output.splitlines()] == names
    shown = tomllib.loads(runner.invoke(app, ["recipes", "study"]).output)
    assert shown["optimiser"] == "adadelta"
    as_json = json.loads(runner.invoke(app, ["recipes", "--json"]).output)
    assert [recipe["name"] for recipe in as_json] == names


def test_datasets_are_listed_and_described() -> None:
    assert runner.invoke(app, ["datasets"]).output.split()[0] == "digits"
    facts = json.loads(runner.invoke(app, ["datasets", "digits", "--json"]).output)
    assert facts["shape"] == [1, 8, 8]
    assert facts["train"] + facts["test"] == 1797
    assert "digits" in runner.invoke(app, ["datasets", "digits"]).output


def test_train_saves_versions_and_reports_failures(tmp_path: Path) -> None:
    (tmp_path / "good.txt").write_text("flatten\ndense, 16, relu")
    (tmp_path / "bad.txt").write_text("conv, 4, relu, 9")
    (tmp_path / "recipe.toml").write_text(
        'optimiser = "adamw"\nlearning_rate = 4e-3\nepochs = 3\nbatch_size = 64\n'
    )
    done = runner.invoke(
        app,
        ["train", str(tmp_path / "good.txt"), str(tmp_path / "bad.txt"), "--data", "digits",
         "--recipe", str(tmp_path / "recipe.toml"), "--workers", "1",
         "--out", str(tmp_path / "versions"), "--json"],
    )  # fmt: skip
    assert done.exit_code == 1
    good, bad = json.loads(done.stdout)
    assert good["test_accuracy"] > 0.8
    assert good["error"] is None
    assert "9" in bad["error"]
    assert [path.name for path in (tmp_path / "versions").iterdir()] == ["good"]
