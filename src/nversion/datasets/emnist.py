"""EMNIST: handwritten letters and digits in IDX files, whose images lie on their side.

Cohen, Afshar, Tapson and van Schaik, "EMNIST: an extension of MNIST to handwritten letters", 2017.
Rows and columns of its images are exchanged (they were written by Matlab, column by column), and
are put right here. What a label stands for is in the mapping file, as the code of a character.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch

from nversion.datasets.dataset import Dataset, Split
from nversion.datasets.idx import find_file, read_idx
from nversion.errors import ArtefactError, DatasetError
from nversion.reading import read_text

__all__ = ["emnist_parts", "load_emnist"]

NAME = re.compile(r"(emnist-[a-z]+)-train-images[-.]idx3-ubyte(\.gz)?")


def emnist_parts(folder: Path) -> list[str]:
    """Return which parts of EMNIST ("emnist-letters", ...) a folder holds."""
    found = (NAME.fullmatch(path.name) for path in folder.iterdir())
    return sorted({match[1] for match in found if match})


def load_emnist(folder: Path, parts: list[str], name: str) -> Dataset:
    """Load the one part of EMNIST that a folder holds.

    Raises:
        DatasetError: there are several parts, or a file is missing or malformed.
    """
    if len(parts) > 1:
        raise DatasetError(
            f"{folder}: holds {', '.join(parts)}; put the files of one into a folder of its own"
        )
    part = parts[0]
    train, test = (_split(folder, f"{part}-{which}") for which in ("train", "test"))
    names = _names(folder / f"{part}-mapping.txt")
    # The letters are numbered from 1; their mapping begins there as well.
    lowest = min(names, default=int(train.labels.min()))
    train, test = (Split(one.images, one.labels - lowest) for one in (train, test))
    classes = int(train.labels.max()) + 1
    class_names = tuple(names.get(label + lowest, str(label)) for label in range(classes))
    height, width = train.images.shape[2:]
    try:
        return Dataset(name, train, test, classes, (1, height, width), class_names)
    except DatasetError as error:
        raise DatasetError(f"{folder}: {error}") from error


def _split(folder: Path, start: str) -> Split:
    paths = [find_file(folder, f"{start}-{kind}-ubyte") for kind in ("images-idx3", "labels-idx1")]
    if None in paths:
        raise DatasetError(f"{folder}: the images or the labels of {start} are missing")
    images, labels = (read_idx(path, n) for path, n in zip(paths, (3, 1), strict=True) if path)
    if len(images) != len(labels):
        raise DatasetError(f"{folder}: {start} has {len(images)} images, {len(labels)} labels")
    upright = images.transpose(1, 2).contiguous()
    return Split(upright.to(torch.float32).div_(255).unsqueeze(1), labels.to(torch.int64))


def _names(path: Path) -> dict[int, str]:
    """Return what the labels stand for; nothing if there is no mapping file."""
    if not path.is_file():
        return {}
    try:
        rows = [line.split() for line in read_text(path).splitlines() if line.strip()]
        return {int(row[0]): chr(int(row[1])) for row in rows}
    except (ArtefactError, ValueError, IndexError, OverflowError) as error:
        raise DatasetError(f"{path}: not a mapping of labels to characters ({error})") from error
