"""A dataset as plain arrays, which a pool of processes hands over as memory maps, not as copies."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy.typing as npt
import torch

from nversion.datasets.dataset import Dataset, Split

__all__ = ["SharedDataset"]


@dataclasses.dataclass(frozen=True, eq=False)
class SharedDataset:
    """What :class:`~nversion.datasets.Dataset` holds, as NumPy arrays.

    Attributes:
        name: of the dataset.
        classes: how many.
        shape: (channels, height, width).
        digest: of the content.
        arrays: train images, train labels, test images, test labels.
    """

    name: str
    classes: int
    shape: tuple[int, int, int]
    digest: str
    arrays: tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]

    @classmethod
    def of(cls, data: Dataset) -> SharedDataset:
        """Return the arrays of a dataset, which share its memory."""
        arrays = (
            data.train.images.numpy(),
            data.train.labels.numpy(),
            data.test.images.numpy(),
            data.test.labels.numpy(),
        )
        return cls(data.name, data.classes, data.shape, data.digest, arrays)

    def open(self) -> Dataset:
        """Return the dataset, which shares the arrays' memory; its digest is not computed again."""
        train_images, train_labels, test_images, test_labels = map(torch.from_numpy, self.arrays)
        data = Dataset(
            name=self.name,
            train=Split(train_images, train_labels),
            test=Split(test_images, test_labels),
            classes=self.classes,
            shape=self.shape,
        )
        data.__dict__["digest"] = self.digest
        return data
