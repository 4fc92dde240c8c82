"""A dataset: stripes, lying, standing or slanted either way, under noise."""

from __future__ import annotations

import torch

from nversion.datasets import Dataset, split_by_class
from nversion.randomness import generator

__all__ = ["load_stripes"]

SIZE, PERIOD, EACH, NOISE = 8, 4, 100, 0.2


def load_stripes() -> Dataset:
    """Return the dataset "stripes": 400 images [1, 8, 8] in four classes, the same every time.

    A dataset that lies in files would take the argument ``root``, the folder of ``--data-dir``.
    """
    draws = generator("stripes")
    rows, columns = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    lines = torch.stack([rows, columns, rows + columns, rows - columns])
    labels = torch.arange(len(lines)).repeat(EACH)
    shifts = torch.randint(PERIOD, (len(labels), 1, 1), generator=draws)
    bright = (lines[labels] + shifts).remainder(PERIOD) < PERIOD // 2
    noise = NOISE * torch.randn(bright.shape, generator=draws)
    images = (0.25 + 0.5 * bright + noise).clamp(0.0, 1.0).unsqueeze(1)
    train, test = split_by_class(images, labels)
    return Dataset("stripes", train, test, classes=len(lines), shape=(1, SIZE, SIZE))
