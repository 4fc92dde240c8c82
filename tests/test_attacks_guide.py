"""The guide to the attacks: its Python runs on digits, its commands do what it says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import nversion as nv
from nversion.adversarial import AdversarialSet, PerceptibilityRule
from nversion.cli.app import app

from .conftest import blocks

PAGE = Path(__file__).resolve().parents[1] / "docs" / "guide" / "attacks.md"
TEXT = PAGE.read_text("utf-8")


def test_the_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    exec(compile("\n".join(blocks(PAGE, "python")), str(PAGE), "exec"), names)
    said = capsys.readouterr().out
    assert re.search(r"^\d+ of \d+ images$", said, re.MULTILINE)
    assert "votes overturned" in said
    assert re.search(r"^carlini-wagner \d+ of \d+ in$", said, re.MULTILINE)
    assert len(names["figure"].axes) == 3


def test_the_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [line for block in blocks(PAGE, "console") for line in block.splitlines()]
    assert all(line.startswith("$ nversion ") for line in lines)
    for line in lines:
        words = shlex.split(line.removeprefix("$ nversion "), comments=True)
        if words[0] == "train":
            _train(words)
            continue
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, (line, done.output, done.exception)
    assert (tmp_path / "three.png").is_file()
    assert (tmp_path / "v002-test3-deepfool.png").is_file()
    assert (tmp_path / "sheet.png").is_file()
    files = {path.name for path in (tmp_path / "set").iterdir() if not path.name.startswith(".")}
    table = re.findall(r"^\| `([\w.]+)(?:/VERSION/ATTACK.safetensors)?` \|", TEXT, re.MULTILINE)
    assert files == set(table)
    with np.load(tmp_path / "set.npz") as arrays:
        assert len(arrays["images"]) == len(AdversarialSet.load(tmp_path / "set"))


def _train(words: list[str]) -> None:
    """Check the command that trains, and train smaller networks in place of its own."""
    shown = CliRunner().invoke(app, ["train", "--help"], env={"COLUMNS": "200"}).stdout
    assert all(word in shown for word in words if word.startswith("--"))
    assert words[words.index("--out") + 1] == "versions"
    data = nv.load_dataset("digits")
    recipe = nv.Recipe(optimiser="adamw", learning_rate=4e-3, epochs=4, batch_size=64)
    for seed, name in enumerate(("student", "v002")):
        architecture = nv.Architecture(nv.Architecture.parse("dense, 24, relu").layers, name)
        nv.train(architecture, data, recipe, seed=seed).save(Path("versions") / name)


def test_every_attack_is_advised_on_and_the_rule_is_the_default() -> None:
    advice = TEXT.partition("## Which attack?")[2].partition("## The adversarial set")[0]
    named = set(re.findall(r"`([a-z0-9-]+)`", advice))
    assert set(nv.attacks.names()) <= named
    rule = PerceptibilityRule()
    assert f"at most {rule.largest_rms:g}" in TEXT
    assert f"at least {rule.smallest_ssim:g}" in TEXT
