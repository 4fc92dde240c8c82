from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import binom, binomtest, norm
from torch import nn

from nversion.certification.smoothing import certify_smoothing, clopper_pearson_lower
from nversion.errors import InputError


class HalfSpace(nn.Module):
    """Class 1 where w . x > b; its smoothed version is itself, with radius |w . x - b| / |w|."""

    def __init__(self, weights: torch.Tensor, bias: float) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights)
        self.bias = bias

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        signed = images.flatten(1) @ self.weights - self.bias
        return torch.stack([-signed, signed], dim=1)

    def distances(self, images: torch.Tensor) -> torch.Tensor:
        signed = images.flatten(1).double() @ self.weights.double() - self.bias
        return (signed / self.weights.double().norm()).detach()


class Constant(nn.Module):
    def __init__(self, logits: list[float]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.logits.expand(len(images), -1)


@pytest.fixture(scope="module")
def model() -> HalfSpace:
    return HalfSpace(torch.tensor([1.0, -2.0, 0.5, 1.5]), 0.5)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(60, 1, 2, 2, generator=torch.Generator().manual_seed(3))


def test_a_half_space_is_never_certified_beyond_its_edge(
    model: HalfSpace, images: torch.Tensor
) -> None:
    result = certify_smoothing(model, images, 0.25, samples=2000, confidence=0.9999, seed=1)
    distances = model.distances(images)
    assert bool((result.radii.double() <= distances.abs()).all())
    decided = result.labels >= 0
    assert torch.equal(result.labels[decided], (distances > 0).long()[decided])
    assert bool((result.radii[~decided] == 0).all())
    assert int(decided.sum()) > 5


@pytest.mark.quality
def test_with_many_samples_the_radius_comes_close(model: HalfSpace, images: torch.Tensor) -> None:
    near = images[(model.distances(images).abs() - 0.25).abs() < 0.1][:4]
    result = certify_smoothing(model, near, 0.25, samples=20_000, seed=2)
    assert bool((result.radii.double() > 0.85 * model.distances(near).abs()).all())


def test_on_the_edge_it_abstains(model: HalfSpace) -> None:
    edge = torch.tensor([0.5, 0.0, 0.0, 0.0]).reshape(1, 1, 2, 2)
    result = certify_smoothing(model, edge, 0.5, samples=1000)
    assert result.labels.tolist() == [-1]
    assert result.radii.tolist() == [0.0]
    assert result.lower_bounds.item() < 0.5


def test_a_constant_model_gets_the_largest_radius() -> None:
    result = certify_smoothing(
        Constant([0.0, 3.0, 1.0]), torch.full((2, 1, 3, 3), 0.3), 0.5, samples=500, confidence=0.99
    )
    assert result.labels.tolist() == [1, 1]
    expected = 0.5 * norm.ppf(0.01 ** (1 / 500))
    np.testing.assert_allclose(result.radii.numpy(), expected, rtol=1e-6)
    assert bool((result.radii.double() <= expected).all())


def test_logits_that_are_not_finite_count_for_no_class() -> None:
    result = certify_smoothing(
        Constant([math.nan, 1.0]), torch.full((1, 1, 2, 2), 0.3), 0.5, samples=50, samples0=10
    )
    assert result.labels.tolist() == [-1]


def test_an_image_gets_the_same_certificate_in_any_batch(
    model: HalfSpace, images: torch.Tensor
) -> None:
    whole = certify_smoothing(model, images[:6], 0.5, samples=700, seed=4)
    for rows in ([2], [5, 2, 0]):
        part = certify_smoothing(model, images[rows], 0.5, samples=700, seed=4)
        assert torch.equal(part.lower_bounds, whole.lower_bounds[rows])
        assert torch.equal(part.radii, whole.radii[rows])
    other = certify_smoothing(model, images[:6], 0.5, samples=700, seed=5)
    assert not torch.equal(other.lower_bounds, whole.lower_bounds)


@pytest.mark.parametrize(
    ("successes", "tried", "confidence", "expected"),
    [
        (1, 10, 0.95, 0.005116196891823705),
        (7, 10, 0.999, 0.2046367220992899),
        (10, 10, 0.99, 0.6309573444801932),
        (9990, 10_000, 0.999, 0.9975883080325683),
        (5000, 10_000, 0.999, 0.484502946113578),
    ],
)
def test_the_interval_is_scipys(
    successes: int, tried: int, confidence: float, expected: float
) -> None:
    lower = clopper_pearson_lower(successes, tried, confidence)
    test = binomtest(successes, tried, alternative="greater")
    assert lower == pytest.approx(expected, abs=1e-12)
    assert lower == pytest.approx(test.proportion_ci(confidence, "exact").low, abs=1e-12)


@pytest.mark.parametrize("confidence", [0.9, 0.999])
@pytest.mark.parametrize("tried", [1, 7, 60])
def test_the_interval_covers_as_it_says(tried: int, confidence: float) -> None:
    lower = np.array([clopper_pearson_lower(k, tried, confidence) for k in range(tried + 1)])
    assert bool((np.diff(lower) > 0).all())
    assert lower[-1] == pytest.approx((1 - confidence) ** (1 / tried))
    for probability in np.linspace(0.01, 0.99, 50):
        weights = binom.pmf(np.arange(tried + 1), tried, probability)
        assert weights[lower <= probability].sum() >= confidence - 1e-12


def test_radii_for_labels(model: HalfSpace, images: torch.Tensor) -> None:
    result = certify_smoothing(model, images[:8], 0.25, samples=500)
    labels = result.labels.clamp(min=0)
    labels[0] = 1 - labels[0]
    radii = result.radii_for(labels)
    assert radii[0] == 0
    assert torch.equal(radii[1:], result.radii[1:])


def test_the_model_is_handed_back_as_it_came(images: torch.Tensor) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.Linear(4, 2)).train()
    first = certify_smoothing(model, images[:2], 0.25, samples=300)
    assert model.training
    assert model[2].weight.requires_grad
    second = certify_smoothing(model, images[:2], 0.25, samples=300)
    assert torch.equal(first.lower_bounds, second.lower_bounds)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sigma": 0.0}, "sigma"),
        ({"sigma": math.nan}, "sigma"),
        ({"samples": 0}, "samples"),
        ({"samples0": 0}, "samples0"),
        ({"confidence": 1.0}, "confidence"),
        ({"confidence": 0.4}, "confidence"),
    ],
)
def test_bad_options_are_named(
    model: HalfSpace, images: torch.Tensor, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        certify_smoothing(model, images, **{"sigma": 0.5, **options})


def test_no_images_give_an_empty_result(model: HalfSpace, images: torch.Tensor) -> None:
    assert certify_smoothing(model, images[:0], 0.5).radii.shape == (0,)
