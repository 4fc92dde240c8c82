"""Images and labels as people have them at hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

import nversion as nv
from nversion.errors import InputError

BYTES = np.random.default_rng(0).integers(0, 256, (5, 6, 7), dtype=np.uint8)
WANTED = torch.from_numpy(BYTES / np.float32(255)).float()[:, None]


@pytest.mark.parametrize(
    "images",
    [
        BYTES,
        BYTES[..., None],
        torch.from_numpy(BYTES),
        torch.from_numpy(BYTES)[:, None],
        list(BYTES),
        [Image.fromarray(one) for one in BYTES],
        WANTED,
        WANTED.numpy(),
        list(WANTED),
        WANTED.double(),
    ],
)
def test_images_of_all_kinds_are_the_same(images: object) -> None:
    found = nv.as_images(images)
    assert found.dtype == torch.float32
    assert torch.allclose(found, WANTED, atol=1e-7)


def test_one_picture_and_colours() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (6, 7, 3), dtype=np.uint8)
    assert nv.as_images(Image.fromarray(colours)).shape == (1, 3, 6, 7)
    with pytest.raises(InputError, match="must be a tensor, an array, a picture"):
        nv.as_images("folder")
    with pytest.raises(InputError, match="one size"):
        nv.as_images([BYTES[0], BYTES[0][:3]])
    with pytest.raises(InputError, match=r"range|ranges"):
        nv.as_images(WANTED * 255)


@pytest.mark.parametrize(
    "labels",
    [
        [2, 0, 1],
        (2, 0, 1),
        np.array([2, 0, 1], dtype=np.int32),
        np.array([[2], [0], [1]], dtype=np.uint8),
        torch.tensor([2.0, 0.0, 1.0]),
        ["cat", "ant", "bee"],
        np.array(["cat", "ant", "bee"]),
    ],
)
def test_labels_of_all_kinds_are_the_same(labels: object) -> None:
    assert nv.as_labels(labels, ["ant", "bee", "cat"]).tolist() == [2, 0, 1]


def test_labels_that_are_none() -> None:
    with pytest.raises(InputError, match=r"no class is called 'bat' \(did you mean 'cat'"):
        nv.as_labels(["bat"], ["ant", "bee", "cat"])
    with pytest.raises(InputError, match="one-hot"):
        nv.as_labels(np.eye(3))
    with pytest.raises(InputError, match="whole numbers"):
        nv.as_labels([0.5])


def test_a_loader_and_a_data_set_give_both() -> None:
    data = TensorDataset(WANTED, torch.tensor([0, 1, 0, 1, 0]))
    for source in (data, DataLoader(data, batch_size=2), [data[i] for i in range(5)]):
        split = nv.as_split(source)
        assert torch.equal(split.images, WANTED)
        assert split.labels.tolist() == [0, 1, 0, 1, 0]
    shuffled = nv.as_split(DataLoader(data, batch_size=2, shuffle=True))
    for image, label in zip(shuffled.images, shuffled.labels, strict=True):
        (place,) = [i for i in range(5) if torch.equal(image, WANTED[i])]
        assert int(label) == place % 2
    assert len(nv.as_split(BYTES, ["a", "b"] * 2 + ["a"], ["a", "b"])) == 5
    with pytest.raises(InputError, match="5 images, but 1 labels"):
        nv.as_split(BYTES, [0])
    with pytest.raises(InputError, match="labels are missing"):
        nv.as_split(BYTES)
