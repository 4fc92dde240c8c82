"""What a dataset is: images and labels, a train and a test split, checked when it is made.

Everything downstream relies on these checks, so that no later stage has to ask again whether pixels
lie in [0, 1] or whether a label exists.
"""

from __future__ import annotations

import dataclasses
import functools

import torch
from torch import Tensor

from nversion.errors import DatasetError, InputError
from nversion.files import digest_of
from nversion.models import check_images, check_labels

__all__ = ["Dataset", "Split", "TestImages", "split_by_class"]

TEST_EVERY = 5
"""One image in so many of each class goes to the test split where a dataset has none."""

NUMBERING = "number the classes 0, 1, 2, ... without gaps"


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """Images and their labels.

    Attributes:
        images: float32 [count, channels, height, width] in [0, 1]; at least one.
        labels: int64 [count], at least 0.

    Raises:
        DatasetError: wrong type, shape, dtype or values, or no images.
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        try:
            check_images(self.images)
            check_labels(self.labels, self.images.shape[0])
        except InputError as error:
            raise DatasetError(str(error)) from error
        if self.images.dtype != torch.float32:
            raise DatasetError(f"images must be float32, not {self.images.dtype}")
        if self.images.numel() == 0:
            raise DatasetError(f"there are no pixels: images have shape {list(self.images.shape)}")

    def __len__(self) -> int:
        return self.images.shape[0]

    def __repr__(self) -> str:
        return f"Split({len(self):,} images, {list(self.images.shape[1:])})"


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """A named dataset with a train and a test split.

    Attributes:
        name: what it is called, in files and in the report.
        train: the split that versions learn from; holds every class.
        test: the split that they are measured on.
        classes: how many classes there are; labels are 0 .. classes - 1.
        shape: (channels, height, width) of every image.
        class_names: what the classes are called; by default their numbers.

    Raises:
        DatasetError: the splits do not fit each other, the shape, the number of classes or their
            names, or a class has no training image.
    """

    name: str
    train: Split
    test: Split
    classes: int
    shape: tuple[int, int, int]
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.classes < 2:
            raise DatasetError(
                f"{self.name}: {self.classes} class(es); a dataset needs two or more"
            )
        if self.classes > len(self.train):
            # Before anything is counted or named: a label near 2^31 would have two billion counts.
            raise DatasetError(
                f"{self.name}: labels go up to {self.classes - 1:,}, but there are only "
                f"{len(self.train):,} training images, and no training image has many of the "
                f"labels below; {NUMBERING}"
            )
        if not self.class_names:
            object.__setattr__(self, "class_names", tuple(map(str, range(self.classes))))
        if len(self.class_names) != self.classes:
            raise DatasetError(
                f"{self.name}: {len(self.class_names)} class names for {self.classes} classes"
            )
        for title, split in (("train", self.train), ("test", self.test)):
            if tuple(split.images.shape[1:]) != tuple(self.shape):
                raise DatasetError(
                    f"{self.name}: {title} images are {list(split.images.shape[1:])} "
                    f"[channels, height, width], but the dataset's shape is {list(self.shape)}"
                )
            try:
                check_labels(split.labels, len(split), self.classes)
            except InputError as error:
                raise DatasetError(f"{self.name}: {title} {error}") from error
        counts = torch.bincount(self.train.labels, minlength=self.classes)
        missing = (counts == 0).nonzero().flatten().tolist()
        if missing:
            raise DatasetError(
                f"{self.name}: no training image has the label {_some(missing)}, though labels go "
                f"up to {self.classes - 1}; {NUMBERING}"
            )

    def __repr__(self) -> str:
        return (
            f"Dataset({self.name}: {len(self.train):,} images to train on, {len(self.test):,} to "
            f"test on, {list(self.shape)}, {self.classes} classes)"
        )

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 (hexadecimal) of the content: images, labels and number of classes.

        The names, its own and those of the classes, are left out: the same content under other
        names is the same data.
        """
        return digest_of(
            *(self.train.images, self.train.labels, self.test.images, self.test.labels),
            self.classes,
        )


@dataclasses.dataclass(frozen=True, eq=False)
class TestImages:
    """Images to test networks on, of a dataset or of a file that holds no others.

    Attributes:
        name: what they are called.
        test: the images and their labels.
        classes: how many classes their dataset has, or at the least has, if `complete` is False.
        shape: (channels, height, width) of every image.
        digest: SHA-256 of the whole dataset.
        held: how many images the dataset holds, those to train on among them.
        complete: whether the classes are known, and not only those that happen to occur.
        class_names: what they are called; empty where that is not known.
    """

    __test__ = False  # It is not a test of pytest's.

    name: str
    test: Split
    classes: int
    shape: tuple[int, int, int]
    digest: str
    held: int
    complete: bool = True
    class_names: tuple[str, ...] = ()

    @classmethod
    def of(cls, data: Dataset) -> TestImages:
        """Return the test images of a dataset."""
        held = len(data.train) + len(data.test)
        return cls(
            *(data.name, data.test, data.classes, data.shape, data.digest, held),
            class_names=data.class_names,
        )

    @classmethod
    def whole(cls, name: str, split: Split) -> TestImages:
        """Return images that are all there to test on."""
        channels, height, width = split.images.shape[1:]
        return cls(
            name,
            split,
            classes=int(split.labels.max()) + 1,
            shape=(channels, height, width),
            digest=digest_of(split.images, split.labels),
            held=len(split),
            complete=False,
        )


def _some(labels: list[int], limit: int = 10) -> str:
    shown = ", ".join(map(str, labels[:limit]))
    return shown if len(labels) <= limit else f"{shown}, ... ({len(labels)} labels in all)"


def split_by_class(images: Tensor, labels: Tensor) -> tuple[Split, Split]:
    """Divide images into a train and a test split, the same way every time.

    Of each class, in the order given, the second image and every fifth one after it goes to the
    test split: about 20 %, with no random numbers, and never a class without a training image.

    Args:
        images: float32 [count, channels, height, width] in [0, 1].
        labels: int64 [count].

    Returns:
        The train and the test split, both in the order given.

    Raises:
        DatasetError: malformed images or labels, or a class with a single image.
    """
    whole = Split(images, labels)
    present, counts = torch.unique(whole.labels, return_counts=True)
    single = present[counts == 1].tolist()
    if single:
        raise DatasetError(
            f"only one image has the label {_some(single)}; a class needs at least two, one to "
            "learn from and one to test on"
        )
    chosen = torch.zeros(len(whole), dtype=torch.bool)
    for label in present.tolist():
        rows = (whole.labels == label).nonzero().squeeze(1)
        chosen[rows[1::TEST_EVERY]] = True
    return (
        Split(whole.images[~chosen], whole.labels[~chosen]),
        Split(whole.images[chosen], whole.labels[chosen]),
    )
