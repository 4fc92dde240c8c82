"""Spoiled images: seeded, blind to the batch, worse with the severity, and where geometry says."""

from __future__ import annotations

import pytest
import torch

from nversion.datasets import CORRUPTIONS, corrupt, load_dataset
from nversion.errors import InputError

IMAGES = load_dataset("digits").test.images[:12]


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_an_image_is_spoiled_alike_in_any_batch(kind: str) -> None:
    whole = corrupt(IMAGES, kind, 3, seed=5)
    assert torch.equal(whole, corrupt(IMAGES, kind, 3, seed=5))
    assert torch.equal(whole[4:5], corrupt(IMAGES[4:5], kind, 3, seed=5))
    assert torch.equal(whole.flip(0), corrupt(IMAGES.flip(0), kind, 3, seed=5))
    assert whole.shape == IMAGES.shape
    assert whole.dtype == IMAGES.dtype
    assert float(whole.min()) >= 0.0
    assert float(whole.max()) <= 1.0
    drawn = kind in ("noise", "shift", "rotation")
    assert torch.equal(whole, corrupt(IMAGES, kind, 3, seed=6)) != drawn


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_severities_are_ordered(kind: str) -> None:
    spoiled = [corrupt(IMAGES, kind, severity) for severity in range(1, 6)]
    moved = [float((one - IMAGES).square().mean()) for one in spoiled]
    assert moved == sorted(moved)
    assert moved[0] > 0


def test_a_shift_moves_a_spot_by_its_length() -> None:
    image = torch.zeros(1, 1, 28, 28)
    image[0, 0, 14, 14] = 1.0
    places = torch.arange(28.0)
    for severity, length in enumerate((1.12, 1.96, 3.08, 3.92, 5.04), start=1):
        moved = corrupt(image, "shift", severity)[0, 0]
        assert float(moved.sum()) == pytest.approx(1.0, abs=1e-4)
        down = float((moved.sum(dim=1) * places).sum()) - 14
        right = float((moved.sum(dim=0) * places).sum()) - 14
        assert (down**2 + right**2) ** 0.5 == pytest.approx(length, abs=0.01)


def test_a_rotation_turns_about_the_middle() -> None:
    image = torch.zeros(1, 1, 29, 29)
    image[0, 0, 14, 24] = 1.0
    moved = corrupt(image, "rotation", 3)[0, 0]
    places = torch.arange(29.0) - 14
    total = float(moved.sum())
    down = float((moved.sum(dim=1) * places).sum()) / total
    right = float((moved.sum(dim=0) * places).sum()) / total
    assert right == pytest.approx(10 * 3**0.5 / 2, abs=0.3)
    assert abs(down) == pytest.approx(5.0, abs=0.3)


def test_flat_images_have_no_contrast_to_lose_and_a_blur_keeps_them() -> None:
    grey = torch.full((2, 3, 8, 8), 0.5, dtype=torch.float64)
    for kind in ("blur", "contrast"):
        torch.testing.assert_close(corrupt(grey, kind, 5), grey)


def test_bad_input_is_named() -> None:
    for kind, severity, said in (
        ("fog", 1, "noise, blur, shift"),
        ("nois", 1, "did you mean 'noise'"),
        ("noise", 0, "1, 2, 3, 4 and 5"),
    ):
        with pytest.raises(InputError, match=said):
            corrupt(IMAGES, kind, severity)
    with pytest.raises(InputError, match="must lie in"):
        corrupt(IMAGES * 3, "noise", 1)
    assert corrupt(IMAGES[:0], "noise", 1).shape == (0, 1, 8, 8)
