"""IDX files, the format of MNIST and its kin: read, and refused with a reason when malformed.

The format (LeCun, Cortes and Burges, "The MNIST database of handwritten digits"): two zero bytes,
a type code (8: unsigned byte), the number of dimensions, each dimension as a big-endian 32-bit
number, then the values in row-major order. Files may be gzip-compressed.
"""

from __future__ import annotations

import contextlib
import gzip
import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from nversion.datasets.dataset import Dataset, Split
from nversion.errors import DatasetError
from nversion.reading import check_expansion

__all__ = ["FILE_NAMES", "find_file", "holds_any", "load_idx_folder", "read_content", "read_idx"]

FILE_NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
"""Train images, train labels, test images, test labels; each may end in ``.gz``."""

UNSIGNED_BYTE = 8


CONTENT_LIMIT = 1 << 30
"""The most values of one file; MNIST's training images are 47 million."""


def find_file(folder: Path, name: str) -> Path | None:
    """Return the file called `name` in `folder`, plain or with ``.gz``; None if there is none.

    Some programs unpack ``train-images-idx3-ubyte.gz`` as ``train-images.idx3-ubyte``; a file of
    such a name is found as well.
    """
    for known in (name, name.replace("-idx", ".idx")):
        for path in (folder / known, folder / f"{known}.gz"):
            if path.is_file():
                return path
    return None


def holds_any(folder: Path) -> bool:
    """Tell whether `folder` holds at least one of the four IDX files."""
    return any(find_file(folder, name) for name in FILE_NAMES)


def read_content(path: Path, packed: bool, limit: int = CONTENT_LIMIT) -> bytes:
    """Return the first `limit` bytes of a file and one more, unpacked if `packed` by gzip.

    Raises:
        DatasetError: it is missing, unreadable, damaged or truncated.
    """
    with _opened(path, packed) as file:
        return file.read(limit + 1)


@contextlib.contextmanager
def _opened(path: Path, packed: bool) -> Iterator[gzip.GzipFile | BinaryIO]:
    """Open a file for the block, and name it where it cannot be read or unpacked."""
    try:
        with gzip.open(path, "rb") if packed else path.open("rb") as file:
            yield file
    except EOFError:
        raise DatasetError(
            f"{path}: the gzip file ends too early; delete it and download or copy it again"
        ) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DatasetError(
            f"{path}: not a gzip file, or a damaged one ({error}); delete it and download or copy "
            "it again (an unpacked file must not end in .gz)"
        ) from error
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror or error})") from error


def read_idx(path: Path, dimensions: int) -> Tensor:
    """Read an IDX file of unsigned bytes; no more of it than its header promises.

    Args:
        path: the file, plain or gzip-compressed.
        dimensions: how many the file must have: 3 for images, 1 for labels.

    Returns:
        uint8 [count, ...] with that many dimensions.

    Raises:
        DatasetError: the file is missing, truncated, too long, or has another magic number.
    """
    with _opened(path, packed=path.suffix == ".gz") as file:
        shape = _read_header(file, path, dimensions)
        expected = math.prod(shape)
        promise = f"the header promises {' x '.join(map(str, shape))} = {expected} values"
        if expected > CONTENT_LIMIT:
            raise DatasetError(f"{path}: {promise}; {CONTENT_LIMIT:,} are the most that are read")
        check_expansion(path.stat().st_size, expected, path, DatasetError)
        content = file.read(expected + 1)
    found = len(content)
    if found != expected:
        there = f"{found}" if found < expected else "more"
        problem = "truncated" if found < expected else "followed by bytes that do not belong there"
        raise DatasetError(
            f"{path}: {promise}, but there are {there}; the data are {problem}: download or copy "
            "the file again"
        )
    values = np.frombuffer(content, dtype=np.uint8).reshape(shape)
    return torch.from_numpy(values.copy())


def _read_header(file: gzip.GzipFile | BinaryIO, path: Path, dimensions: int) -> tuple[int, ...]:
    """Return the dimensions that an IDX file's header promises."""
    size = 4 + 4 * dimensions
    header = file.read(size)
    if len(header) < size:
        raise DatasetError(
            f"{path}: {len(header)} bytes, too short for an IDX header of {size}; the file is "
            "truncated: download or copy it again"
        )
    (magic,) = struct.unpack(">I", header[:4])
    expected_magic = UNSIGNED_BYTE << 8 | dimensions
    if magic != expected_magic:
        raise DatasetError(
            f"{path}: wrong magic number {magic:#010x}; an IDX file of {_kind(dimensions)} starts "
            f"with {expected_magic:#010x}. {_guess(header, magic)}"
        )
    return struct.unpack(f">{dimensions}I", header[4:])


def _kind(dimensions: int) -> str:
    return {1: "labels", 3: "images"}.get(dimensions, f"{dimensions}-dimensional arrays")


def _guess(content: bytes, magic: int) -> str:
    if content.startswith(b"\x1f\x8b"):
        return "It is gzip-compressed: add .gz to its name, or unpack it"
    if magic >> 8 == UNSIGNED_BYTE and magic & 0xFF in (1, 3):
        return f"It is an IDX file of {_kind(magic & 0xFF)}: is it under the wrong name?"
    return "It is not an IDX file of bytes, or it is damaged"


def load_idx_folder(
    folder: Path, name: str, classes: int | None = None, class_names: tuple[str, ...] = ()
) -> Dataset:
    """Load a dataset from its four IDX files (:data:`FILE_NAMES`), plain or gzip-compressed.

    Args:
        folder: where they lie.
        name: what to call the dataset.
        classes: how many classes there are; by default the largest training label plus one.
        class_names: what they are called; by default their numbers.

    Raises:
        DatasetError: a file is missing or malformed, or they do not fit each other.
    """
    paths = [find_file(folder, file_name) for file_name in FILE_NAMES]
    missing = [name for name, path in zip(FILE_NAMES, paths, strict=True) if path is None]
    if missing:
        raise DatasetError(f"{folder}: there is no {' and no '.join(missing)} (plain or with .gz)")
    train_images, train_labels, test_images, test_labels = (path for path in paths if path)
    train = _read_split(train_images, train_labels, classes)
    test = _read_split(test_images, test_labels, classes)
    count = classes or int(train.labels.max()) + 1
    height, width = train.images.shape[2:]
    try:
        return Dataset(name, train, test, count, (1, height, width), class_names)
    except DatasetError as error:
        raise DatasetError(f"{folder}: {error}") from error


def _read_split(images_path: Path, labels_path: Path, classes: int | None) -> Split:
    images, labels = read_idx(images_path, 3), read_idx(labels_path, 1)
    if len(images) != len(labels):
        raise DatasetError(
            f"{labels_path} holds {len(labels)} labels, but {images_path} holds {len(images)} "
            "images; the two files do not belong together"
        )
    if len(images) == 0 or images.numel() == 0:
        raise DatasetError(f"{images_path}: there are no images, or they have no pixels")
    if classes is not None and int(labels.max()) >= classes:
        raise DatasetError(
            f"{labels_path}: a label is {int(labels.max())}, but there are only {classes} classes"
        )
    pixels = images.to(torch.float32).div_(255).unsqueeze(1)
    return Split(pixels, labels.to(torch.int64))
