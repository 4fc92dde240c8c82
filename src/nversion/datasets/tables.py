"""Data sets as tables: Kaggle's CSV files, and Parquet as Hugging Face has it (extra `parquet`)."""

from __future__ import annotations

import io
import json
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nversion.datasets.arrays import images_from_array, labels_from_array
from nversion.datasets.dataset import Dataset, Split, split_by_class
from nversion.datasets.folder import FORMATS, LARGEST_SIDE
from nversion.errors import DatasetError, InputError
from nversion.extras import needed
from nversion.pictures import EVERY_MODE, read_picture

__all__ = ["find_tables", "load_csv", "load_parquet"]

CSV_LIMIT = 1 << 30
"""The most bytes of a CSV file; Kaggle's MNIST is 77 MB."""

SPLITS = {"train": ("train",), "test": ("test", "valid", "validation", "val", "dev")}


def find_tables(folder: Path, ending: str) -> dict[str, list[Path]]:
    """Return the tables in a folder, or in its folder `data`, by what they are for."""
    for place in (folder, folder / "data"):
        found: dict[str, list[Path]] = {}
        for path in sorted(place.glob(f"*{ending}")):
            words = re.split(r"[^a-z]+", path.stem.lower())
            part = next((one for one, names in SPLITS.items() if {*names} & {*words}), None)
            if part is not None:
                found.setdefault(part, []).append(path)
        if "train" in found:
            return found
    return {}


def load_csv(train: Path, test: Path | None, name: str) -> Dataset:
    """Load images that are rows of numbers from 0 to 255, the label first (or called "label").

    Args:
        train: the file; if there is no other, a fifth of each class is set aside to test on.
        test: another, with labels as well; one without (as Kaggle's own) is left out.
        name: of the data set.

    Raises:
        DatasetError: a file is missing, malformed or too long.
    """
    first = _rows(train)
    assert first is not None
    second = None if test is None else _rows(test, first.images.shape[1:])
    channels, height, width = first.images.shape[1:]
    try:
        train_split, test_split = (
            split_by_class(first.images, first.labels) if second is None else (first, second)
        )
        classes = int(train_split.labels.max()) + 1
        return Dataset(name, train_split, test_split, classes, (channels, height, width))
    except DatasetError as error:
        raise DatasetError(f"{train}: {error}") from error


def _rows(path: Path, shape: torch.Size | None = None) -> Split | None:
    """Return the images of a file; None if it holds none of their labels."""
    if path.stat().st_size > CSV_LIMIT:
        raise DatasetError(f"{path}: more than {CSV_LIMIT:,} bytes; make a .npz file of it")
    try:
        with path.open(encoding="utf-8-sig") as file:
            heads = [head.strip().strip('"').lower() for head in file.readline().split(",")]
        named = not all(re.fullmatch(r"[\d.]+", head) for head in heads)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that there is nothing, which is said below
            table = np.loadtxt(path, np.float32, delimiter=",", skiprows=int(named), ndmin=2)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise DatasetError(f"{path}: not readable as a table of numbers ({error})") from error
    if table.shape[0] == 0 or table.shape[1] < 2:
        raise DatasetError(f"{path}: holds no rows of a label and pixels")
    if named and "label" not in heads:
        if shape is not None and table.shape[1] == int(np.prod(shape)):
            return None
        raise DatasetError(
            f"{path}: has no column label, so that nothing says what is right (such are the test "
            "files of competitions; name the file to train on, of which a fifth is set aside); its "
            f"columns are {', '.join(heads[:5])}"
        )
    column = heads.index("label") if named else 0
    labels = table[:, column]
    pixels = np.delete(table, column, axis=1)
    side = int(np.sqrt(pixels.shape[1]))
    colour = int(np.sqrt(pixels.shape[1] / 3))
    if side * side == pixels.shape[1]:
        images = pixels.reshape(-1, 1, side, side)
    elif 3 * colour * colour == pixels.shape[1]:
        images = pixels.reshape(-1, 3, colour, colour)
    else:
        raise DatasetError(f"{path}: {pixels.shape[1]} numbers an image are no square image")
    if not bool((labels == labels.round()).all()):
        raise DatasetError(f"{path}: the labels must be whole numbers")
    try:
        whole = images_from_array(images / 255.0 if images.max() > 1.0 else images)
        return Split(whole, labels_from_array(labels.astype(np.int64)))
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}") from error


def load_parquet(tables: dict[str, list[Path]], name: str) -> Dataset:
    """Load Parquet files with a column of encoded images and one of labels.

    Args:
        tables: files by "train" and "test"; without the latter, a fifth of each class is set aside.
        name: of the data set.

    Raises:
        MissingExtraError: pyarrow is not installed.
        DatasetError: a file is malformed.
    """
    parts = {part: _parquet_split(paths) for part, paths in tables.items()}
    whole, names = parts["train"]
    train, test = (
        (whole, parts["test"][0]) if "test" in parts else split_by_class(whole.images, whole.labels)
    )
    channels, height, width = train.images.shape[1:]
    classes = len(names) or int(train.labels.max()) + 1
    return Dataset(name, train, test, classes, (channels, height, width), names)


def _parquet_split(paths: list[Path]) -> tuple[Split, tuple[str, ...]]:
    parquet = needed("pyarrow.parquet", "parquet", f"{paths[0]}: a Parquet file")
    images: list[np.ndarray[Any, Any]] = []
    labels: list[int] = []
    names: tuple[str, ...] = ()
    for path in paths:
        try:
            table = parquet.read_table(path)
        except Exception as error:  # of pyarrow, which raises its own
            raise DatasetError(f"{path}: not readable as Parquet ({error})") from error
        image, label = (
            _column(path, table, ("image", "img")),
            _column(path, table, ("label", "fine_label")),
        )
        names = names or _names(table.schema.metadata, label)
        for row in table.column(image).to_pylist():
            content = row["bytes"] if isinstance(row, dict) else row
            if not isinstance(content, bytes):
                raise DatasetError(f"{path}: the column {image} holds no encoded images")
            try:
                images.append(read_picture(io.BytesIO(content), FORMATS, LARGEST_SIDE, EVERY_MODE))
            except InputError as error:
                raise DatasetError(f"{path}: image {len(images)}: {error}") from error
        labels += [int(one) for one in table.column(label).to_pylist()]
    if len({image.shape for image in images}) > 1:
        raise DatasetError(f"{paths[0]}: the images differ in size or in channels")
    return Split(images_from_array(np.stack(images)), torch.tensor(labels)), names


def _column(path: Path, table: Any, wanted: tuple[str, ...]) -> str:
    for name in wanted:
        if name in table.column_names:
            return name
    raise DatasetError(
        f"{path}: has no column {wanted[0]}; its columns are {', '.join(table.column_names)}"
    )


def _names(metadata: Any, label: str) -> tuple[str, ...]:
    """Return the classes' names, where the file says them as Hugging Face does."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        return tuple(str(name) for name in features[label].get("names", ()))
    except (KeyError, ValueError, TypeError, AttributeError):
        return ()
