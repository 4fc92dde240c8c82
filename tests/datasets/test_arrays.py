from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nversion.datasets import load_dataset, load_test_images
from nversion.errors import DatasetError

LABELS = np.array([0, 1] * 5)
PIXELS = np.random.default_rng(1).integers(0, 256, (10, 4, 6), dtype=np.uint8)


def save(tmp_path: Path, **arrays: Any) -> Path:
    path = tmp_path / "own.npz"
    np.savez(path, **arrays)
    return path


def test_images_and_labels_are_divided_by_class(tmp_path: Path) -> None:
    data = load_dataset(save(tmp_path, images=PIXELS, labels=LABELS))
    assert (data.name, data.classes, data.shape) == ("own", 2, (1, 4, 6))
    assert data.test.labels.tolist() == [0, 1]
    assert torch.equal(data.test.images[0, 0], torch.from_numpy(PIXELS[2]).float() / 255)
    assert len(data.train) == 8


def test_a_given_division_is_kept(tmp_path: Path) -> None:
    path = save(
        tmp_path,
        train_images=PIXELS[:7],
        train_labels=LABELS[:7].astype(np.uint8),
        test_images=PIXELS[7:],
        test_labels=LABELS[7:],
        note=np.array(["ignored"]),
    )
    data = load_dataset(str(path))
    assert data.train.labels.tolist() == LABELS[:7].tolist()
    assert torch.equal(data.test.images[:, 0], torch.from_numpy(PIXELS[7:]).float() / 255)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((10, 4, 6), (1, 4, 6)),
        ((10, 1, 4, 6), (1, 4, 6)),
        ((10, 3, 4, 6), (3, 4, 6)),
        ((10, 2, 4, 6), (2, 4, 6)),
        ((10, 4, 6, 3), (3, 4, 6)),
        ((10, 4, 6, 1), (1, 4, 6)),
        ((10, 3, 4, 3), (3, 4, 3)),
        ((10, 8, 8, 4), (4, 8, 8)),
        ((10, 8, 8, 2), (2, 8, 8)),
        ((10, 4, 8, 8), (4, 8, 8)),
        ((10, 8, 8, 16), (16, 8, 8)),
        ((10, 16, 8, 8), (16, 8, 8)),
    ],
)
def test_layouts(tmp_path: Path, shape: tuple[int, ...], expected: Any) -> None:
    images = np.random.default_rng(2).random(shape).astype(np.float64)
    data = load_dataset(save(tmp_path, images=images, labels=LABELS))
    assert data.shape == expected
    own = images[2]
    if shape[1:] in {(4, 6, 3), (8, 8, 4), (8, 8, 2), (8, 8, 16)}:
        own = own.transpose(2, 0, 1)
    own = own.reshape(expected) if len(shape) == 3 or shape[3] == 1 else own
    assert np.array_equal(data.test.images[0].numpy(), own.astype(np.float32))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": PIXELS}, "the arrays are images; there must be images and labels, or train_"),
        ({"x": PIXELS, "y": LABELS}, "the arrays are x, y"),
        ({"images": PIXELS, "labels": LABELS[:9]}, "10 images, but labels holds 9"),
        ({"images": PIXELS.astype(float), "labels": LABELS}, "divide values up to 255 by 255"),
        ({"images": PIXELS / 255 - 0.5, "labels": LABELS}, "undo any normalisation"),
        ({"images": PIXELS / 255 * np.nan, "labels": LABELS}, "NaN"),
        ({"images": PIXELS.astype(np.int64), "labels": LABELS}, "uint8 .* not int64"),
        ({"images": PIXELS[:, 0], "labels": LABELS}, re.escape("not [10, 6]")),
        ({"images": PIXELS.reshape(10, 4, 3, 2), "labels": LABELS}, "nothing tells which"),
        ({"images": PIXELS[:, :, :4].reshape(10, 2, 4, 2), "labels": LABELS}, "nothing tells"),
        ({"images": PIXELS[:0], "labels": LABELS[:0]}, "empty"),
        ({"images": PIXELS, "labels": LABELS.astype(float)}, "integers 0, 1, 2, ..., not float64"),
        ({"images": PIXELS, "labels": LABELS == 1}, "integers 0, 1, 2, ..., not bool"),
        ({"images": PIXELS, "labels": np.eye(10, dtype=int)}, "one-hot"),
        ({"images": PIXELS, "labels": LABELS - 1}, "range from -1 to 0"),
        ({"images": PIXELS, "labels": LABELS * 2}, "no training image has the label 1"),
        ({"images": PIXELS, "labels": LABELS * 10**12}, "range from 0 to 1000000000000"),
        ({"images": PIXELS, "labels": LABELS * 0}, "two or more"),
        ({"images": PIXELS, "labels": LABELS * (2**31 - 1)}, "only 8 training images"),
        ({"images": PIXELS, "labels": LABELS * 9}, "only 8 training images"),
    ],
)
def test_malformed_arrays_are_named(tmp_path: Path, arrays: Any, message: str) -> None:
    path = save(tmp_path, **arrays)
    with pytest.raises(DatasetError, match=f"^{re.escape(str(path))}: .*{message}"):
        load_dataset(path)


def test_pickled_objects_are_not_opened(tmp_path: Path) -> None:
    path = save(tmp_path, images=np.array([{"a": 1}], dtype=object), labels=LABELS)
    with pytest.raises(DatasetError, match="without pickled objects"):
        load_dataset(path)


@pytest.mark.parametrize("kept", [0, 20, 400])
def test_truncated_files_are_named(tmp_path: Path, kept: int) -> None:
    path = save(tmp_path, images=PIXELS, labels=LABELS)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DatasetError, match=r"own\.npz: not readable"):
        load_dataset(path)


def test_a_single_array_under_the_suffix_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.npz"
    with path.open("wb") as file:
        np.save(file, PIXELS)
    with pytest.raises(DatasetError, match="not a complete zip archive"):
        load_dataset(path)


def test_the_names_of_keras_are_understood(tmp_path: Path) -> None:
    path = save(
        tmp_path,
        x_train=PIXELS[:7],
        y_train=LABELS[:7, None].astype(np.uint8),
        x_test=PIXELS[7:],
        y_test=LABELS[7:, None],
    )
    data = load_dataset(path)
    assert data.train.labels.tolist() == LABELS[:7].tolist()
    assert torch.equal(data.test.images[:, 0], torch.from_numpy(PIXELS[7:]).float() / 255)


def test_the_images_to_test_on_are_the_test_split(tmp_path: Path) -> None:
    path = save(tmp_path, images=PIXELS, labels=LABELS)
    found, data = load_test_images(path), load_dataset(path)
    assert torch.equal(found.test.images, data.test.images)
    assert (found.digest, found.held, found.complete) == (data.digest, 10, True)


def header(shape: tuple[int, ...], kind: str = "|u1") -> bytes:
    text = repr({"descr": kind, "fortran_order": False, "shape": shape}).encode()
    text += b" " * (63 - (len(text) + 10) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (header((10**6, 1000, 1000)) + bytes(9), r"promises 1,000,000,000,000 bytes .* are 9"),
        (header((10**30,)), "promises"),
        (header((2, 2, 2))[:-20], "not readable"),
        (header((1 << 13, 1 << 14)) + bytes(1 << 27), "made to fill the memory"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(99), "not a plain array"),
        (header((1,) * 5, "|O"), "holds objects"),
        (header((-1, 4)), "not readable"),
        (b"nothing", "not readable"),
    ],
)
def test_headers_are_not_believed(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "own.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", content)
        archive.writestr("labels.npy", header((10,)) + bytes(10))
    with pytest.raises(DatasetError, match=f"own.npz: .*{message}"):
        load_dataset(path)
