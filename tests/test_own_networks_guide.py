"""The guide to networks of one's own: its Python runs, its options and keys are those there are."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

import nversion as nv
from nversion.cli.app import app
from nversion.formats.feed import LAYOUTS, feed_from
from nversion.formats.loading import FORMATS
from nversion.study import make_config

from .conftest import blocks

PAGE = Path(__file__).resolve().parents[1] / "docs" / "guide" / "own-networks.md"
TEXT = PAGE.read_text("utf-8")


@pytest.mark.long
def test_the_python_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pandas")
    monkeypatch.chdir(tmp_path)
    exec(compile("\n".join(blocks(PAGE, "python")), str(PAGE), "exec"), {"__name__": "guide"})
    said = capsys.readouterr().out
    assert "doubt: swapped seems to have its classes in another order: 0 and 1 are swapped" in said
    assert "images, " in said
    assert (tmp_path / "ours.md").is_file()


def test_the_toml_has_every_key() -> None:
    toml, section = blocks(PAGE, "toml")
    values = tomllib.loads(toml)
    assert set(values) == {field.name for field in dataclasses.fields(nv.Feed)}
    feed_from(values, "the guide")
    assert all(layout in TEXT for layout in LAYOUTS)
    make_config(tomllib.loads(section))


def test_the_options_and_endings_are_there() -> None:
    for command in ("vote", "certify", "export", "study"):
        lines = re.findall(rf"\$ nversion {command} (.*)", TEXT)
        shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).stdout
        assert lines
        options = {option for line in lines for option in re.findall(r"(--[a-z-]+)", line)}
        assert [option for option in sorted(options) if option not in shown] == []
    assert [e for form in FORMATS for e in form.endings if f"`{e}`" not in TEXT] == [".hdf5"]
