"""Keras files: the outputs that Keras itself gave, and no code from files.

The files in ``keras/`` were written by Keras 3.15.1, with random weights; the arrays beside them
are inputs and the outputs that it gave for them.
"""

from __future__ import annotations

import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

import nversion as nv
from nversion.errors import ArtefactError, MissingExtraError
from nversion.formats import load_version

pytest.importorskip("h5py")
FILES = Path(__file__).parent / "keras"


def recorded(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images [count, channels, height, width] in [0, 1], and Keras' outputs for them."""
    with np.load(FILES / f"{name}.npz") as arrays:
        inputs, outputs = torch.from_numpy(arrays["inputs"]), torch.from_numpy(arrays["outputs"])
    images = inputs[:, None] if inputs.ndim == 3 else inputs.permute(0, 3, 1, 2).contiguous()
    return (images / 255 if name == "functional" else images), outputs


@pytest.mark.parametrize(
    "file", ["sequential.keras", "sequential.h5", "binary.keras", "binary.h5", "functional.keras"]
)
def test_the_outputs_are_keras_own(file: str) -> None:
    version = load_version(FILES / file)
    images, outputs = recorded(file.partition(".")[0])
    with torch.no_grad():
        logits = version.model(images)
    if file.startswith("sequential"):
        assert torch.allclose(logits.softmax(1), outputs, atol=1e-5)
    elif file.startswith("binary"):
        assert torch.allclose(logits.softmax(1)[:, 1:], outputs, atol=1e-5)
        assert version.record.classes == 2
    else:
        assert torch.allclose(logits, outputs, atol=1e-5)
        assert version.record.origin is not None
        assert version.record.origin.feed["range"] == [0.0, 255.0]


@pytest.mark.parametrize("file", ["sequential.keras", "sequential.h5"])
def test_a_keras_network_is_certified(file: str) -> None:
    version = load_version(FILES / file)
    images, _ = recorded(file.partition(".")[0])
    labels = version.model(images).argmax(1)
    assert bool((nv.certify(version.model, images, labels, norm=2) > 0).all())


def test_code_in_a_file_is_refused_by_name() -> None:
    with pytest.raises(ArtefactError, match=r"'lambda.*' \(Lambda\) is code"):
        load_version(FILES / "lambda.keras")
    with pytest.raises(ArtefactError, match=r"\(Own\) is code"):
        load_version(FILES / "own-class.keras")


@pytest.mark.parametrize("file", ["sequential.keras", "sequential.h5"])
def test_damaged_files_are_refused(file: str, tmp_path: Path) -> None:
    whole = (FILES / file).read_bytes()
    for length in (0, 100, len(whole) // 2):
        (tmp_path / file).write_bytes(whole[:length])
        with pytest.raises(ArtefactError):
            load_version(tmp_path / file)


def test_a_link_out_of_a_file_is_not_followed(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    shutil.copy(FILES / "binary.h5", tmp_path / "binary.h5")
    with h5py.File(tmp_path / "binary.h5", "r+") as file:
        layer = next(name for name in file["model_weights"] if name.startswith("dense"))
        group = file["model_weights"][layer]
        key = group.attrs["weight_names"][0]
        del group[key]
        group[key] = h5py.ExternalLink("/etc/hostname", "/x")
    with pytest.raises(ArtefactError, match="link"):
        load_version(tmp_path / "binary.h5")


def test_a_zip_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", bytes(1 << 27))
    with pytest.raises(ArtefactError, match="fill the memory"):
        load_version(tmp_path / "bomb.keras")


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtraError, match=r"nversion\[keras\]"):
        load_version(FILES / "binary.h5")
