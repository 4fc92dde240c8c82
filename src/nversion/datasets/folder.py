"""The user's own data as a folder of class folders with images.

Either ``FOLDER/CLASS/IMAGE`` (divided by :func:`~nversion.datasets.dataset.split_by_class`), or
``FOLDER/train/CLASS/IMAGE`` and ``FOLDER/test/CLASS/IMAGE``; ``training``, ``testing``, ``val`` and
any case are understood too. Classes are numbered in the order of their names, in numerical order if
all names are numbers. Hidden files, and files that are not images by their suffix, are ignored.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
from torch import Tensor

from nversion.datasets.dataset import Dataset, Split, split_by_class
from nversion.datasets.resizing import check_size, resize
from nversion.errors import DatasetError, InputError
from nversion.pictures import EVERY_MODE, read_picture

__all__ = ["FORMATS", "LARGEST_SIDE", "load_image_folder"]

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")

LARGEST_SIDE = 4096
VALUES_LIMIT = 1 << 30
"""The most pixels a side, and values of all images of a split together (4 GiB of memory)."""

TRAIN, TEST, VALIDATION = (
    ("train", "training"),
    ("test", "testing"),
    ("val", "valid", "validation"),
)
"""What the folders of a divided dataset are called, in any case."""


@dataclasses.dataclass(frozen=True)
class _Division:
    """The folders of a dataset that is divided already."""

    train: Path
    test: Path


def load_image_folder(
    folder: Path, name: str | None = None, size: tuple[int, int] | None = None
) -> Dataset:
    """Load a dataset from a folder of class folders; greyscale images have one channel.

    Where there is a folder ``val`` beside ``train`` and ``test``, its images are left out; where
    there is no ``test``, they are the test images.

    Args:
        folder: where the class folders lie, or the folders train and test with them.
        name: what to call the dataset; by default like the folder.
        size: (height, width) that each image is resized to; None where all have one size.

    Raises:
        DatasetError: a class or an image is missing, unreadable, or of another size or kind than
            the first image; or folders are divided in a way that is not clear.
    """
    division = _division(folder)
    if division:
        names = _class_names(division.train)
        unknown = [name for name in _class_names(division.test) if name not in names]
        if unknown:
            raise DatasetError(
                f"{division.test}: the classes {', '.join(unknown)} have no folder in "
                f"{division.train}"
            )
        train = _read_split(division.train, names, size)
        test = _read_split(division.test, names, size)
    else:
        names = _class_names(folder)
        whole = _read_split(folder, names, size)
        try:
            train, test = split_by_class(whole.images, whole.labels)
        except DatasetError as error:
            raise DatasetError(f"{folder} ({_numbering(names)}): {error}") from error
    channels, height, width = train.images.shape[1:]
    try:
        return Dataset(
            name or folder.name,
            train,
            test,
            len(names),
            (channels, height, width),
            tuple(names),
        )
    except DatasetError as error:
        raise DatasetError(f"{folder} ({_numbering(names)}): {error}") from error


def _division(folder: Path) -> _Division | None:
    """Return the folders to train and to test on; None if there are class folders only.

    A class may be called "train", too: a folder that has images in it, and no folders, is one.
    """
    parts = {path: path.name.lower() for path in _folders(folder)}
    train, test, validation = (
        [path for path, name in parts.items() if name in known and not _image_files(path)]
        for known in (TRAIN, TEST, VALIDATION)
    )
    if not train or not any(_folders(path) for path in train):
        return None
    others = [path.name for path in parts if path not in (*train, *test, *validation)]
    if others:
        raise DatasetError(
            f"{folder}: beside {train[0].name} there is {', '.join(others)}; put the folders of "
            "the classes into train and test, and nothing else beside them"
        )
    test = test or validation
    if len(train) != 1 or len(test) != 1:
        found = ", ".join(path.name for path in parts)
        raise DatasetError(
            f"{folder}: holds {found}; it must hold one folder train and one folder test, each "
            "with a folder per class (or those folders alone, and a fifth becomes test images)"
        )
    return _Division(train[0], test[0])


def _numbering(names: list[str]) -> str:
    shown = ", ".join(f"{label} = {name}" for label, name in enumerate(names[:12]))
    return shown if len(names) <= 12 else f"{shown}, ..."


def _folders(folder: Path) -> list[Path]:
    paths = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    if all(path.name.isdecimal() for path in paths):
        return sorted(paths, key=lambda path: (int(path.name), path.name))
    return sorted(paths)


def _class_names(folder: Path) -> list[str]:
    names = [path.name for path in _folders(folder)]
    if not names:
        raise DatasetError(
            f"{folder}: holds no class folders; there must be one folder per class with images in "
            "it (optionally train and test above them), or the four IDX files of a dataset"
            f"{_hint(folder)}"
        )
    return names


def _read_split(folder: Path, names: list[str], size: tuple[int, int] | None) -> Split:
    paths, labels = [], []
    for label, name in enumerate(names):
        found = _image_files(folder / name)
        paths += found
        labels += [label] * len(found)
    if not paths:
        raise DatasetError(f"{folder}: the class folders hold no images{_within(folder)}")
    images: list[Tensor] = []
    for path in paths:
        image = _read_image(path)
        if size is not None:
            check_size(size)
            image = resize(image[None], size)[0]
        if images and image.shape != images[0].shape:
            raise DatasetError(
                f"{path} is {_describe(image)}, but {paths[0]} is {_describe(images[0])}; all "
                "images must have one size (or be resized: --data FOLDER@HEIGHTxWIDTH, or "
                "load_dataset(..., size=(height, width))), and all be greyscale or all be colour"
            )
        if image.numel() * len(paths) > VALUES_LIMIT:
            raise DatasetError(
                f"{folder}: {len(paths):,} images of {_describe(image)} do not fit into memory; "
                "make them smaller"
            )
        images.append(image)
    return Split(torch.stack(images), torch.tensor(labels, dtype=torch.int64))


def _hint(folder: Path) -> str:
    """Return what is in a folder that does not hold a dataset in a form that is read."""
    found = sorted(
        path.name for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")
    )
    return f"; there is {', '.join(found[:6])}{', ...' * (len(found) > 6)}" if found else ""


def _within(folder: Path) -> str:
    """Return which folder in it holds a dataset in another form, and is likely meant."""
    tables = (".parquet", ".csv")
    for place in _folders(folder):
        if any(path.suffix.lower() in tables or "-ubyte" in path.name for path in place.iterdir()):
            return f"; {place} holds a dataset of its own: name that"
    return ""


def _image_files(folder: Path) -> list[Path]:
    if not folder.is_dir():  # a class without test images
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )


def _read_image(path: Path) -> Tensor:
    try:
        pixels = torch.from_numpy(read_picture(path, FORMATS, LARGEST_SIDE, EVERY_MODE))
    except InputError as error:
        raise DatasetError(f"{path}: {error}") from error
    image = pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1).contiguous()
    return image.to(torch.float32).div_(255)


def _describe(image: Tensor) -> str:
    channels, height, width = image.shape
    return f"{width} x {height} pixels, {'greyscale' if channels == 1 else 'colour'}"
