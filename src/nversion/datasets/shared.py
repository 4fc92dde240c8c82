"""A dataset in the form that reaches other processes without being copied for each.

The arrays are written once, as plain ``.npy`` files; a process that opens the dataset maps them
into its memory, and all processes of a machine share the pages.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from nversion.datasets.dataset import Dataset, Split
from nversion.files import write_array

__all__ = ["SharedDataset"]

NAMES = ("train-images", "train-labels", "test-images", "test-labels")


@dataclasses.dataclass(frozen=True, eq=False)
class SharedDataset:
    """What :class:`~nversion.datasets.Dataset` holds, as NumPy arrays or the files that hold them.

    Attributes:
        name: of the dataset.
        classes: how many.
        shape: (channels, height, width).
        class_names: what the classes are called.
        digest: of the content.
        arrays: train images, train labels, test images, test labels; in memory, or the files
            that hold them.
    """

    name: str
    classes: int
    shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    digest: str
    arrays: tuple[npt.NDArray[Any] | Path, ...]

    @classmethod
    def of(cls, data: Dataset) -> SharedDataset:
        """Return the arrays of a dataset, which share its memory."""
        arrays = (
            data.train.images.numpy(),
            data.train.labels.numpy(),
            data.test.images.numpy(),
            data.test.labels.numpy(),
        )
        return cls(data.name, data.classes, data.shape, data.class_names, data.digest, arrays)

    @classmethod
    def stored(cls, data: Dataset, folder: Path) -> SharedDataset:
        """Write the arrays into `folder` and return the dataset that is opened from there.

        Raises:
            DiskFullError: there is no room for them.
        """
        folder.mkdir(parents=True, exist_ok=True)
        here = cls.of(data)
        files = tuple(folder / f"{name}.npy" for name in NAMES)
        for file, array in zip(files, here.arrays, strict=True):
            write_array(file, np.asarray(array))
        return dataclasses.replace(here, arrays=files)

    def open(self) -> Dataset:
        """Return the dataset, which shares the arrays' memory; its digest is not computed again."""
        train_images, train_labels, test_images, test_labels = map(_open, self.arrays)
        data = Dataset(
            name=self.name,
            train=Split(train_images, train_labels),
            test=Split(test_images, test_labels),
            classes=self.classes,
            shape=self.shape,
            class_names=self.class_names,
        )
        # The digest is a cached property, and the arrays are those that it was computed of.
        data.__dict__["digest"] = self.digest
        return data


def _open(array: npt.NDArray[Any] | Path) -> torch.Tensor:
    # Copy-on-write, as PyTorch wants tensors that could be written to; nobody does.
    return torch.from_numpy(np.load(array, mmap_mode="c") if isinstance(array, Path) else array)
