"""`nversion vote`: how often a program is right, beside its versions."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from nversion.cli.app import app
from nversion.cli.options import VOTERS
from nversion.datasets import load_dataset
from nversion.errors import ArtefactError, InputError, NVersionError
from nversion.models import predict
from nversion.program import Program, voter_names
from nversion.versions import Version


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["vote", *map(str, words)])


def facts(*words: object) -> Any:
    result = run(*words, "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout)


@pytest.mark.parametrize("voter", ["mean-softmax", "majority", "k-of-n"])
def test_the_numbers_are_the_programs(versions: Path, voter: str) -> None:
    test = load_dataset("digits").test
    models = [Version.load(versions / name).model for name in ("a", "b")]
    verdict = Program(models, voter).vote(test.images)
    values = facts(versions / "a", versions / "b", "--voter", voter)
    right = verdict.labels == test.labels
    abstained = int((verdict.labels == -1).sum())
    assert values["images"] == len(test)
    assert values["accuracy"] == pytest.approx(float(right.double().mean()))
    assert values["abstentions"] == abstained
    assert values["wrong"] == len(test) - int(right.sum()) - abstained
    assert values["agreement"] == pytest.approx(float(verdict.agreement.double().mean()))
    individual = [float((predict(m, test.images) == test.labels).double().mean()) for m in models]
    assert [one["name"] for one in values["versions"]] == ["a", "b"]
    assert [one["accuracy"] for one in values["versions"]] == pytest.approx(individual)
    assert values["best_individual"] == max(values["versions"][i]["accuracy"] for i in (0, 1))
    assert (abstained > 0) == (voter != "mean-softmax")  # two versions, so a vote is often a tie


def test_the_table_has_a_row_for_each_version(versions: Path) -> None:
    result = run(versions / "a", versions / "b", "--voter", "k-of-n", "--k", "2", "--images", "50")
    lines = result.stdout.splitlines()
    values = facts(versions / "a", versions / "b", "--voter", "k-of-n", "--k", "2", "--images", 50)
    assert lines[0] == (
        f"program of 2 (k-of-n, k=2) on 50 test images of digits: {values['accuracy']:.2%} right"
    )
    rows = [line.split() for line in lines]
    for one in values["versions"]:
        assert [one["name"], f"{one['accuracy']:.2%}"] in rows
    assert ["abstained", f"{values['abstentions'] / 50:.2%}"] in rows


def test_one_version_votes_for_itself(versions: Path) -> None:
    values = facts(versions / "a")
    assert values["accuracy"] == values["best_individual"]
    assert values["agreement"] == values["unanimous"] == 1.0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--voter", "loudest"), "no voter is called 'loudest'"),
        (("--k", "2"), "has no option 'k'"),
        (("--voter", "k-of-n", "--k", "3"), "k is 3, but there are 2 versions only"),
        (("--voter", "k-of-n", "--k", "0"), "at least 1"),
        (("--data", "digit"), "did you mean 'digits'?"),
    ],
)
def test_wrong_input_is_refused(versions: Path, words: tuple[str, ...], message: str) -> None:
    result = run(versions / "a", versions / "b", *words)
    assert isinstance(result.exception, NVersionError)
    assert message in str(result.exception)


def test_a_folder_that_is_no_version_is_refused(versions: Path, tmp_path: Path) -> None:
    assert isinstance(run(versions / "a", tmp_path / "none").exception, InputError)
    assert "named twice" in str(run(versions / "a", versions / "a").exception)


def test_the_help_names_every_voter() -> None:
    names, _, others = VOTERS.rpartition(", or ")
    assert names.split(", ") == voter_names()
    assert others == "a plugin's"


def test_voters_are_listed_with_what_is_known_of_them() -> None:
    lines = [line.split() for line in run("--voters").stdout.splitlines() if line.strip()]
    rows = {line[0]: line for line in lines}
    assert set(voter_names()) <= set(rows)
    assert rows["mean-softmax"][1:4] == ["yes", "yes", "yes"]
    assert rows["consensus"][1:4] == ["no", "yes", "no"]


def test_a_verdict_may_be_withheld(versions: Path) -> None:
    words = (versions / "a", versions / "b", "--images", 80)
    plain = facts(*words)
    withheld = facts(*words, "--abstain", "agreement=1")
    assert plain["abstentions"] == 0
    assert withheld["abstentions"] > 0
    assert withheld["coverage"] == 1 - withheld["abstentions"] / 80
    assert withheld["rules"]["abstention"] == "where the agreement is below 1"
    assert withheld["confidence"] == "agreement"
    assert 0.0 < withheld["area"] <= 1.0


def test_weights_are_given_or_fitted(versions: Path) -> None:
    words = (versions / "a", versions / "b", "--images", 80, "--voter", "plurality")
    assert facts(*words, "--weights", "1,4")["weights"] == [0.25, 1.0]
    result = run(*words, "--weights", "log-odds", "--held-out", 300, "--json")
    assert max(json.loads(result.stdout)["weights"]) == 1.0
    assert "fitted on the last 300 training images" in result.stderr
    for more, message in (
        (("--weights", "1,2,3"), "each of the 2 versions"),
        (("--weights", "1,-2"), "positive numbers"),
        (("--weights", "log-ods"), "did you mean 'log-odds'"),
        (("--abstain", "margn=0.1"), "did you mean 'margin'"),
        (("--abstain", "margin=7"), "in [0, 1]"),
        (("--voter", "consensus", "--weights", "1,2"), "counts all versions alike"),
    ):
        assert message in str(run(*words, *more).exception)


def export(path: Path, **arrays: object) -> Path:
    """Write digits' first images as an exported set has them; all of class 3 and below."""
    test = load_dataset("digits").test
    rows = (test.labels <= 3).nonzero().flatten()[:40]
    names = np.array(["a"] * len(rows))
    values = {
        "images": test.images[rows].numpy(),
        "labels": test.labels[rows].numpy(),
        "predictions": test.labels[rows].numpy() + 1,
        "test_indices": rows.numpy(),
        "versions": names,
        "attacks": names,
    }
    np.savez(path, **{**values, **arrays})
    return path


def test_an_exported_set_is_voted_on_whole(versions: Path, tmp_path: Path) -> None:
    result = run(versions / "a", "--data", export(tmp_path / "set.npz"), "--json")
    assert json.loads(result.stdout)["images"] == 40
    assert "note: all 40 images of set are to test on\n" in result.stderr


def test_of_an_undivided_file_it_is_said_how_many_are_taken(versions: Path, tmp_path: Path) -> None:
    whole = load_dataset("digits").test
    np.savez(tmp_path / "own.npz", images=whole.images.numpy(), labels=whole.labels.numpy())
    result = run(versions / "a", "--data", tmp_path / "own.npz", "--json")
    taken = json.loads(result.stdout)["images"]
    assert f"of {len(whole)} images of own, {taken} are to test on, and only these" in result.stderr
    assert 0 < taken < len(whole) / 4


def test_an_exported_set_of_other_classes_is_refused(versions: Path, tmp_path: Path) -> None:
    path = export(tmp_path / "set.npz", labels=np.full(40, 2**31 - 1))
    result = run(versions / "a", "--data", path)
    assert isinstance(result.exception, InputError)
    assert "in 2147483648; name another --data" in str(result.exception)


def test_a_flipped_byte_in_the_weights_is_refused(versions: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(versions / "a", tmp_path / "a")
    data = bytearray((folder / "weights.safetensors").read_bytes())
    data[-9] ^= 0x40
    (folder / "weights.safetensors").write_bytes(data)
    result = run(folder)
    assert isinstance(result.exception, ArtefactError)
    assert "weights.safetensors: was changed or damaged" in str(result.exception)


def test_of_a_record_without_checksums_it_is_said(versions: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(versions / "a", tmp_path / "a")
    values = json.loads((folder / "record.json").read_text())
    del values["sha256"]
    (folder / "record.json").write_text(json.dumps({**values, "format": 1}))
    result = run(folder, "--images", 5)
    assert result.exit_code == 0
    assert f"note: the record of {folder} holds no checksums" in result.stderr
    assert "holds no checksums" not in run(versions / "a", "--images", 5).stderr
