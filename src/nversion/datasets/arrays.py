"""The user's own data as arrays in a NumPy ``.npz`` file, in the layouts that people save."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nversion.datasets.dataset import Dataset, Split, split_by_class
from nversion.errors import DatasetError

__all__ = ["images_from_array", "labels_from_array", "load_npz"]

WHOLE = ("images", "labels")
DIVIDED = ("train_images", "train_labels", "test_images", "test_labels")


def load_npz(path: Path) -> Dataset:
    """Load a dataset from a ``.npz`` file.

    The file holds either ``images`` and ``labels`` (divided by
    :func:`~nversion.datasets.dataset.split_by_class`), or ``train_images``, ``train_labels``,
    ``test_images`` and ``test_labels``. Other arrays are ignored.

    Raises:
        DatasetError: the file is missing or damaged, lacks arrays, or they are malformed.
    """
    arrays = _read(path)
    try:
        if all(key in arrays for key in DIVIDED):
            train, test = (
                _split(arrays, f"{title}_images", f"{title}_labels") for title in ("train", "test")
            )
        elif all(key in arrays for key in WHOLE):
            whole = _split(arrays, *WHOLE)
            train, test = split_by_class(whole.images, whole.labels)
        else:
            raise DatasetError(
                f"the arrays are {', '.join(sorted(arrays)) or 'none'}; there must be "
                f"{' and '.join(WHOLE)}, or {', '.join(DIVIDED)}"
            )
        classes = int(train.labels.max()) + 1
        channels, height, width = train.images.shape[1:]
        return Dataset(path.stem, train, test, classes, (channels, height, width))
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}") from error


def _read(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    try:
        # Without this, NumPy takes what is no archive for a pickle, and says so.
        if not zipfile.is_zipfile(path):
            raise ValueError("it is not a complete zip archive")
        with np.load(path, allow_pickle=False) as file:
            known = [key for key in file.files if key in WHOLE + DIVIDED]
            unknown = [key for key in file.files if key not in known]
            arrays = {key: np.asarray(file[key]) for key in known}
    except (OSError, ValueError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DatasetError(
            f"{path}: not readable as .npz without pickled objects ({error}); save plain arrays "
            "with numpy.savez or numpy.savez_compressed"
        ) from error
    return arrays | {key: np.empty(0) for key in unknown}


def _split(arrays: dict[str, npt.NDArray[np.generic]], images_key: str, labels_key: str) -> Split:
    images = images_from_array(arrays[images_key], images_key)
    labels = labels_from_array(arrays[labels_key], labels_key)
    if len(images) != len(labels):
        raise DatasetError(
            f"{images_key} holds {len(images)} images, but {labels_key} holds {len(labels)} labels"
        )
    return Split(images, labels)


def images_from_array(array: npt.NDArray[np.generic], name: str = "images") -> Tensor:
    """Return images as float32 [count, channels, height, width] in [0, 1].

    Args:
        array: uint8 (divided by 255) or floating in [0, 1]; [count, height, width],
            [count, channels, height, width], or [count, height, width, channels] with one or three
            channels.
        name: what to call the array in an error.

    Raises:
        DatasetError: another dtype or shape, NaN, or values outside [0, 1].
    """
    if array.dtype == np.uint8:
        images = torch.from_numpy(np.ascontiguousarray(array)).to(torch.float32).div_(255)
    elif np.issubdtype(array.dtype, np.floating):
        images = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
    else:
        raise DatasetError(
            f"{name} must be uint8 (0 .. 255) or floating point (0 .. 1), not {array.dtype}"
        )
    if images.ndim == 3:
        images = images.unsqueeze(1)
    elif images.ndim == 4 and images.shape[3] in (1, 3) and images.shape[1] not in (1, 3):
        images = images.permute(0, 3, 1, 2).contiguous()
    if images.ndim != 4:
        raise DatasetError(
            f"{name} must be [count, height, width], [count, channels, height, width] or "
            f"[count, height, width, channels], not {list(array.shape)}"
        )
    if images.numel() == 0:
        raise DatasetError(f"{name} is empty: its shape is {list(array.shape)}")
    if bool(images.isnan().any()):
        raise DatasetError(f"{name} holds NaN")
    low, high = float(images.min()), float(images.max())
    if low < 0.0 or high > 1.0:
        raise DatasetError(
            f"{name} is floating point and must lie in [0, 1], but ranges from {low:g} to "
            f"{high:g}; undo any normalisation, divide values up to 255 by 255, or save uint8"
        )
    return images


def labels_from_array(array: npt.NDArray[np.generic], name: str = "labels") -> Tensor:
    """Return labels as int64 [count].

    Raises:
        DatasetError: not integers, not one-dimensional, or negative.
    """
    if not np.issubdtype(array.dtype, np.integer):
        raise DatasetError(f"{name} must be integers 0, 1, 2, ..., not {array.dtype}")
    if array.ndim != 1:
        raise DatasetError(
            f"{name} must be one number per image, [count], not {list(array.shape)} (for one-hot "
            "labels, save labels.argmax(axis=1))"
        )
    if len(array) and (int(array.min()) < 0 or int(array.max()) > np.iinfo(np.int32).max):
        raise DatasetError(
            f"{name} must be 0, 1, 2, ..., but range from {int(array.min())} to {int(array.max())}"
        )
    return torch.from_numpy(array.astype(np.int64))
