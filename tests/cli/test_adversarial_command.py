"""`nversion adversarial build|show|export`: what they print, write and refuse."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

from nversion.adversarial import AdversarialSet, PerceptibilityRule
from nversion.attacks import Attack, registry
from nversion.cli.app import app
from nversion.errors import ArtefactError, ConfigError, InputError, NVersionError, StudyError

ATTACKS = "gradient,random-pgd"
QUICK = ("--attacks", ATTACKS, "--images", "3", "--set", "iterations=3", "--workers", "1")


@dataclasses.dataclass(frozen=True)
class Broken(Attack):
    """An attack that cannot be run."""

    name: ClassVar[str] = "broken"
    norm: ClassVar[str] = "l2"

    def propose(self, *_: Any) -> torch.Tensor:
        raise RuntimeError("out of order")


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["adversarial", *(str(word) for word in words)])


def output(*words: str | Path) -> str:
    result = run(*words)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def refused(
    error: type[NVersionError] | tuple[type[NVersionError], ...], *words: str | Path
) -> str:
    result = run(*words)
    assert isinstance(result.exception, error), result.output
    return str(result.exception)


@pytest.fixture(scope="module")
def built(versions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built") / "set"
    output("build", versions / "a", versions / "b", *QUICK, "--out", folder)
    return folder


def test_a_set_is_built_and_shown(versions: Path, built: Path, tmp_path: Path) -> None:
    result = run("build", versions / "a", versions / "b", *QUICK, "--out", tmp_path / "set")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    adversarial = AdversarialSet.load(built)
    assert lines[0].startswith(f"{tmp_path / 'set'}: {len(adversarial)} images of 1x8x8")
    assert lines[1] == "made from digits with seed 7, at most 3 images per version"
    assert "attacking versions: 4 to do" in result.stderr
    assert AdversarialSet.load(tmp_path / "set").digest == adversarial.digest
    again = run("build", versions / "a", versions / "b", *QUICK, "--out", tmp_path / "set")
    assert again.exit_code == 0
    assert all(line.endswith(" kept") for line in again.stderr.splitlines())
    assert "to do" not in again.stderr
    assert again.stdout == result.stdout


def test_show_says_what_the_set_holds(built: Path) -> None:
    facts, adversarial = json.loads(output("show", built, "--json")), AdversarialSet.load(built)
    assert facts["size"] == len(adversarial) > 0
    assert facts["source_images"] == len(set(adversarial.test_indices.tolist()))
    assert output("show", built).startswith(
        f"{built}: {len(adversarial)} images of 1x8x8, still adversarial in 8 bits a value, "
        f"from {facts['source_images']} test images"
    )
    assert facts["per_version"] == adversarial.per_version
    assert facts["per_attack"] == adversarial.per_attack
    assert (facts["storable"], facts["seed"], facts["dataset"]) == (True, 7, "digits")
    assert facts["options"]["random-pgd"]["iterations"] == 3
    for place, name in enumerate(adversarial.attacks):
        (row,) = [row for row in facts["attacks"] if row["name"] == name]
        assert row["tried"] == 6
        median = np.median(adversarial.l2[adversarial.attack_ids == place].double().numpy())
        assert row["median_l2"] == float(median)
    lines = [line.split() for line in output("show", built).splitlines()]
    assert ["gradient", "yes", "6", "6", "100.00", "%"] in [line[:6] for line in lines]
    assert ["a", str(adversarial.per_version["a"])] in lines


def test_what_is_left_out_is_shown_with_the_reason(versions: Path, tmp_path: Path) -> None:
    # A random start anywhere in the pixel range, and no search for a smaller one: noise.
    words = ("--attacks", ATTACKS, "--images", "3", "--workers", "1")
    strong = ("--set", "epsilon=1", "--set", "bisecting=0")
    text = output("build", versions / "a", *words, *strong, "--out", tmp_path / "set")
    assert "random-pgd is left out: visible: " in text
    assert json.loads(output("show", tmp_path / "set", "--json"))["attacks"][1]["reason"]


def test_the_rule_can_be_set(versions: Path, built: Path, tmp_path: Path) -> None:
    rule = json.loads(output("show", built, "--json"))["perceptibility_rule"]
    assert rule == PerceptibilityRule().explain(), "not the library's defaults"
    out = ("--out", tmp_path / "set")
    off = ("--largest-rms", "off", "--smallest-ssim", "off")
    text = output("build", versions / "a", *QUICK, *off, "--largest-linf", "0.001", *out)
    assert "no value changes by more than 0.001" in text
    assert "gradient is left out: visible: median largest change" in text
    for wrong in ("none", "2"):
        words = ("build", versions / "a", *QUICK, "--largest-rms", wrong, *out)
        assert "largest" in refused((InputError, ConfigError), *words)


def test_a_set_without_its_record_is_shown_as_far_as_it_goes(built: Path, tmp_path: Path) -> None:
    adversarial = AdversarialSet.load(built)
    adversarial.save(tmp_path)
    with_record = json.loads(output("show", built, "--json"))
    facts = json.loads(output("show", tmp_path, "--json"))
    assert (facts["dataset"], facts["perceptibility_rule"]) == (None, None)
    for row, full in zip(facts["attacks"], with_record["attacks"], strict=True):
        assert all(full[key] == pytest.approx(value) for key, value in row.items())
    assert "gradient" in output("show", tmp_path)


def test_the_contact_sheet_is_drawn(built: Path, tmp_path: Path) -> None:
    output("show", built, "--sheet", tmp_path / "sheet.png", "--columns", "2")
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")
    result = run("show", built, "--sheet", tmp_path / "sheet.pdf", "--json")
    assert json.loads(result.stdout)["size"] > 0
    assert (tmp_path / "sheet.pdf").read_bytes().startswith(b"%PDF")
    assert "must end in" in refused(InputError, "show", built, "--sheet", tmp_path / "x.gif")


def test_the_export_holds_the_set(built: Path, tmp_path: Path) -> None:
    path, adversarial = tmp_path / "deep" / "set.npz", AdversarialSet.load(built)
    assert output("export", built, "--npz", path) == f"{len(adversarial)} images in {path}\n"
    with np.load(path, allow_pickle=False) as file:
        assert file["images"].tobytes() == adversarial.images.numpy().tobytes()
        assert bool(file["storable"])
    assert "must end in .npz" in refused(InputError, "export", built, "--npz", "set.zip")
    assert "is a folder" in refused(InputError, "export", built, "--npz", _folder(tmp_path))


def _folder(parent: Path) -> Path:
    path = parent / "folder.npz"
    path.mkdir()
    return path


def test_an_attack_that_breaks_down_leaves_the_rest_and_exit_code_1(
    versions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.ATTACKS._makers, "broken", Broken)
    words = ("--attacks", "broken,gradient", "--images", "2", "--workers", "1", "--no-storable")
    result = run("build", versions / "a", *words, "--out", tmp_path / "set")
    assert result.exit_code == 1
    assert "attacks/a/broken failed: RuntimeError: out of order" in result.stderr
    adversarial = AdversarialSet.load(tmp_path / "set")
    assert (adversarial.attacks, adversarial.storable) == (("gradient",), False)


def test_what_cannot_be_built_is_refused(versions: Path, built: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "set")
    one = versions / "a"
    assert "both called a" in refused(InputError, "build", one, one, *QUICK, *out)
    assert "not a version's folder" in refused(InputError, "build", versions, *QUICK, *out)
    assert "no attack is called" in refused(InputError, "build", one, "--attacks", "x", *out)
    assert "holds other files" in refused(StudyError, "build", one, *QUICK, "--out", versions)
    assert not (tmp_path / "set").exists()


def test_what_is_no_set_is_refused(versions: Path, built: Path, tmp_path: Path) -> None:
    assert "no such folder" in refused(InputError, "show", tmp_path / "nowhere")
    message = refused(InputError, "export", versions, "--npz", tmp_path / "x.npz")
    assert message.startswith(f"{versions}: not the folder of an adversarial set")
    study = tmp_path / "study"
    (study / "adversarial").mkdir(parents=True)
    assert f"did you mean {study / 'adversarial'}?" in refused(InputError, "show", study)
    damaged = tmp_path / "damaged"
    AdversarialSet.load(built).save(damaged)
    (damaged / "images.safetensors").write_bytes(b"no")
    assert "not readable" in refused(ArtefactError, "show", damaged)


@pytest.mark.parametrize("command", ["build", "show", "export"])
def test_help_has_an_example(command: str) -> None:
    assert f"nversion adversarial {command} " in " ".join(output(command, "--help").split())
