from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nversion.datasets.idx import FILE_NAMES, load_idx_folder, read_idx
from nversion.errors import DatasetError


def idx_bytes(array: Any) -> bytes:
    array = np.asarray(array, dtype=np.uint8)
    header = struct.pack(f">I{array.ndim}I", 0x800 | array.ndim, *array.shape)
    return header + array.tobytes()


def write_folder(folder: Path, packed: bool = True, **replaced: bytes) -> Path:
    """Write a small dataset of two classes; `replaced` maps a short name to other bytes."""
    generator = np.random.default_rng(0)
    contents = {
        "train_images": idx_bytes(generator.integers(0, 256, (4, 3, 5))),
        "train_labels": idx_bytes([0, 1, 1, 0]),
        "test_images": idx_bytes(generator.integers(0, 256, (2, 3, 5))),
        "test_labels": idx_bytes([1, 0]),
    }
    contents |= replaced
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in zip(FILE_NAMES, contents.values(), strict=True):
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content, mtime=0))
        else:
            (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("packed", [True, False])
def test_a_folder_loads_packed_or_not(tmp_path: Path, packed: bool) -> None:
    data = load_idx_folder(write_folder(tmp_path / "d", packed), "tiny")
    expected = np.random.default_rng(0).integers(0, 256, (4, 3, 5))
    assert data.shape == (1, 3, 5)
    assert data.classes == 2
    assert data.train.labels.tolist() == [0, 1, 1, 0]
    assert torch.equal(
        data.train.images, torch.tensor(expected, dtype=torch.float32).div(255).unsqueeze(1)
    )


def write(tmp_path: Path, content: bytes, name: str = "labels") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("kept", [0, 3, 7])
def test_a_truncated_header_is_named(tmp_path: Path, kept: int) -> None:
    path = write(tmp_path, idx_bytes([1, 2, 3])[:kept])
    with pytest.raises(DatasetError, match=f"{path}: {kept} bytes, too short .* truncated"):
        read_idx(path, 1)


def test_truncated_values_are_named(tmp_path: Path) -> None:
    path = write(tmp_path, idx_bytes([1, 2, 3])[:-1])
    with pytest.raises(DatasetError, match=r"promises 3 = 3 values, but there are 2; .* truncated"):
        read_idx(path, 1)


def test_bytes_too_many_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, idx_bytes([1, 2, 3]) + b"x")
    with pytest.raises(DatasetError, match="do not belong there"):
        read_idx(path, 1)


def test_a_wrong_magic_number_says_which_is_right(tmp_path: Path) -> None:
    path = write(tmp_path, b"\0\0\x0d\x01" + bytes(40))
    with pytest.raises(DatasetError, match=r"wrong magic number 0x00000d01; .* 0x00000801"):
        read_idx(path, 1)


def test_labels_in_place_of_images_are_recognised(tmp_path: Path) -> None:
    path = write(tmp_path, idx_bytes(range(20)))
    with pytest.raises(DatasetError, match="IDX file of labels: is it under the wrong name"):
        read_idx(path, 3)


def test_a_packed_file_without_its_suffix_is_recognised(tmp_path: Path) -> None:
    path = write(tmp_path, gzip.compress(idx_bytes([1, 2])))
    with pytest.raises(DatasetError, match=r"gzip-compressed: add \.gz"):
        read_idx(path, 1)


def test_damaged_gzip_files_are_named(tmp_path: Path) -> None:
    whole = gzip.compress(idx_bytes(list(range(200)) * 10))
    cut = write(tmp_path, whole[:-20], "cut.gz")
    with pytest.raises(DatasetError, match=r"cut\.gz: the gzip file ends too early"):
        read_idx(cut, 1)
    flipped = bytearray(whole)
    flipped[-6] ^= 0xFF
    with pytest.raises(DatasetError, match="not a gzip file, or a damaged one"):
        read_idx(write(tmp_path, bytes(flipped), "flipped.gz"), 1)
    with pytest.raises(DatasetError, match="not a gzip file, or a damaged one"):
        read_idx(write(tmp_path, b"<html>404</html>", "page.gz"), 1)


def test_labels_that_do_not_match_the_images_in_number_are_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, train_labels=idx_bytes([0, 1, 1]))
    with pytest.raises(DatasetError, match=r"train-labels.* 3 labels, but .*train-images.* 4 "):
        load_idx_folder(folder, "tiny")


def test_labels_beyond_the_classes_are_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, test_labels=idx_bytes([1, 7]))
    with pytest.raises(DatasetError, match=r"t10k-labels.*: a label is 7, but there are only 2"):
        load_idx_folder(folder, "tiny", classes=2)


def test_a_class_without_images_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, train_labels=idx_bytes([0, 2, 2, 0]))
    with pytest.raises(DatasetError, match="no training image has the label 1"):
        load_idx_folder(folder, "tiny")


def test_missing_files_are_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    (folder / f"{FILE_NAMES[2]}.gz").unlink()
    (folder / f"{FILE_NAMES[3]}.gz").unlink()
    with pytest.raises(DatasetError, match="no t10k-images-idx3-ubyte and no t10k-labels"):
        load_idx_folder(folder, "tiny")


def test_images_without_pixels_are_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, train_images=idx_bytes(np.zeros((4, 0, 5))))
    with pytest.raises(DatasetError, match="no pixels"):
        load_idx_folder(folder, "tiny")


def test_names_with_a_dot_are_found(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, packed=False)
    for name in FILE_NAMES:
        (folder / name).rename(folder / name.replace("-idx", ".idx"))
    assert load_idx_folder(folder, "tiny").shape == (1, 3, 5)


def test_no_more_is_unpacked_than_the_header_promises(tmp_path: Path) -> None:
    bomb = gzip.compress(struct.pack(">4I", 0x803, 2, 2, 2) + bytes(1 << 28), 9)
    path = write(tmp_path, bomb, "images.gz")
    with pytest.raises(DatasetError, match="2 x 2 x 2 = 8 values, but there are more"):
        read_idx(path, 3)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2**32 - 1, 2**32 - 1, 2**32 - 1), "1,073,741,824 are the most that are read"),
        ((60_000, 100, 100), "made to fill the memory"),
    ],
)
def test_a_header_is_not_believed(tmp_path: Path, shape: tuple[int, ...], message: str) -> None:
    content = gzip.compress(struct.pack(">4I", 0x803, *shape) + bytes(1000))
    with pytest.raises(DatasetError, match=message):
        read_idx(write(tmp_path, content, "images.gz"), 3)
