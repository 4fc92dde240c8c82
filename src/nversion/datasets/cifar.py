"""CIFAR-10 in its binary form: records of a label and 3,072 bytes, red, green and blue in turn.

Its form for Python, which torchvision unpacks, is pickled, and pickles are never opened.
Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from nversion.datasets.arrays import images_from_array, labels_from_array
from nversion.datasets.dataset import Dataset, Split
from nversion.errors import ArtefactError, DatasetError
from nversion.reading import read_bytes

__all__ = ["holds_cifar", "load_cifar", "refuse_pickled_cifar"]

NAMES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)

Bytes = npt.NDArray[np.uint8]

RECORD = 1 + 3 * 32 * 32

LIMIT = 10_000 * RECORD
"""Bytes of one file."""


def holds_cifar(folder: Path) -> bool:
    """Tell whether a folder holds CIFAR-10 in its binary form."""
    return (folder / "data_batch_1.bin").is_file() and (folder / "test_batch.bin").is_file()


def refuse_pickled_cifar(folder: Path) -> None:
    """Raise DatasetError where a folder holds CIFAR's pickles."""
    for place in (folder, folder / "cifar-10-batches-py"):
        if (place / "data_batch_1").is_file() and (place / "test_batch").is_file():
            raise DatasetError(
                f"{place}: CIFAR-10 for Python is pickled, which can run any code and is never "
                "opened; take its binary version (cifar-10-batches-bin), or save its arrays with "
                "numpy.savez(FILE, x_train=..., y_train=..., x_test=..., y_test=...)"
            )


def load_cifar(folder: Path, name: str) -> Dataset:
    """Load CIFAR-10 from its six binary files.

    Raises:
        DatasetError: a file is missing, or not a whole number of records long.
    """
    train = [_records(folder / f"data_batch_{n}.bin") for n in range(1, 6)]
    labels, images = (np.concatenate(parts) for parts in zip(*train, strict=True))
    test_labels, test_images = _records(folder / "test_batch.bin")
    return Dataset(
        name,
        Split(images_from_array(images), labels_from_array(labels)),
        Split(images_from_array(test_images), labels_from_array(test_labels)),
        len(NAMES),
        (3, 32, 32),
        NAMES,
    )


def _records(path: Path) -> tuple[Bytes, Bytes]:
    try:
        content = np.frombuffer(read_bytes(path, LIMIT), np.uint8)
    except ArtefactError as error:
        raise DatasetError(str(error)) from error
    if len(content) == 0 or len(content) % RECORD:
        raise DatasetError(f"{path}: {len(content):,} bytes are no whole number of records")
    rows = content.reshape(-1, RECORD)
    return rows[:, 0], rows[:, 1:].reshape(-1, 3, 32, 32)
