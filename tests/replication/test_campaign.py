from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

import nversion as nv
from nversion.errors import InputError
from nversion.files import read_object
from nversion.replication import (
    Replication,
    ReplicationFolder,
    Settings,
    cost_of,
    find_arm,
    replicate,
    say,
)
from nversion.replication.network import drawn_versions
from nversion.versions import load_recipe
from nversion.workers import Where

RECIPE = load_recipe("small").model_copy(update={"epochs": 2})
ARCHITECTURE = nv.Architecture.parse("dense, 16, relu")
HERE = Where.of(1, "threads", "", "cpu")


@pytest.fixture(scope="module")
def digits() -> nv.Dataset:
    return nv.load_dataset("digits")


@pytest.fixture(scope="module")
def versions(digits: nv.Dataset, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("versions")
    folders = []
    for seed in range(3):
        version = nv.train(ARCHITECTURE, digits, RECIPE, seed=seed, name=f"v{seed}")
        version.save(root / version.name)
        folders.append(root / version.name)
    return folders


def settings(*arms: str, repeats: int = 2) -> Settings:
    return Settings(
        tuple(find_arm(name) for name in ("labels", *arms)),
        repeats,
        ARCHITECTURE,
        RECIPE,
        radius_images=3,
        attack_images=2,
        attacks=("gradient-sign",),
        box_images=0,
    )


def test_a_replication_goes_on_where_it_stopped_and_repeats_its_bits(
    digits: nv.Dataset, versions: list[Path], tmp_path: Path
) -> None:
    first = replicate(settings("vote", repeats=1), digits, versions, tmp_path / "a", where=HERE)
    files = sorted((tmp_path / "a" / "networks").rglob("*.json"))
    assert [path.parent.name for path in files] == ["labels", "vote"]
    times = [path.stat().st_mtime_ns for path in files]
    more = replicate(settings("vote"), digits, versions, tmp_path / "a", where=HERE)
    assert [path.stat().st_mtime_ns for path in files] == times
    assert more.networks["vote"][0] == first.networks["vote"][0]
    again = replicate(settings("vote"), digits, versions, tmp_path / "b", where=HERE)
    assert again.to_json() == more.to_json()
    assert Replication.load(ReplicationFolder(tmp_path / "a").summary).to_json() == more.to_json()


def test_another_arm_leaves_those_there_are_as_they_are(
    digits: nv.Dataset, versions: list[Path], tmp_path: Path
) -> None:
    first = replicate(settings("one-teacher", "vote"), digits, versions, tmp_path, where=HERE)
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "networks").rglob("*.json")}
    assert len(made) == 6
    chosen = settings("squared-error", "one-teacher", "vote")
    more = replicate(chosen, digits, versions, tmp_path, where=HERE)
    assert {path: path.stat().st_mtime_ns for path in made} == made
    assert len(more.networks["squared-error"]) == 2
    # What was said of the others is said again, bit by bit.
    assert {arm: more.means[arm] for arm in first.means} == first.means
    assert [
        item for item in more.contrasts if "squared-error" not in (item.first, item.second)
    ] == (first.contrasts)
    asked = dict.fromkeys((item.first, item.second) for item in more.contrasts)
    assert set(asked) - {(item.first, item.second) for item in first.contrasts} == {
        ("squared-error", "labels"),
        ("vote", "squared-error"),
        ("one-teacher", "squared-error"),
    }


def test_the_control_learns_the_true_labels_by_the_students_objective() -> None:
    control, vote, labels = (find_arm(name) for name in ("squared-error", "vote", "labels"))
    assert (control.objective, control.options) == (vote.objective, vote.options)
    assert control.source == labels.source
    assert control.objective != labels.objective


def test_another_setting_makes_a_network_anew(
    digits: nv.Dataset, versions: list[Path], tmp_path: Path
) -> None:
    first = settings(repeats=1)
    replicate(first, digits, versions, tmp_path, where=HERE)
    path = ReplicationFolder(tmp_path).network("labels", 0)
    before = read_object(path)
    replicate(dataclasses.replace(first, radius_images=2), digits, versions, tmp_path, where=HERE)
    assert read_object(path)["digest"] != before["digest"]


def test_an_arm_that_does_not_learn_is_left_out_and_named(
    digits: nv.Dataset, versions: list[Path], tmp_path: Path
) -> None:
    hopeless = dataclasses.replace(find_arm("jacobian"), options={"weight": 1e30})
    chosen = settings(repeats=1)
    chosen = dataclasses.replace(chosen, arms=(*chosen.arms, hopeless))
    found = replicate(chosen, digits, versions, tmp_path, where=HERE)
    assert len(found.networks["labels"]) == 1
    assert found.networks["jacobian"] == {}
    assert len(found.diverged) == 1
    assert found.diverged[0].startswith("jacobian, repeat 0: ")
    assert not found.failures


def test_a_vote_can_be_asked_on_attacked_images(
    digits: nv.Dataset, versions: list[Path], tmp_path: Path
) -> None:
    chosen = settings("oracle", repeats=1)
    assert chosen.arms[1].source == "vote"
    found = replicate(chosen, digits, versions, tmp_path, where=HERE)
    assert not found.failures
    assert found.networks["oracle"] or found.diverged


def test_networks_of_a_pair_start_alike_and_teachers_are_drawn_anew() -> None:
    chosen = settings("vote")
    assert chosen.pair_seed(0) != chosen.pair_seed(1)
    drawn = [drawn_versions(0, repeat, 10) for repeat in range(20)]
    assert drawn == [drawn_versions(0, repeat, 10) for repeat in range(20)]
    assert len({tuple(one) for one in drawn}) == 20
    assert {index for one in drawn for index in one} == set(range(10))


def test_what_is_wrong_is_said_before_anything_is_made(digits: nv.Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'one-teacher'"):
        find_arm("one-teachr")
    with pytest.raises(InputError, match="the arm labels"):
        dataclasses.replace(settings(), arms=(find_arm("vote"),))
    with pytest.raises(InputError, match="named twice"):
        settings("vote", "vote")
    with pytest.raises(InputError, match="needs the versions"):
        replicate(settings(), digits, [], tmp_path / "none", where=HERE)
    assert not (tmp_path / "none").exists()


def test_sentences_claim_what_the_test_bears() -> None:
    import numpy as np

    from nversion.replication.contrasts import contrast

    one = {r: {"test_accuracy": 0.9 + r / 1e3, "certified_l2": 0.1} for r in range(8)}
    two = {r: {"test_accuracy": 0.8, "certified_l2": 0.1} for r in range(8)}
    found = contrast(("vote", one), ("labels", two), np.random.default_rng(0))
    assert say(found) == [
        "Student and baseline (vote against labels), 8 pairs: better in test accuracy; "
        "not told apart in certified L2 radius."
    ]
    few = contrast(("vote", {0: one[0]}), ("labels", {0: two[0]}), np.random.default_rng(0))
    assert say(few) == [
        "Student and baseline (vote against labels): 1 pair, too few for a test in 2 rows "
        "(at least 7)."
    ]
    plain = contrast(("jacobian", one), ("labels", two), np.random.default_rng(0))
    assert say(plain)[0].startswith("jacobian against labels, 8 pairs: better in")
    del one[6]["certified_l2"], one[7]["certified_l2"]
    fewer = contrast(("vote", one), ("labels", two), np.random.default_rng(0))
    assert say(fewer)[0].endswith("; too few pairs for a test in certified L2 radius.")


def test_costs_are_counted(digits: nv.Dataset) -> None:
    model = ARCHITECTURE.build(digits.shape, digits.classes, seed=0)
    cost = cost_of("student", model, digits.shape, calls=2)
    assert cost.parameters == 64 * 16 + 16 + 16 * 10 + 10
    assert cost.multiply_adds == 64 * 16 + 16 * 10
    assert cost.multiply_adds == ARCHITECTURE.multiply_adds(digits.shape, digits.classes)
    assert cost.one_seconds > 0
    both = cost_of("program", nv.Program([model, model]), digits.shape, calls=2)
    assert both.multiply_adds == 2 * cost.multiply_adds
