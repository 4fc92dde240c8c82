"""The Python in the guides runs, and the commands in them exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nversion.cli.app import app

GUIDES = Path(__file__).resolve().parents[1] / "docs" / "guide"


def blocks(page: str, language: str) -> list[str]:
    text = (GUIDES / page).read_text("utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_python_of_certification_runs(capsys: pytest.CaptureFixture[str]) -> None:
    code = "\n".join(blocks("certification.md", "python"))
    exec(compile(code, "certification.md", "exec"), {})
    said = capsys.readouterr().out.splitlines()
    assert [line.split(" 0.")[0] for line in said] == [
        "mean certified radius",
        "mean certified radius of the vote",
        "vote",
        "mean radius",
    ]


def test_the_options_in_certification_exist() -> None:
    commands = "\n".join(blocks("certification.md", "console"))
    for command in ("train", "certify", "vote"):
        lines = re.findall(rf"nversion {command} (.*)", commands)
        options = {option for line in lines for option in re.findall(r"(--[a-z-]+)", line)}
        shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).stdout
        assert lines
        assert [option for option in sorted(options) if option not in shown] == []
