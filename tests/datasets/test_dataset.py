from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nversion.datasets import Dataset, Split, split_by_class
from nversion.errors import DatasetError


def make_split(labels: Any = (0, 1, 2), value: float = 0.5) -> Split:
    return Split(torch.full((len(labels), 1, 2, 3), value), torch.tensor(labels))


def make_dataset(**changes: Any) -> Dataset:
    fields: dict[str, Any] = {
        "name": "tiny",
        "train": make_split((0, 1, 2, 0)),
        "test": make_split((2, 1)),
        "classes": 3,
        "shape": (1, 2, 3),
    }
    return Dataset(**(fields | changes))


def test_a_dataset_keeps_what_it_was_given() -> None:
    dataset = make_dataset()
    assert len(dataset.train) == 4
    assert len(dataset.test) == 2
    assert dataset.shape == (1, 2, 3)


def test_it_is_shown_in_a_line() -> None:
    shown = "tiny: 4 images to train on, 2 to test on, [1, 2, 3], 3 classes"
    assert repr(make_dataset()) == f"Dataset({shown})"
    assert repr(make_dataset().train) == "Split(4 images, [1, 2, 3])"


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (torch.zeros(2, 3, 3), torch.tensor([0, 1]), r"\[count, channels, height, width\]"),
        (torch.zeros(2, 1, 3, 3), torch.tensor([0]), "one per image"),
        (torch.zeros(2, 1, 3, 3), torch.tensor([0.0, 1.0]), "int64"),
        (torch.zeros(2, 1, 3, 3), torch.tensor([0, -1]), "at least 0"),
        (torch.full((2, 1, 3, 3), 1.5), torch.tensor([0, 1]), r"\[0, 1\]"),
        (torch.full((2, 1, 3, 3), torch.nan), torch.tensor([0, 1]), "NaN"),
        (torch.zeros(2, 1, 3, 3, dtype=torch.uint8), torch.tensor([0, 1]), "floating point"),
        (torch.zeros(2, 1, 3, 3, dtype=torch.float64), torch.tensor([0, 1]), "float32"),
        (torch.zeros(0, 1, 3, 3), torch.zeros(0, dtype=torch.int64), "no pixels"),
    ],
)
def test_a_split_refuses_malformed_tensors(images: Tensor, labels: Any, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        Split(images, labels)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": 1}, "two or more"),
        ({"shape": (1, 3, 2)}, "train images are"),
        ({"test": make_split((3,))}, "tiny: test labels must be at least 0 and below 3"),
        ({"train": make_split((0, 2, 2))}, "no training image has the label 1"),
    ],
)
def test_a_dataset_refuses_parts_that_do_not_fit(changes: Any, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        make_dataset(**changes)


def test_a_class_may_lack_test_images() -> None:
    assert make_dataset(test=make_split((1,))).classes == 3


def test_the_digest_depends_on_content_alone() -> None:
    digest = make_dataset().digest
    assert make_dataset(name="another").digest == digest
    assert len(digest) == 64
    changed = [
        make_dataset(train=make_split((0, 1, 2, 0), value=0.25)),
        make_dataset(train=make_split((0, 1, 2, 1))),
        make_dataset(test=make_split((2, 1), value=0.25)),
        make_dataset(test=make_split((2, 2))),
    ]
    assert len({digest, *(dataset.digest for dataset in changed)}) == 5


@given(st.lists(st.integers(0, 3), min_size=8, max_size=80))
@settings(deadline=None, max_examples=60)
def test_splitting_keeps_every_image_once_and_every_class_in_both(draws: list[int]) -> None:
    labels = torch.tensor(draws + [0, 1, 2, 3] * 2)
    images = torch.arange(len(labels), dtype=torch.float32).div(len(labels)).view(-1, 1, 1, 1)
    train, test = split_by_class(images, labels)
    both = torch.cat([train.images, test.images]).flatten()
    assert torch.equal(both.sort().values, images.flatten())
    assert torch.equal(train.images.flatten(), train.images.flatten().sort().values)
    for label in range(4):
        count = int((labels == label).sum())
        in_test = int((test.labels == label).sum())
        assert in_test == (count + 3) // 5
        assert 0 < in_test < count


def test_splitting_refuses_a_class_with_one_image() -> None:
    with pytest.raises(DatasetError, match="only one image has the label 1"):
        split_by_class(torch.zeros(3, 1, 2, 2), torch.tensor([0, 0, 1]))


def test_huge_labels_take_no_memory() -> None:
    labels = torch.tensor([0, 0, 2**31 - 1, 2**31 - 1])
    train, _ = split_by_class(torch.zeros(4, 1, 2, 2), labels)
    with pytest.raises(DatasetError, match="labels go up to 2,147,483,647, but there are only 2"):
        Dataset("tiny", train, train, 2**31, (1, 2, 2))


def test_classes_are_called_by_their_numbers_unless_they_have_names() -> None:
    assert make_dataset().class_names == ("0", "1", "2")
    named = make_dataset(class_names=("cat", "dog", "owl"))
    assert named.class_names == ("cat", "dog", "owl")
    assert named.digest == make_dataset().digest
    with pytest.raises(DatasetError, match="2 class names for 3 classes"):
        make_dataset(class_names=("cat", "dog"))
