"""Studies of versions that were not trained here, alone and beside trained ones."""

from __future__ import annotations

import copy
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

import nversion as nv
from nversion.cli.app import app
from nversion.errors import ArtefactError, ConfigError, InputError, NVersionError
from nversion.files import read_object, read_tensor, sha256_of_file, write_json
from nversion.formats import load_version
from nversion.formats.writing import quiet
from nversion.models import predict
from nversion.replication import ReplicationFolder, replicate
from nversion.replication.campaign import planned
from nversion.replication.teachers import study_teachers
from nversion.report import write_report
from nversion.study import load_config, make_config, run_study
from nversion.study.config import seen_from
from nversion.study.planning import calibration
from nversion.study.planning.plan import plan_study
from nversion.study.sections import Results
from nversion.study.stages.adopting import study_sources
from nversion.study.stages.replicating import replication_settings
from nversion.workers import Where

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


class Trained(nn.Module):
    """A network on images from 0 to 255, with what no linear bounds are known of."""

    def __init__(self, network: nn.Sequential, between: nn.Module) -> None:
        super().__init__()
        self.flat, self.first, _, self.last = network
        self.between = between

    def forward(self, images: Tensor) -> Tensor:
        result: Tensor = self.last(self.between(self.first(self.flat(images / 255.0))))
        return result


def network(between: nn.Module, seed: int) -> nn.Module:
    """Return a small network: its features are random, its last layer is ridge regression's."""
    data = nv.load_dataset("digits")
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 60), between, nn.Linear(60, 10)).eval()
    targets = nn.functional.one_hot(data.train.labels, 10).float() * 10.0
    with torch.no_grad():
        features = model[:3](data.train.images)
        ones = torch.cat([features, torch.ones(len(features), 1)], dim=1)
        ones, targets = ones.double(), targets.double()
        solved = torch.linalg.solve(ones.T @ ones + 0.1 * torch.eye(61), ones.T @ targets)
        model[3].weight.copy_(solved[:-1].T)
        model[3].bias.copy_(solved[-1])
    return Trained(model, between).eval()


def saved(path: Path, model: nn.Module, shape: tuple[int, ...] = (1, 8, 8)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with quiet():
        shapes = ({0: torch.export.Dim("n")},)
        program = torch.export.export(model, (torch.rand(2, *shape),), dynamic_shapes=shapes)
        torch.export.save(program, path)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Three files: one that cannot be certified, one that can, and one of other images."""
    folder = tmp_path_factory.mktemp("files")
    wrong = nn.Sequential(nn.Flatten(), nn.Linear(9, 10)).eval()
    made = [
        saved(folder / "one" / "net.pt2", network(nn.GELU(), 1)),
        saved(folder / "two" / "net.pt2", network(nn.ReLU(), 2)),
        saved(folder / "small.pt2", wrong, (1, 3, 3)),
    ]
    # One as seen from here, the others from anywhere.
    return [str(made[0]), os.path.relpath(made[1]), str(made[2])]


@pytest.fixture(scope="module")
def config(tiny: dict[str, Any], files: list[str]) -> dict[str, Any]:
    """A study of one trained version and two from files; a third cannot be one."""
    values = copy.deepcopy(tiny)
    fed = f"net.pt2:range=0:255,classes={':'.join(WORDS)}"
    values["versions"] |= {"count": 1, "files": files, "inputs": [fed]}
    values["attacks"] |= {"names": ["gradient-sign"], "images": 2, "options": {}}
    values["whole"] |= {"images": 0}
    values["certification"] |= {"images": 2, "random_target_images": 0, "program_versions": 3}
    small = Path(files[0]).parent / "small.txt"
    small.write_text("dense, 8, relu\n")
    values["replication"] = {
        "repeats": 1,
        "objectives": ["vote"],
        "architecture": str(small),
        "radius_images": 0,
        "box_images": 0,
        "attack_images": 0,
    }
    return values


@pytest.fixture(scope="module")
def study(
    config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("foreign") / "study"
    return folder, run_study(make_config(config), folder).to_json()


def test_files_are_attacked_voted_on_and_say_where_they_are_from(
    study: tuple[Path, dict[str, Any]], files: list[str]
) -> None:
    folder, results = study
    rows = {row["name"]: row for row in results["versions"]}
    assert list(rows) == ["a", "one-net", "two-net", "small"]
    data = nv.load_dataset("digits")
    for name, file in zip(("one-net", "two-net"), files, strict=False):
        row = rows[name]
        version = load_version(file, "range=0:255")
        right = predict(version.model, data.test.images) == data.test.labels
        assert row["test_accuracy"] == pytest.approx(float(right.double().mean()))
        assert row["test_accuracy"] > 0.6
        assert row["origin"]["format"] == version.record.origin.format  # type: ignore[union-attr]
        assert row["origin"]["sha256"] == sha256_of_file(Path(file))
        assert row["status"] == "loaded"
        assert row["kind"] == "dense"
        assert (folder / "adversarial" / "runs" / name / "gradient-sign.safetensors").is_file()
    assert results["program"]["versions"] == ["a", "one-net", "two-net"]
    assert "takes images of [1, 3, 3]" in rows["small"]["error"]


def test_the_folder_names_files_as_they_lie_beside_it(
    study: tuple[Path, dict[str, Any]], files: list[str]
) -> None:
    folder, results = study
    beside = Path(os.path.relpath(Path(files[1]).resolve(), folder.resolve())).as_posix()
    # Of whole paths the results tell the last part alone.
    assert results["study"]["config"]["versions"]["files"] == ["net.pt2", beside, "small.pt2"]
    read = seen_from(load_config(folder / "study.toml"), folder, Path())
    assert read["versions"]["files"] == files
    values = {"versions": {"inputs": ["sub/a.onnx:mean=1", "a.onnx:mean=1", "mean=1"]}}
    moved = seen_from(values, Path(), Path("study"))["versions"]["inputs"]
    assert moved == ["../sub/a.onnx:mean=1", "a.onnx:mean=1", "mean=1"]


def test_no_file_that_leaves_the_folder_says_where_it_lay(
    study: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, results = study
    assert results["study"]["class_names"] == list(WORDS)
    write_report(Results.of(results), tmp_path)
    places = [tmp_path / "index.html", folder / "results.json"]
    for form in ("json", "modelcard", "cyclonedx", "spdx", "ltac"):
        places.append(tmp_path / form)
        words = ("evidence", folder, "--as", form, "--out", places[-1])
        done = CliRunner().invoke(app, [*map(str, words)])
        assert done.exit_code == 0, done.output
    for place in places:
        text = place.read_text("utf-8")
        assert str(folder.parent.parent) not in text
        assert str(Path.home()) not in text
        assert str(Path(nv.__file__).parents[2]) not in text


def test_what_cannot_be_certified_is_a_failure_with_its_module(
    study: tuple[Path, dict[str, Any]],
) -> None:
    results = study[1]
    failed = {one["unit"]: one["error"] for one in results["study"]["failures"]}
    assert set(failed) == {"versions/small", "certificates/versions/one-net/l2-ball-000"}
    assert "GELU" in failed["certificates/versions/one-net/l2-ball-000"]
    voted = results["certification"]["program"]
    assert voted["versions"] == ["a", "two-net"]
    assert voted["versions_of"] == 3
    assert results["distillation"]["student"]["certified_l2"] is not None


def test_the_report_shows_the_files(study: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    results = Results.of(study[1])
    page = write_report(results, tmp_path).read_text("utf-8")
    origin = study[1]["versions"][1]["origin"]
    assert f"net.pt2, {origin['format']}, SHA-256 {origin['sha256'][:12]}…" in page
    assert "which could be certified: a, two-net" in page


def test_files_teach_again_and_again_as_trained_versions_do(
    study: tuple[Path, dict[str, Any]], config: dict[str, Any], files: list[str], tmp_path: Path
) -> None:
    folder, results = study
    found = results["replication"]
    assert found["versions"] == ["a", "one-net", "two-net"]
    assert list(found["networks"]["vote"]) == ["0"]
    data = nv.load_dataset("digits")
    said = read_tensor(folder / "replication" / "outputs" / "two-net.safetensors", "probabilities")
    theirs = load_version(files[1], "range=0:255").model
    with torch.no_grad():
        assert torch.allclose(said, theirs(data.train.images).softmax(dim=1), atol=1e-5)
    # Of the program that which files compute counts too, and the best may be one of them.
    program, *_, best = found["costs"]
    rows = {row["name"]: row for row in results["versions"]}
    assert program["multiply_adds"] == 64 * 24 + 24 * 10 + 2 * (64 * 60 + 60 * 10)
    assert program["parameters"] == sum(rows[name]["parameters"] for name in found["versions"])
    most = max(found["versions"], key=lambda name: rows[name]["test_accuracy"])
    assert best["name"] == f"best version, {most}"
    # The command finds the same teachers in the folder, and the networks that are there.
    settled = make_config(config)
    teachers = study_teachers(folder, None, settled.replication.architecture)
    settings = replication_settings(settled, data)
    place = ReplicationFolder(folder / "replication")
    weights = [one.weights for one in teachers.versions]
    wanted = planned(settings, place, data.digest, weights, teachers.adversarial)
    assert [read_object(work.path)["digest"] for work in wanted] == [work.digest for work in wanted]
    # A version whose file has changed does not teach, and is named.
    changed = shutil.copytree(folder / "versions", tmp_path / "versions") / "one-net"
    values = read_object(changed / "foreign.json")
    write_json(changed / "foreign.json", {**values, "path": files[1]})
    with pytest.raises(ArtefactError, match="one-net: cannot be asked, and so not teach"):
        replicate(
            settings,
            data,
            [folder / "versions" / "a", changed],
            tmp_path / "out",
            where=Where.of(1, "threads", "", "cpu"),
        )


def test_a_second_run_keeps_everything_but_what_failed(
    study: tuple[Path, dict[str, Any]], config: dict[str, Any]
) -> None:
    said: list[str] = []
    run_study(make_config(config), study[0], say=said.append)
    assert "attacking versions: 3 kept" in said
    again = [line for line in said if "to do" in line]
    assert [line.split(":")[0] for line in again] == [
        "trying versions from files",
        "certifying the versions",
    ]


def test_a_version_in_the_study_refers_to_its_file(
    study: tuple[Path, dict[str, Any]], files: list[str], tmp_path: Path
) -> None:
    folder = study[0] / "versions" / "one-net"
    version = load_version(folder)
    assert version.name == "one-net"
    data = nv.load_dataset("digits")
    right = predict(version.model, data.test.images) == data.test.labels
    assert float(right.double().mean()) == study[1]["versions"][1]["test_accuracy"]
    # Commands take the study, and the folder.
    shown = CliRunner().invoke(app, ["diversity", str(study[0]), "--resamples", "0", "--json"])
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.stdout)["names"] == ["a", "one-net", "two-net"]
    # It is found from wherever the folder lies, if the file lies as it did, or in the folder.
    values = json.loads((folder / "foreign.json").read_text())
    assert not Path(values["path"]).is_absolute()
    moved = tmp_path / "moved" / "farther" / "versions" / "one-net"
    moved.mkdir(parents=True)
    shutil.copy(folder / "foreign.json", moved)
    with pytest.raises(InputError, match=r"put net\.pt2 \(SHA-256"):
        load_version(moved)
    shutil.copy(files[0], moved.parents[1])
    assert load_version(moved).name == "one-net"
    # Another file in its place is no version of the study any more.
    other = tmp_path / "other"
    other.mkdir()
    (other / "foreign.json").write_text(
        json.dumps({**values, "path": str(Path(files[1]).resolve())})
    )
    with pytest.raises(ArtefactError, match="its SHA-256 is another"):
        load_version(other)


def test_a_study_of_files_alone_trains_student_and_baseline_only(
    config: dict[str, Any], files: list[str], tmp_path: Path
) -> None:
    values = copy.deepcopy(config)
    del values["versions"]["count"]
    values["versions"]["files"] = files[:2]
    values["certification"]["program_images"] = 0
    settled = make_config(values)
    assert settled.versions.count == 0
    results = run_study(settled, tmp_path / "study").to_json()
    assert [row["name"] for row in results["versions"]] == ["one-net", "two-net"]
    assert results["study"]["failures"] == []
    assert len(results["questions"]) == 4
    # What images they are of the study knows, though none was trained here.
    shown = CliRunner().invoke(app, ["vote", str(tmp_path / "study"), "--json"])
    assert shown.exit_code == 0, shown.output
    facts = json.loads(shown.stdout)
    assert facts["dataset"] == "digits"
    assert [row["name"] for row in facts["versions"]] == ["one-net", "two-net"]


def test_a_plan_counts_files(
    config: dict[str, Any], files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "TRAINING_SECONDS", 0.02)
    monkeypatch.setattr(calibration, "ATTACK_SECONDS", 0.2)
    values = copy.deepcopy(config)
    values["versions"] |= {"files": files[:2], "count": 0}
    stages = {stage.name: stage for stage in plan_study(make_config(values), tmp_path).stages}
    assert stages["versions"].units == 2
    assert stages["attacks"].units == 2 + 2
    # Two networks, two teachers that are asked, and the costs.
    assert stages["replication"].units == 2 + 2 + 1


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"files": ["none.onnx"]}, "none.onnx: no such folder or file"),
        ({"count": 0}, "versions.count: must be at least 1, or versions.files must name some"),
        (
            {"inputs": ["range=0:255"]},
            "versions.inputs: say how versions.files are fed, and there are none",
        ),
        ({"files": ["FIRST"], "inputs": ["nte.pt2:range=0:255"]}, "did you mean 'net.pt2'"),
        ({"files": ["FIRST", "FIRST"]}, "two versions are called one-net"),
        ({"files": ["weights.safetensors"]}, "--trust"),
    ],
)
def test_wrong_sections_are_refused_before_anything_is_written(
    section: dict[str, Any],
    said: str,
    files: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.safetensors").touch()
    if "files" in section:
        section = {**section, "files": [files[0] if f == "FIRST" else f for f in section["files"]]}
    with pytest.raises(NVersionError) as raised:
        run_study(make_config({"versions": section}), tmp_path / "study")
    assert isinstance(raised.value, ConfigError)
    assert said in str(raised.value)
    assert not (tmp_path / "study").exists()


def test_the_file_of_a_program_stands_for_its_versions(tmp_path: Path) -> None:
    data = nv.load_dataset("digits")
    program = nv.Program([network(nn.ReLU(), seed) for seed in range(2)])
    nv.export(program, tmp_path / "two.pt2", data.test.images[:4])
    sources = study_sources(make_config({"versions": {"files": [str(tmp_path / "two.pt2")]}}), data)
    assert list(sources) == ["v001", "v002"]
    loaded = [source.load().model for source in sources.values()]
    with torch.no_grad():
        for one, other in zip(loaded, program.models, strict=True):
            assert torch.allclose(one(data.test.images[:4]), other(data.test.images[:4]), atol=1e-5)
