from __future__ import annotations

import torch

from nversion.attacks.noise import Noise

IMAGES = torch.rand(4, 1, 3, 3, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 3])


def test_numbers_belong_to_the_image() -> None:
    together = Noise(0, "attack", IMAGES, LABELS).normal(torch.arange(4), 5)
    reverse = Noise(0, "attack", IMAGES.flip(0), LABELS.flip(0)).normal(torch.arange(4), 5)
    alone = Noise(0, "attack", IMAGES[2:3], LABELS[2:3]).normal(torch.tensor([0]), 5)
    assert torch.equal(together, reverse.flip(0))
    assert torch.equal(together[2:3], alone)


def test_streams_go_on_row_by_row() -> None:
    noise, again = Noise(0, "attack", IMAGES, LABELS), Noise(0, "attack", IMAGES, LABELS)
    first = noise.uniform(torch.tensor([1]), 2)
    noise.uniform(torch.tensor([0, 3]), 2)
    second = noise.uniform(torch.tensor([1]), 2)
    assert torch.equal(again.uniform(torch.tensor([1]), 2), first)
    assert torch.equal(again.uniform(torch.tensor([1]), 2), second)
    assert not torch.equal(first, second)


def test_seed_name_label_and_image_all_count() -> None:
    row = torch.tensor([0])
    one = Noise(0, "attack", IMAGES[:1], LABELS[:1]).uniform(row, 4)
    for other in (
        Noise(1, "attack", IMAGES[:1], LABELS[:1]),
        Noise(0, "another", IMAGES[:1], LABELS[:1]),
        Noise(0, "attack", IMAGES[:1], LABELS[1:2]),
        Noise(0, "attack", IMAGES[1:2], LABELS[:1]),
    ):
        assert not torch.equal(other.uniform(row, 4), one)


def test_ranges() -> None:
    noise, row = Noise(0, "attack", IMAGES[:1], LABELS[:1]), torch.tensor([0])
    draws = noise.uniform(row, 1000, low=-2.0, high=3.0)
    assert -2.0 <= float(draws.min()) < -1.9
    assert 2.9 < float(draws.max()) < 3.0
    assert noise.integers(row, 1000, high=3).unique().tolist() == [0, 1, 2]
