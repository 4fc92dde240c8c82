"""Commands take files of other libraries wherever a version may stand."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner, Result

import nversion as nv
from nversion.cli import choices
from nversion.cli.app import app
from nversion.errors import InputError, UnsupportedModuleError
from nversion.formats.loading import FORMATS
from nversion.formats.reference import REFERENCE
from nversion.formats.writing import quiet


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [*map(str, words)])


@pytest.fixture
def foreign(versions: Path, tmp_path: Path) -> Path:
    """A version as a program of torch.export, with images from 0 to 255."""

    class Wide(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = nv.Version.load(versions / "a").model

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.network(images / 255.0)
            return result

    with quiet():
        images = torch.rand(2, 1, 8, 8)
        shapes = ({0: torch.export.Dim("n")},)
        program = torch.export.export(Wide().eval(), (images,), dynamic_shapes=shapes)
        torch.export.save(program, tmp_path / "wide.pt2")
    return tmp_path / "wide.pt2"


def test_the_endings_are_those_of_the_formats() -> None:
    endings = tuple(ending for form in FORMATS for ending in form.endings)
    assert sorted(choices.MODEL_ENDINGS) == sorted(endings)
    marks = {form.marks for form in FORMATS if form.marks}
    assert {*marks, "record.json", REFERENCE} == set(choices.MODEL_FOLDER_MARKS)


def test_a_file_votes_beside_a_folder_and_is_doubted_aloud(versions: Path, foreign: Path) -> None:
    result = run("vote", versions / "a", foreign, "--json")
    assert result.exit_code == 0, result.output
    assert "doubt: wide is right on" in result.stderr
    assert "with --input range=0:255" in result.stderr
    told = run("vote", versions / "a", foreign, "--input", "wide.pt2:range=0:255", "--json")
    assert told.stderr == ""
    accuracies = [one["accuracy"] for one in json.loads(told.stdout)["versions"]]
    assert accuracies[0] == pytest.approx(accuracies[1], abs=0.01)


def test_what_it_is_fed_may_stand_beside_it(versions: Path, foreign: Path) -> None:
    (foreign.parent / "version.toml").write_text("range = [0, 255]")
    result = run("certify", foreign, "--data", "digits", "--images", 3, "--norm", "2", "--json")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert facts["models"] == ["wide"]
    attacked = run(
        *("attack", foreign, "--data", "digits", "--attack", "deepfool", "--no-picture", "--json")
    )
    assert json.loads(attacked.stdout)["version"] == "wide"


def test_a_set_is_built_of_files(foreign: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    words = ("adversarial", "build", foreign, "--attacks", "gradient-sign", "--images", 2)
    more = ("--data", "digits", "--input", "range=0:255", "--workers", "1", "--json")
    result = run(*words, *more, "--out", out)
    assert result.exit_code == 0, result.output
    again = run(*words, *more, "--out", out)
    assert "kept" in again.stderr or "to do" not in again.stderr


def test_all_that_is_said_of_versions_is_said_of_files(
    versions: Path, foreign: Path, tmp_path: Path
) -> None:
    fed = ("--input", "wide.pt2:range=0:255")
    measured = run("diversity", versions / "a", foreign, *fed, "--resamples", 0, "--json")
    assert measured.exit_code == 0, measured.output
    # They are one network in two forms, which fail together.
    assert json.loads(measured.stdout)["coincident_failures"]["histogram"][1] <= 2
    chosen = run("select", versions / "a", versions / "b", foreign, *fed, "--json")
    assert chosen.exit_code == 0, chosen.output
    examined = run("doctor", foreign, *fed, "--data", "digits", "--images", 4, "--json")
    assert examined.exit_code in (0, 1), examined.output
    assert json.loads(examined.stdout)["version"] == "wide"
    words = (versions / "a", versions / "b", foreign, *fed, "--faults", "nan", "--images", 20)
    injected = json.loads(run("inject", *words, "--json").stdout)
    assert injected["versions"] == ["a", "b", "wide"]
    assert injected["rows"][1]["right"] >= 15
    np.savez(tmp_path / "t.npz", labels=[0, 1], predictions=[[0, 1], [1, 1]])
    refused = run("diversity", tmp_path / "t.npz", *fed)
    assert "a table holds no networks" in str(refused.exception)


def test_a_version_is_exported_with_a_card(versions: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.pt2"
    result = run("export", versions / "a", "--out", out, "--images", 30, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["same_class"] == 1.0
    assert "trained on digits with seed 1" in (tmp_path / "a.md").read_text()


def test_wrong_uses_are_one_line(versions: Path, foreign: Path, tmp_path: Path) -> None:
    cases = {
        ("vote", foreign): "none of the versions was trained here",
        ("vote", foreign, "--input", "wide.onnx:range=0:1"): "wide.onnx is not among the versions",
        ("vote", foreign, "--input", "rnage=0:1"): "did you mean 'range'",
        ("vote", tmp_path / "none.onnx"): "no such folder or file",
        ("export", versions / "a", "--out", tmp_path / "a.h5"): "must end in .onnx or .pt2",
    }
    for words, said in cases.items():
        result = run(*words)
        assert isinstance(result.exception, InputError), words
        assert said in str(result.exception)


def test_a_version_that_cannot_be_certified_is_named(versions: Path, tmp_path: Path) -> None:
    model = nv.Version.load(versions / "b").model
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(model, torch.rand(2, 1, 8, 8))
        torch.jit.save(traced, str(tmp_path / "scripted.pt"))
    result = run(
        *("certify", versions / "a", tmp_path / "scripted.pt", "--data", "digits", "--norm", 2),
        *("--images", 1, "--workers", 1, "--trust", "--input", "scripted.pt:size=1x8x8"),
    )
    assert isinstance(result.exception, UnsupportedModuleError)
    assert "'models.1.network' (of scripted)" in str(result.exception)


def test_the_file_of_a_program_stands_for_its_versions_and_their_vote(
    versions: Path, tmp_path: Path
) -> None:
    names, out = [versions / "a", versions / "b"], tmp_path / "program.pt2"
    voted = run("vote", *names, "--voter", "plurality", "--json")
    made = run("export", *names, "--voter", "plurality", "--out", out)
    assert made.exit_code == 0, made.output
    again = run("vote", out, "--data", "digits", "--json")
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout) == json.loads(voted.stdout)
    other = run("vote", out, "--data", "digits", "--voter", "mean-softmax", "--json")
    assert json.loads(other.stdout)["voter"] == "mean-softmax"
    certified = run(
        *("certify", out, "--data", "digits", "--images", 2, "--norm", 2, "--workers", 1),
        *("--compare", "--json"),
    )
    assert certified.exit_code == 0, certified.output
    assert json.loads(certified.stdout)["voter"]["name"] == "plurality"
    attacked = run(
        *("attack", out, "--data", "digits", "--attack", "deepfool", "--no-picture", "--json")
    )
    assert json.loads(attacked.stdout)["voter"]["name"] == "plurality"
    one = run("vote", out, "--data", "digits", "--input", "key=b", "--json")
    assert [row["name"] for row in json.loads(one.stdout)["versions"]] == ["b"]
