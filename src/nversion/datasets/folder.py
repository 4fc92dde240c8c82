"""The user's own data as a folder of class folders with images.

Either ``FOLDER/CLASS/IMAGE`` (divided by :func:`~nversion.datasets.dataset.split_by_class`), or
``FOLDER/train/CLASS/IMAGE`` and ``FOLDER/test/CLASS/IMAGE``. Classes are numbered in the order of
their names, in numerical order if all names are numbers. Hidden files, and files that are not
images by their suffix, are ignored.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from nversion.datasets.dataset import Dataset, Split, split_by_class
from nversion.errors import DatasetError

__all__ = ["load_image_folder"]

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
GREYSCALE_MODES = frozenset({"1", "L"})
COLOUR_MODES = frozenset({"P", "RGB"})


def load_image_folder(folder: Path) -> Dataset:
    """Load a dataset from a folder of class folders; greyscale images have one channel.

    Raises:
        DatasetError: a class or an image is missing, unreadable, or of another size or kind than
            the first image.
    """
    parts = {path.name for path in _folders(folder)}
    if parts == {"train", "test"}:
        names = _class_names(folder / "train")
        unknown = [name for name in _class_names(folder / "test") if name not in names]
        if unknown:
            raise DatasetError(
                f"{folder / 'test'}: the classes {', '.join(unknown)} have no folder in "
                f"{folder / 'train'}"
            )
        train = _read_split(folder / "train", names)
        test = _read_split(folder / "test", names)
    else:
        names = _class_names(folder)
        whole = _read_split(folder, names)
        try:
            train, test = split_by_class(whole.images, whole.labels)
        except DatasetError as error:
            raise DatasetError(f"{folder} ({_numbering(names)}): {error}") from error
    channels, height, width = train.images.shape[1:]
    try:
        return Dataset(folder.name, train, test, len(names), (channels, height, width))
    except DatasetError as error:
        raise DatasetError(f"{folder} ({_numbering(names)}): {error}") from error


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
        )
    return names


def _read_split(folder: Path, names: list[str]) -> Split:
    paths, labels = [], []
    for label, name in enumerate(names):
        found = _image_files(folder / name)
        paths += found
        labels += [label] * len(found)
    if not paths:
        raise DatasetError(f"{folder}: the class folders hold no images")
    images = [_read_image(path) for path in paths]
    for path, image in zip(paths, images, strict=True):
        if image.shape != images[0].shape:
            raise DatasetError(
                f"{path} is {_describe(image)}, but {paths[0]} is {_describe(images[0])}; all "
                "images must have one size, and all be greyscale or all be colour"
            )
    return Split(torch.stack(images), torch.tensor(labels, dtype=torch.int64))


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
        with Image.open(path) as image:
            if image.mode in GREYSCALE_MODES:
                pixels = np.asarray(image.convert("L"))[None]
            elif image.mode in COLOUR_MODES:
                pixels = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
            else:
                raise DatasetError(
                    f"{path}: an image of mode {image.mode}; convert it to 8-bit greyscale or RGB "
                    "without transparency"
                )
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError) as error:
        raise DatasetError(f"{path}: not readable as an image ({error})") from error
    return torch.from_numpy(pixels.copy()).to(torch.float32).div_(255)


def _describe(image: Tensor) -> str:
    channels, height, width = image.shape
    return f"{width} x {height} pixels, {'greyscale' if channels == 1 else 'colour'}"
