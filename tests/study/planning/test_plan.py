"""The plan: exact counts of units, and estimates that grow with the work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from nversion.architectures import Architecture
from nversion.cli.app import app
from nversion.datasets import load_dataset
from nversion.study import make_config, run_study
from nversion.study.config import save_config
from nversion.study.ledger import Ledger
from nversion.study.planning import calibration
from nversion.study.planning.plan import plan_study


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "TRAINING_SECONDS", 0.02)
    monkeypatch.setattr(calibration, "ATTACK_SECONDS", 0.2)


def test_the_units_are_those_of_the_study(tiny: dict[str, Any], tmp_path: Path) -> None:
    config = make_config(tiny)
    before = plan_study(config, tmp_path / "study")
    assert not (tmp_path / "study").exists()
    assert [stage.done for stage in before.stages] == [0] * 9
    run_study(config, tmp_path / "study")
    made = Ledger(tmp_path / "study", read_only=True).entries()
    assert sum(stage.units for stage in before.stages) == len(made)
    after = plan_study(config, tmp_path / "study")
    assert all(stage.done == stage.units for stage in after.stages)
    assert after.wall_seconds == 0
    size = sum(p.stat().st_size for p in (tmp_path / "study").rglob("*") if p.is_file())
    assert 0.2 * size < before.disk < 5 * size


def test_more_of_everything_takes_longer(tiny: dict[str, Any], tmp_path: Path) -> None:
    config = make_config(tiny)
    one = plan_study(config, tmp_path)
    more = {**tiny["attacks"], "images": 300}
    larger = plan_study(make_config({**tiny, "attacks": more}), tmp_path)
    assert larger.disk > one.disk
    assert larger.images > 90 * one.images
    assert larger.stages[1].seconds > one.stages[1].seconds


def test_operations_are_multiplications_and_additions() -> None:
    data = load_dataset("digits")
    dense = Architecture.parse("flatten\ndense, 20, relu")
    assert calibration.operations(dense, data) == 2 * (64 * 20 + 20 * 10)


def test_the_command_prints_the_plan_and_starts_nothing(
    tiny: dict[str, Any], tmp_path: Path
) -> None:
    save_config(make_config(tiny), tmp_path / "tiny.toml")
    arguments = ["study", "--config", str(tmp_path / "tiny.toml"), "--out", str(tmp_path / "s")]
    shown = CliRunner().invoke(app, [*arguments, "--plan"])
    assert shown.exit_code == 0, shown.output
    for word in ("versions", "certification", "memory: about", "disk: about"):
        assert word in shown.output
    values = json.loads(CliRunner().invoke(app, [*arguments, "--plan", "--json"]).stdout)
    assert values["stages"][0]["units"] == 3
    assert not (tmp_path / "s").exists()
