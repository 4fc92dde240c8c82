"""`nversion certify`: its numbers are the library's, and it refuses what it cannot do."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

from nversion.certification.smoothing import certify_smoothing
from nversion.cli import request
from nversion.cli.app import app
from nversion.cli.request import CONFIDENCE, SAMPLES, SIGMA, STEPS, Options
from nversion.datasets import load_dataset
from nversion.errors import ArtefactError, InputError, NVersionError
from nversion.models import predict
from nversion.program import Program, compare_with_versions, create_voter
from nversion.program.campaigns import certifying
from nversion.program.campaigns.request import Request, Smoothing
from nversion.program.dispatch import certify as certify_model
from nversion.versions import Version

COUNT = 23
"""More than two parts of ten."""


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["certify", *map(str, words)])


def output(*words: object) -> str:
    result = run(*words, "--workers", "1")
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def facts(*words: object) -> Any:
    return json.loads(output(*words, "--json"))


def digits(count: int = COUNT) -> tuple[torch.Tensor, torch.Tensor]:
    test = load_dataset("digits").test
    return test.images[:count], test.labels[:count]


@pytest.mark.parametrize(("domain", "box"), [("--box", (0.0, 1.0)), ("--ball", None)])
def test_the_radii_are_the_librarys(
    versions: Path, domain: str, box: tuple[float, float] | None
) -> None:
    values = facts(versions / "a", "--images", COUNT, "--norm", "2,inf", domain)
    images, labels = digits()
    model = Version.load(versions / "a").model
    assert list(values["norms"]) == ["2", "inf"]
    for norm, found in values["norms"].items():
        radii = certify_model(model, images, labels, norm, box=box)
        # Other batches add up in another order.
        assert torch.tensor(found["radii"]).allclose(radii, rtol=1e-3)
        own = np.array(found["radii"])
        assert found["mean"] == pytest.approx(own.mean())
        assert found["median"] == pytest.approx(np.median(own))
        assert found["seconds_per_image"] > 0
        for entry in found["certified"]:
            assert entry["share"] == pytest.approx((own >= entry["radius"]).mean())
    predicted = predict(model, images)
    assert values["predictions"] == predicted.tolist()
    assert values["labels"] == labels.tolist()
    assert values["accuracy"] == pytest.approx(float((predicted == labels).float().mean()))
    assert values["box"] == (None if box is None else [0.0, 1.0])
    assert values["voter"] is None


def test_the_table_says_what_was_certified(versions: Path) -> None:
    lines = output(versions / "a", "--images", "12", "--ball", "--at", "0.01,9").splitlines()
    assert lines[0].startswith("a on the first 12 test images of digits, ")
    assert lines[0].endswith("method linear; the whole ball")
    assert [line for line in lines if line.startswith("certified")] == [
        f"certified radius in L{norm}" for norm in ("1", "2", "inf")
    ]
    rows = [line.split() for line in lines if line.startswith("  a ")]
    assert len(rows) == 3
    for row in rows:
        assert 0 < float(row[1]) < 2
        assert (row[4], row[5]) == ("0.0%", "12")
        assert float(row[3].rstrip("%")) > 80


def test_methods_differ_as_they_should(versions: Path) -> None:
    words = (versions / "a", "--images", "5", "--norm", "2", "--ball", "--method")
    means = [facts(*words, name)["norms"]["2"]["mean"] for name in ("interval", "linear", "alpha")]
    assert 0 < means[0] < means[1] <= means[2]


def test_a_random_target_is_the_librarys_and_larger(versions: Path) -> None:
    words = (versions / "a", "--images", COUNT, "--norm", "2", "--ball", "--seed", "5")
    values = facts(*words, "--target", "random")
    images, labels = digits()
    model = Version.load(versions / "a").model
    radii = certify_model(model, images, labels, 2, box=None, target="random", seed=5)
    found = torch.tensor(values["norms"]["2"]["radii"])
    assert found.allclose(radii, rtol=1e-3)
    assert found.mean() > facts(*words)["norms"]["2"]["mean"]
    assert "no proof that the class stays" in output(*words, "--target", "random")


@pytest.mark.parametrize("voter", ["mean-softmax", "majority"])
def test_a_program_is_certified_beside_its_versions(versions: Path, voter: str) -> None:
    words = (versions / "a", versions / "b", "--images", "11", "--norm", "2", "--ball")
    values = facts(*words, "--voter", voter, "--compare")
    images, labels = digits(11)
    models = [Version.load(versions / name).model for name in ("a", "b")]
    expected = compare_with_versions(Program(models, voter), images, labels, 2, box=None)
    found = values["norms"]["2"]
    assert values["voter"] == {"name": voter}
    assert torch.tensor(found["radii"]).allclose(expected.program, rtol=5e-3)
    own = torch.tensor([found["versions"][name]["radii"] for name in ("a", "b")])
    assert own.allclose(expected.versions, rtol=1e-3)
    comparison = found["comparison"]
    assert comparison["best_version"] == ("a", "b")[expected.best_version]
    assert comparison["best_mean"] == pytest.approx(expected.best_mean, rel=1e-3)
    middle = comparison["median_version"]
    assert middle["mean"] == pytest.approx(expected.median_mean, rel=1e-3)
    assert middle["median"] == pytest.approx(own.double().quantile(0.5, dim=1).mean())
    text = output(*words, "--voter", voter, "--compare")
    assert text.startswith(f"program of 2 ({voter}) on the first 11")
    assert f"best version ({comparison['best_version']})" in text
    assert "median of the versions" in text


def test_k_reaches_the_voter(versions: Path) -> None:
    words = (versions / "a", versions / "b", "--images", "4", "--norm", "inf", "--ball")
    values = facts(*words, "--voter", "k-of-n", "--k", "1")
    images, labels = digits(4)
    models = [Version.load(versions / name).model for name in ("a", "b")]
    program = Program(models, create_voter("k-of-n", k=1))
    expected = certify_model(program, images, labels, "inf", box=None)
    assert values["voter"] == {"name": "k-of-n", "k": 1}
    assert "comparison" not in values["norms"]["inf"]
    assert torch.tensor(values["norms"]["inf"]["radii"]).allclose(expected, rtol=5e-3)


def test_steps_reach_the_slopes(versions: Path) -> None:
    words = (versions / "a", "--images", "4", "--norm", "2", "--method", "alpha", "--steps", "4")
    values = facts(*words)
    images, labels = digits(4)
    model = Version.load(versions / "a").model
    expected = certify_model(model, images, labels, 2, method="alpha", steps=4)
    assert values["steps"] == 4
    assert values["norms"]["2"]["radii"] == expected.tolist()


def test_smoothing_states_its_confidence(versions: Path) -> None:
    words = [versions / "a", "--method", "smoothing", "--images", "12", "--samples", "300"]
    words += ["--sigma", "0.2", "--confidence", "0.99", "--seed", "4"]
    values = facts(*words)
    images, labels = digits(12)
    model = Version.load(versions / "a").model
    expected = certify_smoothing(model, images, 0.2, samples=300, confidence=0.99, seed=4)
    found = values["smoothing"]
    assert list(values["norms"]) == ["2"]
    assert values["norms"]["2"]["radii"] == expected.radii_for(labels).tolist()
    assert found["classes"] == expected.labels.tolist()
    assert found["abstentions"] == int((expected.labels < 0).sum())
    assert found["confidence_of_all"] == pytest.approx(0.88)
    assert values["box"] is None
    text = output(*words)
    assert "with a probability of at least 0.99, all 12 of them with at least 0.880" in text
    assert "300 noisy copies" in text


def test_smoothing_takes_a_program(versions: Path) -> None:
    words = (versions / "a", versions / "b", "--method", "smoothing", "--samples", "100")
    values = facts(*words, "--images", "3", "--voter", "majority", "--confidence", "0.6")
    assert values["voter"] == {"name": "majority"}
    assert values["smoothing"]["confidence_of_all"] == 0.0
    assert values["norms"]["2"]["mean"] > 0


def test_radii_are_written_image_by_image(versions: Path, tmp_path: Path) -> None:
    words = (versions / "a", versions / "b", "--compare", "--images", "6", "--norm", "1", "--ball")
    values = facts(*words, "--out", tmp_path / "deep" / "radii.json")
    assert json.loads((tmp_path / "deep" / "radii.json").read_text("utf-8")) == values
    path = tmp_path / "radii.npz"
    assert output(*words, "--out", path).rstrip().endswith(f"radii of each image: {path}")
    with np.load(path, allow_pickle=False) as arrays:
        radii = np.array(values["norms"]["1"]["radii"], np.float32)
        assert arrays["radii_1"].dtype == np.float32
        assert np.array_equal(arrays["radii_1"], radii)
        assert arrays["versions_radii_1"].shape == (2, 6)
        assert arrays["labels"].tolist() == values["labels"]
        assert json.loads(str(arrays["facts"]))["models"] == ["a", "b"]


def test_several_processes_give_the_same(versions: Path) -> None:
    words = (versions / "a", "--images", "25", "--norm", "2", "--ball", "--json")
    one, two = (
        json.loads(run(*words, "--workers", number).stdout)["norms"]["2"]["radii"]
        for number in (1, 2)
    )
    assert one == two


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--norm", "3"), "norm must be 1, 2 or inf, not '3'"),
        (("--norm", "2,2.0"), "names one norm twice"),
        (("--norm", ""), "norm must be"),
        (("--method", "crown"), "--method must be one of interval, linear, alpha, smoothing"),
        (("--target", "runner-up"), "--target must be all or random"),
        (("--at", "0.1,x"), "--at 0.1,x: must be positive numbers"),
        (("--at", "nan"), "must be positive numbers"),
        (("--voter", "majority"), "--voter: one network does not vote"),
        (("--k", "2"), "--k: one network"),
        (("--compare",), "--compare: one network"),
        (("--sigma", "0.1"), "--sigma: only --method smoothing has it"),
        (("--samples", "10"), "--samples: only"),
        (("--confidence", "0.9"), "--confidence: only"),
        (("--method", "smoothing", "--norm", "1"), "smoothing certifies L2 only"),
        (("--method", "smoothing", "--box"), "smoothing certifies the whole ball"),
        (("--method", "smoothing", "--sigma", "-1"), "sigma must be a positive number"),
        (("--method", "smoothing", "--confidence", "1"), "confidence must lie in"),
        (("--out", "radii.csv"), "must end in .json or .npz"),
        (("--out", "folder.json"), "is a folder"),
        (("--workers", "many"), "workers must be auto or a number"),
        (("--data", "digit"), "did you mean 'digits'?"),
    ],
)
def test_wrong_input_is_refused(
    versions: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder.json").mkdir()
    result = run(versions / "a", "--images", "2", *words)
    assert isinstance(result.exception, NVersionError)
    assert message in str(result.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.json"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--target", "random"), "--target random: a vote has no target"),
        (("--voter", "mean"), "no voter is called 'mean'"),
        (("--k", "2"), "has no option 'k'"),
        (("--voter", "k-of-n", "--k", "3"), "k is 3, but there are 2 versions only"),
        (("--method", "smoothing", "--compare"), "smoothing compares nothing"),
    ],
)
def test_wrong_input_for_a_program_is_refused(
    versions: Path, words: tuple[str, ...], message: str
) -> None:
    result = run(versions / "a", versions / "b", "--images", "2", *words)
    assert isinstance(result.exception, InputError)
    assert message in str(result.exception)


def test_folders_that_are_no_versions_are_refused(versions: Path, tmp_path: Path) -> None:
    result = run(versions / "a", versions / ".." / versions.name / "a")
    assert isinstance(result.exception, InputError)
    assert "is named twice" in str(result.exception)
    assert "no such folder" in str(run(tmp_path / "none").exception)
    damaged = Version.load(versions / "a").save(tmp_path / "damaged")
    (damaged / "weights.safetensors").write_bytes(b"no")
    assert isinstance(run(damaged).exception, ArtefactError)
    result = run(versions / "a", "--engine", "threads", "--workers", "2")
    assert isinstance(result.exception, InputError)
    assert "computed on the processor" in str(result.exception)
    assert run().exit_code == 2
    assert run(versions / "a", "--images", "0").exit_code == 2


def test_versions_of_one_name_are_told_apart_by_folder(versions: Path, tmp_path: Path) -> None:
    other = Version.load(versions / "a").save(tmp_path / "copy")
    values = facts(versions / "a", other, "--images", "2", "--norm", "2", "--ball")
    assert values["models"] == [str(versions / "a"), str(other)]


def test_infinite_radii_are_counted_apart_and_are_finite_json(
    versions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    radii = torch.tensor([0.5, math.inf, 0.0, math.inf])
    monkeypatch.setattr(
        "nversion.program.campaigns.certifying.certify", lambda *given, **options: radii
    )
    words = (versions / "a", "--images", "4", "--norm", "2")
    printed = output(*words)
    assert "infinite radii are counted apart" in printed
    found = facts(*words)["norms"]["2"]
    assert found["radii"] == [0.5, None, 0.0, None]
    assert (found["mean"], found["median"], found["infinite"]) == (0.25, 0.25, 2)
    output(*words, "--out", tmp_path / "radii.npz")
    assert np.load(tmp_path / "radii.npz")["radii_2"].tolist() == radii.tolist()


@pytest.mark.parametrize("method", ["linear", "smoothing"])
def test_what_is_not_said_is_the_librarys(method: str) -> None:
    silent = (None, method, None, None, None, False, "all", None, None, None, None, None, 0)
    asked = Options(*silent).request()
    if method == "linear":
        assert asked == Request()
    else:
        assert asked == Request(("2",), box=None, smoothing=Smoothing())
    assert Request().steps == STEPS
    assert Smoothing() == Smoothing(SIGMA, SAMPLES, CONFIDENCE)


def test_the_librarys_files_are_the_commands() -> None:
    assert request.FILES == certifying.FILES
