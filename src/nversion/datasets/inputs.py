"""Images and labels as people have them: arrays, tensors, pictures, loaders, class names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nversion.arguments import typed
from nversion.datasets.arrays import images_from_array
from nversion.datasets.dataset import Split
from nversion.errors import DatasetError, InputError
from nversion.models import check_images
from nversion.naming import did_you_mean
from nversion.pictures import pixels_of

__all__ = ["as_images", "as_labels", "as_split"]


@typed
def as_images(images: Any) -> Tensor:
    """Return images as float32 [count, channels, height, width] in [0, 1].

    Args:
        images: a tensor or an array, uint8 (divided by 255) or floating in [0, 1]; [count, height,
            width], [count, channels, height, width] or [count, height, width, channels]; a picture
            of Pillow's, or a sequence of any of these for one image each.

    Raises:
        InputError: it is something else, or malformed.
    """
    if isinstance(images, Tensor) and images.ndim == 4 and images.is_floating_point():
        check_images(images)
        return images.detach().to(torch.float32)
    if isinstance(images, Image.Image):
        images = [images]
    if isinstance(images, Tensor):
        images = images.detach().cpu().numpy()
    try:
        if isinstance(images, np.ndarray):
            return images_from_array(images)
        if isinstance(images, Sequence) and len(images) and not isinstance(images, str):
            pieces = [_one(image) for image in images]
            if len({piece.shape for piece in pieces}) > 1:
                sizes = sorted({str(list(piece.shape)) for piece in pieces})
                raise InputError(f"images must have one size, not {', '.join(sizes[:4])}")
            return images_from_array(np.stack(pieces))
    except DatasetError as error:
        raise InputError(str(error)) from error
    raise InputError(
        "images must be a tensor, an array, a picture of Pillow's or a sequence of these, not "
        f"{type(images).__name__}"
    )


def _one(image: Any) -> np.ndarray[Any, Any]:
    """Return one image as an array, [height, width] or with channels."""
    if isinstance(image, Image.Image):
        return pixels_of(image)
    if isinstance(image, Tensor):
        image = image.detach().cpu().numpy()
    array = np.asarray(image)
    return array[0] if array.ndim == 3 and array.shape[0] == 1 else array


@typed
def as_labels(labels: Any, class_names: Sequence[str] = ()) -> Tensor:
    """Return labels as int64 [count].

    Args:
        labels: a tensor or an array of whole numbers, [count] or [count, 1], or a sequence of
            numbers or of class names.
        class_names: what the classes are called, in order; needed where labels are names.

    Raises:
        InputError: a label is no number or known name, or one-hot rows were given.
    """
    if isinstance(labels, Tensor):
        labels = labels.detach().cpu().numpy()
    array = np.asarray(labels)
    if array.dtype.kind in "UO" and array.ndim == 1:
        return torch.tensor([_number(str(one), class_names) for one in array], dtype=torch.int64)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 2:
        raise InputError(
            "labels must be one number for each image; of one-hot rows, argmax(axis=1)"
        )
    whole = array.dtype.kind in "iu" or bool((array == np.round(array)).all())
    if array.ndim != 1 or array.dtype.kind not in "iuf" or not whole:
        raise InputError(f"labels must be whole numbers [count], not {array.dtype} {array.shape}")
    return torch.from_numpy(array.astype(np.int64))


def _number(name: str, class_names: Sequence[str]) -> int:
    if name in class_names:
        return list(class_names).index(name)
    if not class_names and name.isdecimal():
        return int(name)
    known = f"; there are: {', '.join(class_names)}" if class_names else "; say class_names"
    raise InputError(f"no class is called {name!r}{did_you_mean(name, class_names)}{known}")


@typed
def as_split(data: Any, labels: Any = None, class_names: Sequence[str] = ()) -> Split:
    """Return images and labels together.

    Args:
        data: images, as :func:`as_images` takes them, with `labels` beside; or what gives both: a
            ``DataLoader`` (or other iterable of batches of images and labels), or a data set of
            PyTorch's (a sequence of single images with their labels).
        labels: as :func:`as_labels` takes them.
        class_names: what the classes are called, in order.

    Raises:
        InputError: it is something else, malformed, or of different lengths.
    """
    if labels is None:
        data, labels = _both(data)
    images, numbers = as_images(data), as_labels(labels, class_names)
    if len(images) != len(numbers):
        raise InputError(f"{len(images)} images, but {len(numbers)} labels")
    try:
        return Split(images, numbers)
    except DatasetError as error:
        raise InputError(str(error)) from error


def _both(data: Any) -> tuple[Any, Any]:
    """Return all images and all labels of what gives them in pairs."""
    sized = hasattr(data, "__getitem__") and hasattr(data, "__len__")
    pairs: Iterable[Any] = (data[i] for i in range(len(data))) if sized else data
    if not isinstance(pairs, Iterable) or isinstance(data, Tensor | np.ndarray):
        raise InputError(f"labels are missing; a {type(data).__name__} holds none")
    images: list[Any] = []
    labels: list[Any] = []
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise InputError(f"must give pairs of images and labels, not a {type(pair).__name__}")
        image, label = pair
        if np.ndim(label) == 0:
            images.append(image)
            labels.append(label)
        else:
            images += list(as_images(image))
            labels += list(label)
    if not images:
        raise InputError("there are no images")
    if isinstance(images[0], Tensor) and images[0].ndim == 3 and images[0].is_floating_point():
        return torch.stack(images), [_plain(one) for one in labels]
    return images, [_plain(one) for one in labels]


def _plain(label: Any) -> Any:
    return label.item() if hasattr(label, "item") else label
