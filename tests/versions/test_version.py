from __future__ import annotations

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch

import nversion as nv
from nversion.errors import ArtefactError
from nversion.versions import Recipe


@pytest.fixture(scope="module")
def version(digits: nv.Dataset, small_conv: nv.Architecture, quick: Recipe) -> nv.Version:
    return nv.train(small_conv, digits, quick, seed=1, name="v")


def test_what_is_saved_loads_back_the_same(version: nv.Version, tmp_path: Path) -> None:
    loaded = nv.Version.load(version.save(tmp_path / "v"))
    assert loaded.name == version.name
    assert loaded.architecture.layers == version.architecture.layers
    assert loaded.record == version.record
    ours, theirs = version.model.state_dict(), loaded.model.state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert version.test_logits is not None
    assert loaded.test_logits is not None
    assert torch.equal(loaded.test_logits, version.test_logits)
    assert not loaded.model.training


def test_saving_leaves_no_temporary_files(version: nv.Version, tmp_path: Path) -> None:
    version.save(tmp_path / "v")
    assert sorted(path.name for path in (tmp_path / "v").iterdir()) == [
        "architecture.txt",
        "record.json",
        "test-logits.safetensors",
        "weights.safetensors",
    ]


def _break_record(folder: Path) -> None:
    (folder / "record.json").write_text('{"format": 1}')


def _other_format(folder: Path) -> None:
    values = json.loads((folder / "record.json").read_text())
    (folder / "record.json").write_text(json.dumps({**values, "format": 99}))


def _truncate_weights(folder: Path) -> None:
    data = (folder / "weights.safetensors").read_bytes()
    (folder / "weights.safetensors").write_bytes(data[: len(data) // 2])


def _other_weights(folder: Path) -> None:
    safetensors.torch.save_file({"0.weight": torch.zeros(3)}, folder / "weights.safetensors")


def _nan_weights(folder: Path) -> None:
    weights = safetensors.torch.load_file(folder / "weights.safetensors")
    next(iter(weights.values()))[0] = float("nan")
    safetensors.torch.save_file(weights, folder / "weights.safetensors")


def _no_architecture(folder: Path) -> None:
    (folder / "architecture.txt").unlink()


def _bad_architecture(folder: Path) -> None:
    (folder / "architecture.txt").write_text("convolve 8")


@pytest.mark.parametrize(
    ("damage", "file"),
    [
        (_break_record, "record.json"),
        (_other_format, "record.json"),
        (_truncate_weights, "weights.safetensors"),
        (_other_weights, "weights.safetensors"),
        (_nan_weights, "weights.safetensors"),
        (_no_architecture, "architecture"),
        (_bad_architecture, "architecture"),
    ],
)
def test_a_damaged_folder_is_refused_by_name(
    version: nv.Version, tmp_path: Path, damage, file: str
) -> None:
    folder = version.save(tmp_path / "v")
    damage(folder)
    with pytest.raises(ArtefactError, match=file):
        nv.Version.load(folder)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="no such file"):
        nv.Version.load(tmp_path / "none")
