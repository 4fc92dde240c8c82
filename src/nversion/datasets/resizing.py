"""Images in another size."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from nversion.datasets.dataset import Dataset, Split
from nversion.errors import InputError

__all__ = ["check_size", "resize", "resized"]


def check_size(size: tuple[int, int]) -> None:
    """Raise InputError unless a size is two whole numbers above 0."""
    good = len(size) == 2 and all(isinstance(side, int) and side > 0 for side in size)
    if not good:
        raise InputError(f"size must be (height, width), two numbers above 0, not {size!r}")


def resize(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Return images float32 [count, channels, height, width] in another size, bilinearly."""
    if tuple(images.shape[2:]) == tuple(size):
        return images
    changed = torch.nn.functional.interpolate(
        images, size=size, mode="bilinear", align_corners=False, antialias=True
    )
    return changed.clamp_(0.0, 1.0)


def resized(data: Dataset, size: tuple[int, int]) -> Dataset:
    """Return a data set with its images in another size.

    Raises:
        InputError: the size is wrong.
    """
    check_size(size)
    train, test = (Split(resize(one.images, size), one.labels) for one in (data.train, data.test))
    return dataclasses.replace(data, train=train, test=test, shape=(data.shape[0], *size))
