from __future__ import annotations

import contextlib
import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

import nversion as nv
from nversion.adversarial import AdversarialSet, AttackExample, AttackRun
from nversion.datasets import load_dataset
from nversion.errors import NVersionError, StudyError
from nversion.models import predict
from nversion.study import make_config, run_study
from nversion.study.config import save_config
from nversion.study.folder import StudyFolder
from nversion.versions import Version

from .conftest import comparable

KEYS = {
    "study": "name dataset seed versions commit device wall_seconds",
    "program": "voter accuracy_by_n mean_individual best_individual accuracy test_accuracy",
    "adversarial_set": "size per_attack per_version",
}
VERSION = "name architecture parameters train_accuracy test_accuracy adversarial_accuracy"
ATTACK = (
    "name tried succeeded effectiveness median_l0 median_l1 median_l2 median_linf seconds "
    "in_adversarial_set"
)
NETWORK = "test_accuracy certified_l1 certified_l2 adversarial_accuracy adversarial_frequency"


@pytest.fixture(scope="module")
def study(
    tiny: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("study") / "tiny"
    return folder, run_study(make_config(tiny), folder).to_json()


def test_results_have_every_key_of_the_design(study: tuple[Path, dict[str, Any]]) -> None:
    folder, results = study
    assert json.loads((folder / "results.json").read_text()) == results
    for section, keys in KEYS.items():
        assert set(keys.split()) <= results[section].keys()
    assert all(set(VERSION.split()) <= row.keys() for row in results["versions"])
    assert all(set(ATTACK.split()) <= row.keys() for row in results["attacks"])
    for role in ("baseline", "student"):
        assert set(NETWORK.split()) <= results["distillation"][role].keys()
        assert all(results["distillation"][role][key] is not None for key in NETWORK.split())
    assert 1 <= results["distillation"]["student_rank"] <= 4
    assert len(results["questions"]) == 4
    for question in results["questions"]:
        for path in question["rests_on"]:
            value: Any = results
            for key in path.split("."):
                value = value[key]
            assert value is not None


def test_both_protocols_and_the_vote_are_certified(study: tuple[Path, dict[str, Any]]) -> None:
    certified = study[1]["certification"]
    assert certified["random_target_images"] == 4
    for norm in ("1", "2"):
        for role in ("baseline", "student"):
            drawn = certified["norms_random_target"][norm][role]
            everything = certified["norms"][norm][role]["radii"]
            assert drawn["untargeted_mean"] == pytest.approx(sum(everything[:4]) / 4)
            assert all(
                one >= 0.99 * other for one, other in zip(drawn["radii"], everything, strict=False)
            )
    vote = certified["program"]
    assert (vote["versions_of"], vote["versions"]) == (3, study[1]["program"]["versions"][:2])
    found = vote["norms"]["2"]
    assert len(found["program"]["radii"]) == vote["images"] == 3
    assert found["best_version"]["mean"] == max(found["version_means"])


def test_what_is_certified_is_attacked_and_no_attack_is_nearer(
    study: tuple[Path, dict[str, Any]],
) -> None:
    certified = study[1]["certification"]
    assert certified["attack_passes"] == 200
    assert certified["attacked"].keys() == certified["norms"].keys() == {"1", "2"}
    for norm, pair in certified["attacked"].items():
        for role, found in pair.items():
            radii = certified["norms"][norm][role]["radii"]
            assert len(found["distances"]) == len(radii) == 5
            # An image is misclassified to both, or to neither.
            for distance, radius in zip(found["distances"], radii, strict=True):
                assert (distance == 0) == (radius == 0)
                assert distance is None or distance == 0 or distance > radius
            assert found["nearer"] == 0
            assert found["gap"] > 1
            assert 0 < found["passes"] < 300
    assert study[1]["study"]["failures"] == []


def test_the_numbers_are_what_the_artefacts_say(study: tuple[Path, dict[str, Any]]) -> None:
    folder, results = study
    place = StudyFolder(folder)
    adversarial = AdversarialSet.load(place.adversarial)
    assert results["adversarial_set"]["size"] == len(adversarial)
    assert sum(row["succeeded"] for row in results["attacks"]) >= len(adversarial)
    for row in results["versions"]:
        version = Version.load(place.version(row["name"]))
        assert row["test_accuracy"] == version.record.test_accuracy
        predictions = version.model(adversarial.images).argmax(dim=1)
        right = (predictions == adversarial.labels).double().mean()
        assert row["adversarial_accuracy"] == pytest.approx(float(right))
    assert results["program"]["accuracy_by_n"][-1] == results["program"]["accuracy"]


def test_images_from_one_test_image_count_once_in_every_comparison(
    study: tuple[Path, dict[str, Any]],
) -> None:
    folder, results = study
    place = StudyFolder(folder)
    adversarial = AdversarialSet.load(place.adversarial)
    sources = len(set(adversarial.test_indices.tolist()))
    assert sources < len(adversarial)
    assert results["adversarial_set"]["source_images"] == sources
    compared = results["comparisons"]["adversarial"]
    assert compared["shares"]["program"]["clusters"] == sources
    assert compared["shares"]["program"]["value"] == results["program"]["accuracy"]
    assert compared["program_and_baseline"]["clusters"] == sources
    assert compared["program_and_baseline"]["images"] == len(adversarial)
    assert results["program"]["accuracy_low"] <= results["program"]["accuracy"]
    best = compared["program_and_best_version"]
    others = adversarial.versions.index(best["name"])
    judged = adversarial.select(adversarial.version_ids != others)
    predictions = predict(Version.load(place.version(best["name"])).model, judged.images)
    assert best["images"] == len(judged)
    assert best["second"] == float((predictions == judged.labels).double().mean())
    row = next(row for row in results["versions"] if row["name"] == best["name"])
    assert best["second"] == pytest.approx(row["adversarial_accuracy_others"])
    for role in ("baseline", "student"):
        value = compared["shares"][role]["value"]
        assert value == pytest.approx(results["distillation"][role]["adversarial_accuracy"])


def test_accuracy_under_attack_is_that_of_the_runs(study: tuple[Path, dict[str, Any]]) -> None:
    folder, results = study
    place = StudyFolder(folder)
    names = [row["name"] for row in results["attacks"]]
    for row in results["under_attack"]:
        held = []
        for version in results["program"]["versions"]:
            runs = [AttackRun.load(place.run(version, name)) for name in names]
            least = torch.stack([getattr(run, row["norm"]) for run in runs]).amin(dim=0)
            held.append(least > row["radius"])
        assert row["value"] == pytest.approx(float(torch.cat(held).double().mean()))


def test_what_the_page_says_of_the_data_is_in_the_results(
    study: tuple[Path, dict[str, Any]],
) -> None:
    section = study[1]["study"]
    assert section["shape"] == [1, 8, 8]
    assert section["class_names"] == [str(digit) for digit in range(10)]


def test_what_is_right_by_class_adds_up_to_the_accuracies(
    study: tuple[Path, dict[str, Any]],
) -> None:
    _, results = study
    listed = {row["kind"]: row for row in results["by_class"]}
    twins = results["distillation"]
    best = max(results["versions"], key=lambda version: version["test_accuracy"])
    assert listed["version"]["name"] == best["name"]
    for kind, accuracy in (
        ("program", results["program"]["test_accuracy"]),
        ("version", best["test_accuracy"]),
        ("baseline", twins["baseline"]["test_accuracy"]),
        ("student", twins["student"]["test_accuracy"]),
    ):
        confusion = listed[kind]["confusion"]
        images = sum(map(sum, confusion)) + sum(listed[kind]["abstained"])
        assert images == results["study"]["test_images"]
        assert sum(row[n] for n, row in enumerate(confusion)) / images == pytest.approx(accuracy)


def test_student_and_baseline_are_compared_in_every_row(
    study: tuple[Path, dict[str, Any]],
) -> None:
    distillation = study[1]["distillation"]
    rows = {row["measure"]: row for row in distillation["comparison"]}
    for key in NETWORK.split():
        for role in ("student", "baseline"):
            assert rows[key][role] == pytest.approx(distillation[role][key])
    # Five images are certified, four are attacked: too few to say anything.
    assert rows["certified_l1"]["verdict"] == "too few"
    assert rows["adversarial_frequency"]["verdict"] == "too few"
    assert "Too few to say" in study[1]["questions"][3]["answer"]


def test_the_example_is_what_the_attack_runs_hold(study: tuple[Path, dict[str, Any]]) -> None:
    folder, results = study
    place, example = StudyFolder(folder), results["example"]
    solved = sum(row["success"] for row in example["attacks"])
    names = [row["name"] for row in results["attacks"]]
    assert [row["name"] for row in example["attacks"]] == names
    best = 0
    for version in results["program"]["versions"]:
        runs = [AttackRun.load(place.run(version, name)) for name in names]
        best = max(best, int(torch.stack([run.success for run in runs]).sum(dim=0).max()))
        if version == example["version"]:
            row = runs[0].test_indices.tolist().index(example["test_index"])
            assert [run.success[row] for run in runs] == [a["success"] for a in example["attacks"]]
            assert int(runs[0].labels[row]) == example["label"]
    assert solved == best
    kept = AttackExample.load(place.example)
    original = load_dataset("digits").test.images[example["test_index"]]
    assert torch.equal(kept.original, original)


def test_the_sets_images_are_adversarial_in_8_bits_too(study: tuple[Path, dict[str, Any]]) -> None:
    place = StudyFolder(study[0])
    adversarial = AdversarialSet.load(place.adversarial)
    assert adversarial.storable
    assert study[1]["adversarial_set"]["storable"]
    for position, name in enumerate(adversarial.versions):
        rows = adversarial.version_ids == position
        stored = (adversarial.images[rows] * 255).round().to(torch.uint8)
        predictions = predict(Version.load(place.version(name)).model, stored / 255.0)
        assert len(predictions)
        assert not (predictions == adversarial.labels[rows]).any()


def test_baseline_and_student_start_from_the_same_weights_and_learn_from_other_labels(
    study: tuple[Path, dict[str, Any]],
) -> None:
    place = StudyFolder(study[0])
    baseline, student = (Version.load(place.network(role)) for role in ("baseline", "student"))
    assert baseline.record.seed == student.record.seed
    assert baseline.architecture.layers == student.architecture.layers
    assert baseline.record.recipe["objective"] == "cross-entropy"
    assert student.record.recipe["objective"] == "mean-squared-error"


def test_a_finished_study_does_nothing_again(
    study: tuple[Path, dict[str, Any]], tiny: dict[str, Any]
) -> None:
    said: list[str] = []
    again = run_study(make_config(tiny), study[0], say=said.append).to_json()
    assert comparable(again) == comparable(study[1])
    assert "this study is finished" in said[0]
    assert said[-1] == "everything was there: nothing was made again"
    assert len(said) > 2
    assert all(line.endswith(" kept") and "to do" not in line for line in said[1:-1])
    times = [results["study"]["wall_seconds"] for results in (again, study[1])]
    assert times[0] == times[1]


def test_the_number_of_workers_changes_nothing(
    study: tuple[Path, dict[str, Any]], tiny: dict[str, Any], tmp_path: Path
) -> None:
    two = run_study(make_config({**tiny, "run": {"workers": 2}}), tmp_path / "two").to_json()
    assert comparable(two) == comparable(study[1])
    assert not (tmp_path / "two" / ".units" / "data").exists()


def test_threads_change_nothing(
    study: tuple[Path, dict[str, Any]], tiny: dict[str, Any], tmp_path: Path
) -> None:
    run = {"workers": 3, "engine": "threads"}
    there = run_study(make_config({**tiny, "run": run}), tmp_path).to_json()
    assert comparable(there) == comparable(study[1])


@pytest.mark.filterwarnings("ignore")
def test_a_ray_cluster_changes_nothing(
    study: tuple[Path, dict[str, Any]], tiny: dict[str, Any], tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    there = run_study(make_config({**tiny, "run": {"workers": 2, "engine": "ray"}}), tmp_path)
    assert comparable(there.to_json()) == comparable(study[1])


def test_a_damaged_artefact_is_made_again(
    study: tuple[Path, dict[str, Any]], tiny: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(study[0], folder)
    for file in ("versions/b/weights.safetensors", "adversarial/images.safetensors"):
        data = bytearray((folder / file).read_bytes())
        data[-20] ^= 1
        (folder / file).write_bytes(data)
    said: list[str] = []
    again = run_study(make_config(tiny), folder, say=said.append).to_json()
    assert comparable(again) == comparable(study[1])
    assert (
        "versions/b/weights.safetensors does not match its checksum: versions/b is made again"
    ) in said
    assert "training versions: 1 to do, 2 kept" in said
    assert "building the adversarial set: 1 to do" in said


def test_another_voter_keeps_versions_and_attacks(
    study: tuple[Path, dict[str, Any]], tiny: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "voter"
    shutil.copytree(study[0], folder)
    said: list[str] = []
    config = make_config({**tiny, "program": {"orders": 20, "voter": "majority"}})
    results = run_study(config, folder, say=said.append).to_json()
    assert results["program"]["voter"] == "majority"
    assert "training versions: 3 kept" in said
    assert "attacking versions: 9 kept" in said


def test_a_version_that_fails_is_reported_and_left_out(
    tiny: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "architectures"
    shutil.copytree(tiny["versions"]["architectures"], folder)
    (folder / "a.txt").write_text("flatten\ndropout, 0.99\ndense, 1, relu\ndropout, 0.99")
    config = make_config({**tiny, "versions": {**tiny["versions"], "architectures": str(folder)}})
    results = run_study(config, tmp_path / "study").to_json()
    assert [row["status"] for row in results["versions"]] == ["failed", "trained", "trained"]
    assert "at chance" in results["versions"][0]["error"]
    assert results["versions"][0]["test_accuracy"] is None
    assert results["program"]["versions"] == ["b", "c"]
    assert results["study"]["failures"][0]["unit"] == "versions/a"
    said: list[str] = []
    again = run_study(config, tmp_path / "study", say=said.append).to_json()
    assert comparable(again) == comparable(results)
    assert "training versions: 3 kept" in said


@pytest.mark.parametrize(
    "wrong",
    [
        {"dataset": "mnst"},
        {"dataset": "mnist", "data_dir": "nowhere"},
        {"versions": {"count": 3, "architectures": "nowhere"}},
        {"run": {"device": "cpu", "engine": "processes", "address": "127.0.0.1:1"}},
    ],
)
def test_a_wish_that_cannot_be_met_writes_nothing(
    tiny: dict[str, Any], tmp_path: Path, wrong: dict[str, Any]
) -> None:
    with pytest.raises(NVersionError):
        run_study(make_config({**tiny, **wrong}), tmp_path / "new" / "study")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file_is_refused(tiny: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "study"):
        with pytest.raises(StudyError, match="there is a file in its way"):
            run_study(make_config(tiny), folder)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_truncated_configuration_is_made_good_from_the_results(
    study: tuple[Path, dict[str, Any]], tiny: dict[str, Any], tmp_path: Path
) -> None:
    folder, said = tmp_path / "study", list[str]()
    shutil.copytree(study[0], folder)
    text = (folder / "study.toml").read_text()
    for rest in (text[:40], ""):
        (folder / "study.toml").write_text(rest)
        with pytest.raises(StudyError, match="holds a study of 'digits'"):
            run_study(make_config({**tiny, "dataset": "mnist"}), folder)
        again = run_study(make_config(tiny), folder, say=said.append).to_json()
        assert comparable(again) == comparable(study[1])
        assert not [line for line in said if "to do" in line]
        assert (folder / "study.toml").read_text() == text
    (folder / "study.toml").write_text(text[:40])
    (folder / "results.json").unlink()
    with pytest.raises(StudyError, match=r"study\.toml: damaged.*delete the file"):
        run_study(make_config(tiny), folder)


def test_the_time_on_the_page_is_that_of_the_work_that_counts(
    study: tuple[Path, dict[str, Any]], tiny: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "study"
    shutil.copytree(study[0], folder)
    first = study[1]["study"]
    parts = [taken for stage, taken in first["wall_seconds"].items() if stage != "total"]
    assert first["wall_seconds"]["total"] == pytest.approx(sum(parts))
    assert all(taken > 0 for taken in parts)
    assert first["wall_seconds"]["total"] == pytest.approx(sum(w for _, w in _walls(folder)))
    assert first["discarded_seconds"] == pytest.approx(0, abs=1e-6)
    options = {"names": ["gradient"], "options": {}}
    other = make_config({**tiny, "attacks": {**tiny["attacks"], **options}})
    changed = run_study(other, folder).to_json()["study"]
    assert changed["wall_seconds"]["versions"] == pytest.approx(first["wall_seconds"]["versions"])
    # Two of three attacks are no part of these results any more, nor is the set from all three.
    latest = dict(_walls(folder))
    counted = [f"attacks/{name}/gradient" for name in ("a", "b", "c")]
    counted += [name for name in latest if name.startswith("adversarial/")]
    expected = sum(latest[name] for name in counted)
    assert changed["wall_seconds"]["attacks"] == pytest.approx(expected)
    everything = sum(wall for _, wall in _walls(folder))
    lost = everything - changed["wall_seconds"]["total"]
    assert changed["discarded_seconds"] == pytest.approx(lost)


def _walls(folder: Path) -> list[tuple[str, float]]:
    """Return every unit that ended, remade ones more than once, with its share of the time."""
    lines = (folder / ".units" / "journal.jsonl").read_text().splitlines()
    return [(line["unit"], line["wall"]) for line in map(json.loads, lines)]


def test_a_folder_of_another_dataset_is_refused(
    study: tuple[Path, dict[str, Any]], tiny: dict[str, Any]
) -> None:
    with pytest.raises(StudyError, match="holds a study of 'digits'"):
        run_study(make_config({**tiny, "dataset": "mnist"}), study[0])


def test_a_second_study_in_the_same_folder_is_refused(
    study: tuple[Path, dict[str, Any]], tiny: dict[str, Any]
) -> None:
    with (
        StudyFolder(study[0]).locked(),
        pytest.raises(StudyError, match="another study is running"),
    ):
        run_study(make_config(tiny), study[0])


def test_distilling_by_hand_gives_the_studys_student(
    study: tuple[Path, dict[str, Any]], tiny: dict[str, Any]
) -> None:
    folder = study[0]
    data = nv.load_dataset("digits")
    versions = [nv.Version.load(folder / "versions" / name) for name in ("a", "b", "c")]
    program = nv.Program([version.model for version in versions])
    config = make_config(tiny)
    by_hand = nv.distil(program, data, recipe=config.versions.recipe, seed=config.seed)
    for role, network in (("student", by_hand.student), ("baseline", by_hand.baseline)):
        made = nv.Version.load(folder / "distillation" / role).model.state_dict()
        for name, values in network.model.state_dict().items():
            assert torch.equal(values, made[name])


@pytest.mark.parametrize("kills", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_a_study_killed_at_random_moments_ends_with_the_same_results(
    study: tuple[Path, dict[str, Any]], tiny: dict[str, Any], tmp_path: Path, kills: int
) -> None:
    folder, draw = tmp_path / "killed", random.Random(5)
    save_config(make_config(tiny), tmp_path / "tiny.toml")
    command = [sys.executable, "-m", "nversion", "study", "--config", str(tmp_path / "tiny.toml")]
    killed = 0
    for _ in range(kills):
        process = subprocess.Popen([*command, "--out", str(folder)], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while not (folder / "study.toml").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(draw.uniform(0.0, 5.0))
        killed += process.poll() is None
        process.kill()
        process.wait()
    assert killed
    assert comparable(run_study(make_config(tiny), folder).to_json()) == comparable(study[1])
