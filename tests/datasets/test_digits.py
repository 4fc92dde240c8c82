from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits as load_bunch

from nversion.datasets import load_dataset


def test_digits_are_the_scans_scaled_to_one() -> None:
    data = load_dataset("digits")
    assert (data.name, data.classes, data.shape) == ("digits", 10, (1, 8, 8))
    assert len(data.train) + len(data.test) == 1797
    together = torch.cat([data.train.images, data.test.images]).flatten(1).mul(16).numpy()
    bunch = load_bunch()
    assert np.array_equal(
        np.sort(together.sum(axis=1)), np.sort(bunch.images.reshape(1797, -1).sum(axis=1))
    )
    assert set(np.unique(together)) == set(range(17))


def test_the_split_is_fixed_stratified_and_about_a_fifth() -> None:
    data = load_dataset("digits")
    counts = torch.bincount(data.test.labels, minlength=10)
    assert counts.tolist() == [36, 37, 36, 37, 36, 37, 36, 36, 35, 36]
    assert load_dataset("digits").digest == data.digest
    # Pinned: another digest means that every study on digits is a different study.
    assert data.digest == "3e176f904628b67d11e5e91bc6abfa235d3d18d29da43645aaca6bcfdc3accdb"
