from __future__ import annotations

import pickle
from pathlib import Path

import torch

from nversion.datasets import load_dataset
from nversion.datasets.shared import SharedDataset


def test_a_shared_dataset_is_the_dataset(tmp_path: Path) -> None:
    data = load_dataset("digits")
    stored = SharedDataset.stored(data, tmp_path / "data")
    for shared in (SharedDataset.of(data), pickle.loads(pickle.dumps(stored))):
        opened = shared.open()
        assert torch.equal(opened.train.images, data.train.images)
        assert torch.equal(opened.test.labels, data.test.labels)
        assert opened.digest == shared.digest == data.digest
        assert (opened.name, opened.classes, opened.shape) == ("digits", 10, (1, 8, 8))
        assert opened.class_names == data.class_names


def test_what_is_handed_over_is_where_it_lies(tmp_path: Path) -> None:
    stored = SharedDataset.stored(load_dataset("digits"), tmp_path)
    assert len(pickle.dumps(stored)) < 2_000


def test_writing_to_an_opened_one_changes_no_file(tmp_path: Path) -> None:
    stored = SharedDataset.stored(load_dataset("digits"), tmp_path)
    stored.open().test.images.fill_(0.5)
    assert float(stored.open().test.images.amax()) == 1.0
