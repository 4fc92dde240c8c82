from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from nversion.adversarial import structural_similarity
from nversion.errors import InputError


def reference(x: Any, y: Any) -> Any:
    """Equation 13 of Wang et al. by SciPy's filter, whose window is the same where it fits."""

    def mean(values: Any) -> Any:
        return gaussian_filter(values, 1.5, truncate=3.5)

    x, y = x.astype(np.float64), y.astype(np.float64)
    mx, my = mean(x), mean(y)
    vx, vy, cov = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    values = (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    return values[5:-5, 5:-5].mean()


@pytest.mark.parametrize(("height", "width"), [(28, 28), (11, 17)])
def test_it_is_the_published_formula(height: int, width: int) -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(3, 1, height, width, generator=generator)
    y = (x + 0.3 * torch.rand(3, 1, height, width, generator=generator)).clamp(0, 1)
    found = structural_similarity(x, y)
    for i in range(3):
        expected = reference(x[i, 0].numpy(), y[i, 0].numpy())
        assert float(found[i]) == pytest.approx(expected, abs=1e-6)


def test_two_flat_images_differ_by_luminance_only() -> None:
    x, y = torch.full((1, 1, 15, 15), 0.2), torch.full((1, 1, 15, 15), 0.6)
    expected = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    assert float(structural_similarity(x, y)) == pytest.approx(expected, abs=1e-6)


def test_channels_are_averaged() -> None:
    x, y = torch.rand(2, 3, 12, 12), torch.rand(2, 3, 12, 12)
    separate = [structural_similarity(x[:, [c]], y[:, [c]]) for c in range(3)]
    assert torch.allclose(structural_similarity(x, y), torch.stack(separate).mean(0))


@given(st.integers(1, 14), st.integers(1, 14), st.integers(0, 1000))
@settings(deadline=None, max_examples=40)
def test_laws(height: int, width: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(2, 1, height, width, generator=generator)
    y = torch.rand(2, 1, height, width, generator=generator)
    assert torch.equal(structural_similarity(x, x), torch.ones(2))
    forwards, backwards = structural_similarity(x, y), structural_similarity(y, x)
    assert torch.allclose(forwards, backwards, atol=1e-6)
    assert bool((forwards <= 1).all())
    assert bool((forwards >= -1).all())


def test_more_noise_is_less_similar() -> None:
    x = torch.zeros(1, 1, 28, 28)
    x[..., 8:20, 12:16] = 1.0
    noise = torch.rand(1, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    values = [float(structural_similarity(x, (x + s * noise).clamp(0, 1))) for s in (0, 0.1, 0.5)]
    assert values[0] > values[1] > values[2]


def test_nothing_to_compare() -> None:
    assert structural_similarity(torch.zeros(0, 1, 4, 4), torch.zeros(0, 1, 4, 4)).shape == (0,)


def test_malformed_images_are_refused() -> None:
    x = torch.zeros(2, 1, 4, 4)
    with pytest.raises(InputError, match="one shape"):
        structural_similarity(x, x[:1])
    with pytest.raises(InputError, match="second must lie in"):
        structural_similarity(x, x + 2)
