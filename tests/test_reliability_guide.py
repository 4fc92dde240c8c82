"""The guide to reliability: its Python runs, and its commands and options exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nversion.cli.app import app

from .conftest import blocks

GUIDE = Path(__file__).resolve().parents[1] / "docs" / "guide" / "reliability.md"


def test_the_python_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile("\n".join(blocks(GUIDE, "python")), "reliability.md", "exec"), {})
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 13
    assert said[0].startswith("correlation of failures 0.")
    assert said[-1] == "disagreement 0.67"


@pytest.mark.parametrize("command", ["diversity", "select", "vote"])
def test_the_options_exist(command: str) -> None:
    lines = re.findall(rf"nversion {command} (.*)", "\n".join(blocks(GUIDE, "console")))
    options = {option for line in lines for option in re.findall(r"(--[a-z-]+)", line)}
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).stdout
    assert lines
    assert [option for option in sorted(options) if option not in shown] == []
