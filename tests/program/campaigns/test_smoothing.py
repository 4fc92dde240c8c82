"""What randomised smoothing made of images, summed up."""

from __future__ import annotations

import pytest
import torch

from nversion.certification.smoothing import SmoothingResult
from nversion.program.campaigns.smoothing import SmoothedImages


def result(labels: list[int], radii: list[float]) -> SmoothingResult:
    bounds = torch.tensor([0.9] * len(labels), dtype=torch.float64)
    return SmoothingResult(torch.tensor(labels), torch.tensor(radii), bounds, 0.99, 0.5, 100)


def test_parts_are_joined_in_order_and_only_right_classes_count() -> None:
    parts = [result([1, -1], [0.5, 0.0]), result([2], [0.25])]
    found = SmoothedImages.joined(parts, torch.tensor([1, 1, 0]), seed=3)
    assert found.radii.tolist() == [0.5, 0.0, 0.0]
    assert found.accuracy == pytest.approx(1 / 3)
    assert found.abstentions == 1
    assert found.confidence_of_all == pytest.approx(0.97)
    values = found.to_json()
    assert values["classes"] == [1, -1, 2]
    assert (values["sigma"], values["samples"], values["seed"]) == (0.5, 100, 3)


def test_of_too_many_images_nothing_is_known_together() -> None:
    count = 101
    found = SmoothedImages(result([0] * count, [0.1] * count), torch.zeros(count).long(), 0)
    assert found.confidence_of_all == 0.0
