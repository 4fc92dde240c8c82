"""The user's own data as arrays in a NumPy ``.npz`` file, in the layouts that people save."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nversion.datasets.archive import Arrays, read_arrays
from nversion.datasets.dataset import Dataset, Split, TestImages, split_by_class
from nversion.errors import DatasetError

__all__ = ["images_from_array", "labels_from_array", "load_npz", "load_npz_to_test"]

WHOLE = ("images", "labels")

DIVIDED = (
    ("train_images", "train_labels", "test_images", "test_labels"),
    ("x_train", "y_train", "x_test", "y_test"),
)
"""Under either names, the second being those of Keras."""

EXPORTED = frozenset({*WHOLE, "predictions", "test_indices", "versions", "attacks"})
"""What an exported adversarial set holds, and by which it is known: images to test on."""

USUAL = {1: 2, 3: 2, 2: 1, 4: 1}
"""How usual so many channels are: grey and colour most, then the same with transparency."""


def load_npz(path: Path) -> Dataset:
    """Load a dataset from a ``.npz`` file.

    The file holds either ``images`` and ``labels`` (divided by
    :func:`~nversion.datasets.dataset.split_by_class`), or ``train_images``, ``train_labels``,
    ``test_images`` and ``test_labels``, or the same as ``x_train``, ``y_train``, ``x_test`` and
    ``y_test``. Other arrays are ignored.

    Raises:
        DatasetError: the file is missing or damaged, lacks arrays, or they are malformed.
    """
    arrays, names = _read(path)
    try:
        divided = [keys for keys in DIVIDED if all(key in arrays for key in keys)]
        if divided:
            train_images, train_labels, test_images, test_labels = divided[0]
            train = _split(arrays, train_images, train_labels)
            test = _split(arrays, test_images, test_labels)
        elif all(key in arrays for key in WHOLE):
            whole = _split(arrays, *WHOLE)
            train, test = split_by_class(whole.images, whole.labels)
        else:
            raise DatasetError(_missing(names))
        classes = int(train.labels.max()) + 1
        channels, height, width = train.images.shape[1:]
        return Dataset(path.stem, train, test, classes, (channels, height, width))
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}") from error


def load_npz_to_test(path: Path) -> TestImages:
    """Load the images to test on from a ``.npz`` file: all of an exported adversarial set's.

    Of any other file they are the test split of :func:`load_npz`.

    Raises:
        DatasetError: as :func:`load_npz`.
    """
    arrays, names = _read(path)
    if not set(names) >= EXPORTED:
        return TestImages.of(load_npz(path))
    try:
        return TestImages.whole(path.stem, _split(arrays, *WHOLE))
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}") from error


def _read(path: Path) -> tuple[Arrays, list[str]]:
    return read_arrays(path, [*WHOLE, *(key for keys in DIVIDED for key in keys)])


def _missing(names: list[str]) -> str:
    shown = ", ".join(sorted(names)[:12]) + (", ..." if len(names) > 12 else "")
    wanted = ", or ".join(", ".join(keys) for keys in DIVIDED)
    return f"the arrays are {shown or 'none'}; there must be {' and '.join(WHOLE)}, or {wanted}"


def _split(arrays: Arrays, images_key: str, labels_key: str) -> Split:
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
            [count, channels, height, width], or [count, height, width, channels]. Which of the two
            is told by where there can be one or three channels (the first, if in both places),
            else two or four, else by which of them makes the images square.
        name: what to call the array in an error.

    Raises:
        DatasetError: another dtype or shape, one that can be read both ways, NaN, or values
            outside [0, 1].
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
    elif images.ndim == 4 and _channels_last(array.shape, name):
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


def _channels_last(shape: tuple[int, ...], name: str) -> bool:
    """Tell whether images are [count, height, width, channels], not [count, channels, ...]."""
    _, first, middle, last = shape
    likely = [USUAL.get(channels, 0) for channels in (first, last)]
    if likely[0] != likely[1]:
        return likely[1] > likely[0]
    if likely[0] == USUAL[1]:
        return False
    if (middle == last) != (first == middle):
        return first == middle
    raise DatasetError(
        f"{name} of the shape {list(shape)} can be [count, channels, height, width] or [count, "
        "height, width, channels], and nothing tells which; save one grey or three colour "
        "channels, or square images"
    )


def labels_from_array(array: npt.NDArray[np.generic], name: str = "labels") -> Tensor:
    """Return labels as int64 [count]; those of the shape [count, 1] are taken too.

    Raises:
        DatasetError: not integers, not one-dimensional, or negative.
    """
    if not np.issubdtype(array.dtype, np.integer):
        raise DatasetError(f"{name} must be integers 0, 1, 2, ..., not {array.dtype}")
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
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
