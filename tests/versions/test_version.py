from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

import nversion as nv
from nversion.errors import ArtefactError, InputError
from nversion.files import sha256_of_file
from nversion.versions import Recipe
from nversion.versions.version import Origin, read_logits


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


def test_it_is_shown_in_a_line(version: nv.Version) -> None:
    shown = repr(version)
    assert shown.startswith(f"Version({version.name}: ")
    assert "trained on digits" in shown
    assert len(shown) < 120
    origin = Origin("net.onnx", "onnx", "", {})
    record = dataclasses.replace(version.record, origin=origin)
    other = dataclasses.replace(version, record=record)
    assert "from net.onnx (onnx), " in repr(other)


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


def _resign(folder: Path) -> None:
    """Write the checksums of the files as they are, as somebody who means harm would."""
    values = json.loads((folder / "record.json").read_text())
    values["sha256"] = {name: sha256_of_file(folder / name) for name in values["sha256"]}
    (folder / "record.json").write_text(json.dumps(values))


def _change_record(folder: Path, **changes: object) -> None:
    values = json.loads((folder / "record.json").read_text())
    (folder / "record.json").write_text(json.dumps(values | changes))


def _change_weights(folder: Path, change: Callable[[Any], Any]) -> None:
    weights = safetensors.torch.load_file(folder / "weights.safetensors")
    safetensors.torch.save_file(
        {name: change(value) for name, value in weights.items()}, folder / "weights.safetensors"
    )
    _resign(folder)


def _other_format(folder: Path) -> None:
    values = json.loads((folder / "record.json").read_text())
    (folder / "record.json").write_text(json.dumps({**values, "format": 99}))


def _truncate_weights(folder: Path) -> None:
    data = (folder / "weights.safetensors").read_bytes()
    (folder / "weights.safetensors").write_bytes(data[: len(data) // 2])


def _other_weights(folder: Path) -> None:
    safetensors.torch.save_file({"0.weight": torch.zeros(3)}, folder / "weights.safetensors")
    _resign(folder)


def _nan_weights(folder: Path) -> None:
    weights = safetensors.torch.load_file(folder / "weights.safetensors")
    next(iter(weights.values()))[0] = float("nan")
    safetensors.torch.save_file(weights, folder / "weights.safetensors")
    _resign(folder)


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
    version: nv.Version, tmp_path: Path, damage: Callable[[Path], None], file: str
) -> None:
    folder = version.save(tmp_path / "v")
    damage(folder)
    with pytest.raises(ArtefactError, match=file):
        nv.Version.load(folder)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="no such file"):
        nv.Version.load(tmp_path / "none")


@pytest.mark.parametrize("name", ["weights.safetensors", "test-logits.safetensors"])
def test_a_flipped_byte_is_noticed(version: nv.Version, tmp_path: Path, name: str) -> None:
    folder = version.save(tmp_path / "v")
    data = bytearray((folder / name).read_bytes())
    data[-100] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(ArtefactError, match=f"{name}: was changed or damaged"):
        nv.Version.load(folder)


def test_another_architecture_of_the_same_weights_is_noticed(
    version: nv.Version, tmp_path: Path
) -> None:
    path = version.save(tmp_path / "v") / "architecture.txt"
    path.write_text(path.read_text().replace("relu", "tanh"))
    with pytest.raises(ArtefactError, match=r"architecture\.txt: was changed"):
        nv.Version.load(tmp_path / "v")


def test_versions_from_before_the_checksums_are_read(version: nv.Version, tmp_path: Path) -> None:
    folder = version.save(tmp_path / "v")
    values = json.loads((folder / "record.json").read_text())
    del values["sha256"]
    (folder / "record.json").write_text(json.dumps({**values, "format": 1}))
    loaded = nv.Version.load(folder)
    assert loaded.record == version.record
    assert not loaded.checked
    (folder / "record.json").write_text(json.dumps(values))
    with pytest.raises(ArtefactError, match="must give the checksums"):
        nv.Version.load(folder)


def test_saving_again_without_logits_takes_the_old_ones_away(
    version: nv.Version, tmp_path: Path
) -> None:
    version.save(tmp_path / "v")
    dataclasses.replace(version, test_logits=None).save(tmp_path / "v")
    assert nv.Version.load(tmp_path / "v").test_logits is None


@pytest.mark.parametrize(
    "name", ["../../../x", "a/b", "a\\b", "", "..", " ", 7, None, "a\x1b[2J", "\ud800", "x" * 201]
)
def test_a_name_that_is_none_is_refused(version: nv.Version, tmp_path: Path, name: object) -> None:
    folder = version.save(tmp_path / "v")
    for key in ("name", "dataset"):
        _change_record(folder, **{"name": "v", "dataset": "digits", key: name})
        with pytest.raises(ArtefactError, match=rf"record\.json.*{key}"):
            nv.Version.load(folder)


def test_a_version_is_not_trained_or_saved_under_a_path(
    version: nv.Version, tmp_path: Path, digits: nv.Dataset, quick: Recipe
) -> None:
    record = dataclasses.replace(version.record, name="a/b")
    with pytest.raises(InputError, match="a name must be plain"):
        dataclasses.replace(version, record=record).save(tmp_path / "v")
    assert not (tmp_path / "v").exists()
    with pytest.raises(InputError, match="a name must be plain"):
        nv.train(version.architecture, digits, quick, name="../v")


@pytest.mark.parametrize(
    "changes",
    [
        {"classes": "10"},
        {"classes": 2**31},
        {"classes": 10**400},
        {"shape": [1, 8]},
        {"shape": 5},
        {"shape": [1, 8, 10**9]},
        {"seed": 1.5},
        {"libraries": {"torch": 2}},
        {"recipe": []},
        {"more": 1},
    ],
)
def test_a_record_has_values_of_their_types(
    version: nv.Version, tmp_path: Path, changes: dict[str, object]
) -> None:
    folder = version.save(tmp_path / "v")
    _change_record(folder, **changes)
    with pytest.raises(ArtefactError, match="v"):
        nv.Version.load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda value: value.double() * 1e300, "float64"),
        (lambda value: value.to(torch.complex64), "not readable|type C64|complex"),
        (lambda value: value.to(torch.float8_e4m3fn), "of type F8_E4M3"),
        (lambda value: value.to(torch.bfloat16), "bfloat16"),
        (lambda value: value.int(), "int32"),
        (lambda value: value * torch.inf, "NaN or infinite"),
    ],
)
def test_weights_are_finite_and_of_the_models_own_type(
    version: nv.Version, tmp_path: Path, change: Callable[[Any], Any], message: str
) -> None:
    folder = version.save(tmp_path / "v")
    _change_weights(folder, change)
    with pytest.raises(ArtefactError, match=rf"weights\.safetensors.*({message})"):
        nv.Version.load(folder)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"logits": torch.full((9, 10), torch.nan)}, "NaN"),
        ({"logits": torch.zeros(9, 7)}, r"\[test images, 10\], not torch.float32 \[9, 7\]"),
        ({"logits": torch.zeros(90)}, "not torch.float32"),
        ({"logits": torch.zeros(9, 10, dtype=torch.int64)}, "not torch.int64"),
        ({"other": torch.zeros(9, 10)}, "holds no tensor called logits"),
    ],
)
def test_logits_are_of_the_images_and_classes(
    version: nv.Version, tmp_path: Path, tensors: dict[str, torch.Tensor], message: str
) -> None:
    folder = version.save(tmp_path / "v")
    safetensors.torch.save_file(tensors, folder / "test-logits.safetensors")
    _resign(folder)
    with pytest.raises(ArtefactError, match=rf"test-logits\.safetensors.*{message}"):
        nv.Version.load(folder)
    with pytest.raises(ArtefactError, match="logits must be"):
        read_logits(version.save(tmp_path / "w") / "test-logits.safetensors", images=3)
