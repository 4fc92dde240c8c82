"""The digits that come with scikit-learn: 1,797 scans of 8 x 8 pixels, for a study in minutes.

They are the test part of "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak, 1998,
UCI Machine Learning Repository): 32 x 32 bitmaps counted down to 8 x 8 pixels with values 0 .. 16.
"""

from __future__ import annotations

import torch

from nversion.datasets.dataset import Dataset, split_by_class

__all__ = ["load_digits"]

LARGEST_VALUE = 16


def load_digits() -> Dataset:
    """Return the dataset "digits": images [count, 1, 8, 8], ten classes, a fixed split."""
    # scikit-learn takes a second to import, and no other dataset needs it.
    from sklearn.datasets import load_digits as load_bunch

    bunch = load_bunch()
    images = torch.from_numpy(bunch.images).to(torch.float32).div(LARGEST_VALUE).unsqueeze(1)
    train, test = split_by_class(images, torch.from_numpy(bunch.target).to(torch.int64))
    return Dataset("digits", train, test, classes=10, shape=(1, 8, 8))
