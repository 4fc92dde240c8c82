from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from nversion import attacks
from nversion.adversarial import (
    AttackRun,
    StoredRuns,
    build,
    draw_indices,
    structural_similarity,
)
from nversion.adversarial.runs import COLUMNS
from nversion.errors import ArtefactError, InputError
from nversion.files import read_tensors, write_tensors

FACTS = ("version", "attack", "norm", "options", "seed", "seconds")


def same_bits(first: Tensor, second: Tensor) -> bool:
    return first.dtype == second.dtype and first.numpy().tobytes() == second.numpy().tobytes()


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.integers(1, 20), st.integers(0, 99))
@settings(deadline=None, max_examples=60)
def test_only_correct_images_are_drawn_each_once(flags: list[bool], count: int, seed: int) -> None:
    correct = torch.tensor([*flags, True])
    drawn = draw_indices(correct, count, seed, "cnn-01")
    assert drawn.dtype == torch.int64
    assert len(drawn) == min(count, int(correct.sum()))
    assert bool(correct[drawn].all())
    assert bool((drawn.diff() > 0).all())
    assert torch.equal(drawn, draw_indices(correct, count, seed, "cnn-01"))


def test_the_draw_depends_on_seed_and_version() -> None:
    correct = torch.ones(1000, dtype=torch.bool)
    draws = {
        tuple(draw_indices(correct, 13, seed, name).tolist())
        for seed in (0, 1)
        for name in ("cnn-01", "cnn-02")
    }
    assert len(draws) == 4


def test_one_prediction_more_or_less_changes_one_image() -> None:
    correct = torch.ones(500, dtype=torch.bool)
    before = draw_indices(correct, 13, 0, "a")
    correct[before[4]] = False
    after = draw_indices(correct, 13, 0, "a")
    assert len(set(before.tolist()) & set(after.tolist())) == 12


def test_the_whole_split_is_drawn_from() -> None:
    correct = torch.ones(40, dtype=torch.bool)
    drawn = torch.cat([draw_indices(correct, 10, seed, "a") for seed in range(60)])
    assert set(drawn.tolist()) == set(range(40))


def test_draws_that_cannot_be_made_are_refused() -> None:
    with pytest.raises(InputError, match="cnn-01 classifies no test image correctly"):
        draw_indices(torch.zeros(9, dtype=torch.bool), 3, 0, "cnn-01")
    with pytest.raises(InputError, match="count must be at least 1"):
        draw_indices(torch.ones(9, dtype=torch.bool), 0, 0, "cnn-01")
    with pytest.raises(InputError, match="bool"):
        draw_indices(torch.ones(9), 3, 0, "cnn-01")


def test_a_run_holds_what_an_attack_returned() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 16), nn.ReLU(), nn.Linear(16, 3))
    images = torch.rand(12, 1, 6, 6)
    labels = model(images).argmax(1)
    labels[:2] = (labels[:2] + 1) % 3
    attack = attacks.create("gradient-sign", steps=50)
    result = attack(model, images, labels, seed=3)
    indices = torch.arange(12) + 100
    run = AttackRun.of(
        "dense-01",
        attack,
        result,
        originals=images,
        labels=labels,
        test_indices=indices,
        seed=3,
        seconds=1.5,
    )
    assert (run.attack, run.norm, run.options) == ("gradient-sign", "linf", attack.options())
    assert run.already_misclassified.tolist() == [True] * 2 + [False] * 10
    assert int(run.success.sum()) > 0
    similarity = structural_similarity(result.images, images)
    assert torch.equal(run.ssim[run.success], similarity[run.success])
    assert bool(run.ssim[~run.success].isnan().all())
    assert torch.equal(run.test_indices, indices)
    for name in ("images", "success", "predictions", "l0", "l1", "l2", "linf"):
        assert same_bits(getattr(run, name), getattr(result, name))


def test_the_round_trip_is_exact(tmp_path: Path, make_run: Callable[..., AttackRun]) -> None:
    run = make_run()
    run.save(tmp_path / "a" / "gradient.safetensors")
    loaded = AttackRun.load(tmp_path / "a" / "gradient.safetensors")
    assert all(getattr(loaded, name) == getattr(run, name) for name in FACTS)
    assert all(same_bits(getattr(loaded, name), getattr(run, name)) for name in COLUMNS)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["gradient.safetensors"]


def test_damage_is_noticed(tmp_path: Path, make_run: Callable[..., AttackRun]) -> None:
    path = tmp_path / "run.safetensors"
    make_run().save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    with pytest.raises(ArtefactError, match="not readable as safetensors"):
        AttackRun.load(path)
    damaged = bytearray(whole)
    damaged[-5] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(ArtefactError, match="does not match its digest"):
        AttackRun.load(path)
    path.unlink()
    with pytest.raises(ArtefactError, match="no such file"):
        AttackRun.load(path)


def test_a_changed_fact_is_noticed(tmp_path: Path, make_run: Callable[..., AttackRun]) -> None:
    path = tmp_path / "run.safetensors"
    make_run().save(path)
    tensors, metadata = read_tensors(path)
    write_tensors(path, tensors, metadata | {"attack": "deepfool"})
    with pytest.raises(ArtefactError, match="does not match its digest"):
        AttackRun.load(path)


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    write_tensors(path, {"weight": torch.zeros(2)})
    with pytest.raises(ArtefactError, match="not an attack run"):
        AttackRun.load(path)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("success", torch.ones(6), "success must be a tensor of torch.bool"),
        ("labels", torch.zeros(5, dtype=torch.int64), "labels must have one row for each of 6"),
        ("images", torch.zeros(6, 1, 5, 4, dtype=torch.float64), "images must be a tensor of"),
        ("l2", [1.0] * 6, "l2 must be a tensor"),
        ("images", torch.full((6, 1, 5, 4), 2.0), "must lie in"),
    ],
)
def test_malformed_parts_are_refused(
    make_run: Callable[..., AttackRun], field: str, value: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        dataclasses.replace(make_run(), **{field: value})


def test_stored_runs_are_read_each_time_they_are_gone_through(
    tmp_path: Path, make_run: Callable[..., AttackRun]
) -> None:
    paths = [tmp_path / f"{name}.safetensors" for name in "abc"]
    for path in paths:
        make_run(path.stem).save(path)
    runs = StoredRuns(paths)
    assert len(runs) == 3
    for _ in range(2):
        assert [run.version for run in runs] == ["a", "b", "c"]
    paths[1].unlink()
    with pytest.raises(ArtefactError, match="no such file"):
        list(runs)


def test_a_set_built_from_files_is_the_set_built_from_memory(
    tmp_path: Path, make_run: Callable[..., AttackRun]
) -> None:
    runs = [make_run(v, a, seed=i) for i, v in enumerate("ab") for a in ("gradient", "deepfool")]
    paths = [tmp_path / f"{place}.safetensors" for place in range(len(runs))]
    for run, path in zip(runs, paths, strict=True):
        run.save(path)
    assert build(StoredRuns(paths)).digest == build(runs).digest
    # In whatever order the runs come, images stand by version, then by attack.
    mixed = build([runs[0], runs[2], runs[1], runs[3]])
    assert mixed.digest == build(runs).digest
