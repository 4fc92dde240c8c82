from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nversion.adversarial import AdversarialSet, AttackRun, build
from nversion.adversarial.adversarial_set import COLUMNS, IMAGES_FILE, PROVENANCE_FILE
from nversion.datasets import load_dataset, load_test_images
from nversion.errors import ArtefactError, InputError
from nversion.files import digest_of, read_tensors, write_tensors
from nversion.reading import check_name


def is_plain(name: str) -> bool:
    try:
        return check_name(name, "name") == name
    except ArtefactError:
        return False


@pytest.fixture
def small(make_run: Callable[..., AttackRun]) -> AdversarialSet:
    return build([make_run("a"), make_run("b", "random-pgd", seed=1), make_run("b", seed=2)])


def bits(adversarial: AdversarialSet) -> dict[str, Any]:
    tensors = {name: getattr(adversarial, name) for name in ("images", *COLUMNS)}
    return {
        name: (str(t.dtype), tuple(t.shape), t.numpy().tobytes()) for name, t in tensors.items()
    }


names = st.lists(
    st.text(min_size=1, max_size=8).filter(is_plain), min_size=1, max_size=4, unique=True
)
floats = st.floats(0, 1, width=32)


@st.composite
def adversarial_sets(draw: st.DrawFn) -> AdversarialSet:
    versions, attacks = draw(names), draw(names)
    count = draw(st.integers(0, 5))
    shape = (count, draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 3)))

    def ints(high: int) -> Tensor:
        return torch.tensor(
            draw(st.lists(st.integers(0, high), min_size=count, max_size=count)), dtype=torch.int64
        )

    def numbers(size: int, values: Any) -> Tensor:
        return torch.tensor(
            draw(st.lists(values, min_size=size, max_size=size)), dtype=torch.float32
        )

    labels = ints(9)
    distances = st.floats(0, width=32, allow_nan=False)
    return AdversarialSet(
        images=numbers(int(np.prod(shape)), floats).reshape(shape),
        versions=tuple(versions),
        attacks=tuple(attacks),
        options={
            name: draw(st.dictionaries(st.text(), st.integers() | floats)) for name in attacks
        },
        version_ids=ints(len(versions) - 1),
        attack_ids=ints(len(attacks) - 1),
        test_indices=ints(2**62),
        labels=labels,
        predictions=labels + 1,
        l0=numbers(count, distances),
        l1=numbers(count, distances),
        l2=numbers(count, distances),
        linf=numbers(count, distances),
        ssim=numbers(count, st.floats(-1, 1, width=32)),
        storable=draw(st.booleans()),
    )


@given(adversarial_sets())
@settings(deadline=None, max_examples=30)
def test_the_round_trip_is_exact(
    tmp_path_factory: pytest.TempPathFactory, adversarial: AdversarialSet
) -> None:
    folder = tmp_path_factory.mktemp("set")
    adversarial.save(folder)
    loaded = AdversarialSet.load(folder)
    assert bits(loaded) == bits(adversarial)
    assert (loaded.versions, loaded.attacks) == (adversarial.versions, adversarial.attacks)
    assert (loaded.options, loaded.storable) == (adversarial.options, adversarial.storable)
    assert loaded.digest == adversarial.digest


def test_the_counts(small: AdversarialSet) -> None:
    assert len(small) == 12
    shown = (
        f"AdversarialSet(12 images, {len(small.versions)} versions, {len(small.attacks)} attacks)"
    )
    assert repr(small) == shown
    assert small.per_attack == {"gradient": 8, "random-pgd": 4}
    assert small.per_version == {"a": 4, "b": 8}


def test_the_digest_depends_on_everything(small: AdversarialSet) -> None:
    changed = [
        dataclasses.replace(small, images=small.images.flip(0)),
        dataclasses.replace(small, versions=("a", "c")),
        dataclasses.replace(small, options=dict(small.options) | {"gradient": {"steps": 4}}),
        dataclasses.replace(small, l2=small.l2 * 2),
        small.select(torch.arange(11)),
        dataclasses.replace(small, storable=True),
    ]
    assert len({small.digest, *(other.digest for other in changed)}) == 7


def test_the_table_says_the_same_for_people(small: AdversarialSet, tmp_path: Path) -> None:
    small.save(tmp_path)
    with (tmp_path / PROVENANCE_FILE).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == [str(i) for i in range(12)]
    for i in (0, 5, 11):
        row = rows[i]
        assert row["version"] == small.versions[int(small.version_ids[i])]
        assert row["attack"] == small.attacks[int(small.attack_ids[i])]
        assert int(row["test_indices"]) == int(small.test_indices[i])
        assert np.float32(row["l2"]) == small.l2[i].numpy()
        assert json.loads(row["options"]) == small.options[row["attack"]]


def test_a_flipped_bit_anywhere_is_noticed(small: AdversarialSet, tmp_path: Path) -> None:
    small.save(tmp_path)
    path = tmp_path / IMAGES_FILE
    whole = path.read_bytes()
    generator = np.random.default_rng(0)
    for position in generator.integers(0, len(whole), 60):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << int(generator.integers(0, 8))
        path.write_bytes(damaged)
        with pytest.raises(ArtefactError, match=str(path)):
            AdversarialSet.load(tmp_path)


@pytest.mark.parametrize("kept", [0, 7, 500, -1])
def test_truncation_is_noticed(small: AdversarialSet, tmp_path: Path, kept: int) -> None:
    small.save(tmp_path)
    path = tmp_path / IMAGES_FILE
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ArtefactError, match="not readable as safetensors"):
        AdversarialSet.load(tmp_path)


def test_a_table_that_does_not_belong_is_noticed(small: AdversarialSet, tmp_path: Path) -> None:
    small.save(tmp_path)
    table = tmp_path / PROVENANCE_FILE
    small.select(torch.arange(5)).save(tmp_path / "other")
    table.write_bytes((tmp_path / "other" / PROVENANCE_FILE).read_bytes())
    with pytest.raises(ArtefactError, match="was changed, or does not belong"):
        AdversarialSet.load(tmp_path)
    table.unlink()
    with pytest.raises(ArtefactError, match=r"provenance\.csv: no such file"):
        AdversarialSet.load(tmp_path)


def test_other_files_are_refused(tmp_path: Path, make_run: Callable[..., AttackRun]) -> None:
    with pytest.raises(ArtefactError, match="no such file"):
        AdversarialSet.load(tmp_path)
    make_run().save(tmp_path / IMAGES_FILE)
    with pytest.raises(ArtefactError, match="not an adversarial set, but attack-run"):
        AdversarialSet.load(tmp_path)
    write_tensors(tmp_path / IMAGES_FILE, {"x": torch.zeros(1)}, {"kind": "adversarial-set"})
    with pytest.raises(ArtefactError, match="not a complete adversarial set"):
        AdversarialSet.load(tmp_path)


def test_saving_again_replaces_the_set(small: AdversarialSet, tmp_path: Path) -> None:
    small.save(tmp_path)
    fewer = small.select(small.attack_ids == 0)
    fewer.save(tmp_path)
    assert AdversarialSet.load(tmp_path).digest == fewer.digest
    assert sorted(path.name for path in tmp_path.iterdir()) == [IMAGES_FILE, PROVENANCE_FILE]


def test_the_export_holds_plain_arrays(small: AdversarialSet, tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    small.export_npz(path)
    with np.load(path, allow_pickle=False) as file:
        assert file["images"].tobytes() == small.images.numpy().tobytes()
        assert file["versions"].tolist() == ["a"] * 4 + ["b"] * 8
        assert file["attacks"].tolist() == ["gradient"] * 8 + ["random-pgd"] * 4
        assert json.loads(str(file["options"])) == small.options
        assert file["storable"].dtype == bool
        assert set(file.files) >= {"labels", "predictions", "test_indices", "l0", "linf", "ssim"}


def test_the_export_can_be_loaded_as_a_dataset(
    tmp_path: Path, make_run: Callable[..., AttackRun]
) -> None:
    adversarial = build([make_run(count=24)])
    adversarial.export_npz(tmp_path / "set.npz")
    data = load_dataset(tmp_path / "set.npz")
    assert data.shape == (1, 5, 4)
    assert len(data.train) + len(data.test) == len(adversarial)


def test_an_empty_set_can_be_exported(small: AdversarialSet, tmp_path: Path) -> None:
    small.select(torch.zeros(12, dtype=torch.bool)).export_npz(tmp_path / "set.npz")
    with np.load(tmp_path / "set.npz") as file:
        assert file["images"].shape == (0, 1, 5, 4)
        assert file["versions"].shape == (0,)


def test_selecting(small: AdversarialSet) -> None:
    chosen = small.select(torch.tensor([3, 1]))
    assert torch.equal(chosen.images, small.images[[3, 1]])
    assert chosen.versions == small.versions
    with pytest.raises(InputError, match="rows must be bool"):
        small.select(torch.ones(12))
    with pytest.raises(InputError, match="one value for each of 12"):
        small.select(torch.ones(3, dtype=torch.bool))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("images", torch.zeros(12, 1, 5, 4, dtype=torch.float64), "float32"),
        ("l2", torch.zeros(11), "l2 must have one row for each of 12 images"),
        ("labels", torch.zeros(12), "labels must be a tensor of torch.int64"),
        ("versions", ("a", "a"), "different names"),
        ("versions", ("a",), "version_ids must lie in"),
        ("attack_ids", torch.full((12,), -1), "attack_ids must lie in"),
        ("options", {}, "options must be given for each attack"),
        ("versions", ("a", "../b"), "versions: a name must be plain text"),
        ("attacks", ("gradient", "random\x1b[2J"), "attacks: a name must be plain text"),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    small: AdversarialSet, field: str, value: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        dataclasses.replace(small, **{field: value})


def test_an_image_that_is_not_adversarial_is_refused(small: AdversarialSet) -> None:
    with pytest.raises(InputError, match="not adversarial"):
        dataclasses.replace(small, predictions=small.labels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"versions": ["a", "../../b"]}, "versions: a name must be plain"),
        ({"versions": ["a", 7]}, "versions.1"),
        ({"versions": "ab"}, "versions"),
        ({"options": []}, "options"),
        ({"options": {"gradient": 1, "random-pgd": {}}}, "options.gradient"),
        ({"storable": "yes"}, "storable"),
        ({"digest": None}, "digest"),
        ({"more": 1}, "no such key"),
    ],
)
def test_a_header_with_other_values_is_refused(
    small: AdversarialSet, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    small.save(tmp_path)
    tensors, metadata = read_tensors(tmp_path / IMAGES_FILE)
    changed = metadata | change
    if "digest" not in change:
        facts = {name: changed[name] for name in changed if name not in ("digest", "provenance")}
        changed["digest"] = digest_of(facts, tensors)
    write_tensors(tmp_path / IMAGES_FILE, tensors, changed)
    with pytest.raises(ArtefactError, match=f"not a complete adversarial set.*{message}"):
        AdversarialSet.load(tmp_path)


def test_an_exported_set_is_whole_to_test_on(
    tmp_path: Path, make_run: Callable[..., AttackRun]
) -> None:
    adversarial = build([make_run(count=24)])
    adversarial.export_npz(tmp_path / "set.npz")
    found = load_test_images(tmp_path / "set.npz")
    assert torch.equal(found.test.images, adversarial.images)
    assert torch.equal(found.test.labels, adversarial.labels)
    assert (found.held, found.complete) == (len(adversarial), False)
