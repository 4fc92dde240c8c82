"""Cosines of gradients: known directions, any scale, and images without a gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nversion.errors import InputError
from nversion.measures import gradient_cosines


def test_known_directions() -> None:
    one, other = [3.0, 0.0], [0.0, 2.0]
    cosines = gradient_cosines(torch.tensor([[one, one], [one, other], [other, one]])[:, :, None])
    assert cosines.tolist() == [[1.0, 0.5, 0.5], [0.5, 1.0, 0.0], [0.5, 0.0, 1.0]]


def test_the_scale_does_not_matter_even_where_squares_vanish() -> None:
    gradients = np.random.default_rng(0).normal(size=(3, 20, 1, 4, 4))
    scale = 10.0 ** np.random.default_rng(1).integers(-200, 100, size=(3, 20, 1, 1, 1))
    expected = gradient_cosines(gradients)
    assert gradient_cosines(gradients * scale) == pytest.approx(expected)


def test_images_without_a_gradient_are_left_out() -> None:
    gradients = np.ones((2, 3, 5))
    gradients[0, 0] = 0.0
    assert gradient_cosines(gradients)[0, 1] == pytest.approx(1.0)
    gradients[1] = 0.0
    assert np.isnan(gradient_cosines(gradients)[0, 1])


@pytest.mark.parametrize(
    ("gradients", "message"),
    [
        (np.ones((2, 3)), "shaped as the images are"),
        (np.ones((2, 3, 4), dtype=int), "floating"),
        (np.full((2, 3, 4), np.inf), "infinite"),
    ],
)
def test_bad_input_is_refused(gradients: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        gradient_cosines(gradients)
