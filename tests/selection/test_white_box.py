"""Selection against an attacker who knows the program: linear versions, where it is exact."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from nversion.errors import InputError
from nversion.program.white_box import margins_and_gradients, white_box
from nversion.selection import WhiteBox, exact, fit_weights, gram, greedy


def some_criterion(versions: int = 6, images: int = 20, seed: int = 0) -> tuple[Any, Any, Any]:
    randomness = np.random.default_rng(seed)
    margins = randomness.normal(1.5, 1.0, (versions, images, 4))
    gradients = randomness.normal(size=(versions, images, 4, 3, 3)) + 0.5
    return margins, gradients, randomness.integers(0, 4, images)


def by_definition(margins: Any, gradients: Any, labels: Any, weights: Any) -> Any:
    """Return the distances of a weighted vote, written out."""
    found = []
    for image, label in enumerate(labels):
        nearest = np.inf
        for rival in range(4):
            if rival != label:
                margin = weights @ margins[:, image, rival]
                slope = np.tensordot(weights, gradients[:, image, rival], axes=1)
                nearest = min(nearest, max(margin, 0.0) / np.linalg.norm(slope))
        found.append(nearest)
    return np.array(found)


def test_the_distance_is_that_of_its_definition() -> None:
    margins, gradients, labels = some_criterion()
    criterion = WhiteBox(margins, gram(gradients), labels)
    for members in ((2,), (0, 5), (3, 1, 4)):
        weights = np.zeros(6)
        weights[list(members)] = 1.0
        expected = by_definition(margins, gradients, labels, weights)
        assert criterion.score(members) == pytest.approx(expected.mean())
        assert criterion.distances(weights) == pytest.approx(expected)
    uneven = np.arange(6.0)
    expected = by_definition(margins, gradients, labels, uneven)
    assert criterion.weighted_score(7 * uneven) == pytest.approx(expected.mean())


def test_greedy_finds_what_the_exact_search_does_here() -> None:
    margins, gradients, labels = some_criterion()
    criterion = WhiteBox(margins, gram(gradients), labels)
    full = exact(criterion, 3)
    best = max(criterion.score(one) for one in itertools.combinations(range(6), 3))
    assert full.score == pytest.approx(best)
    assert greedy(criterion, 3).score <= best + 1e-12


def test_weights_are_no_worse_than_equal_ones() -> None:
    margins, gradients, labels = some_criterion(10)
    criterion = WhiteBox(margins, gram(gradients), labels)
    weights = fit_weights(criterion, steps=60)
    assert weights.sum() == pytest.approx(1.0)
    assert (weights >= 0).all()
    assert criterion.weighted_score(weights) > criterion.weighted_score(np.ones(10))
    few = fit_weights(criterion, size=3, steps=60)
    assert (few > 0).sum() == 3
    assert criterion.weighted_score(few) > 0
    assert fit_weights(criterion, steps=60).tolist() == weights.tolist()


def test_opposite_gradients_cancel_and_are_wanted() -> None:
    margins = np.ones((3, 1, 2))
    gradients = np.zeros((3, 1, 2, 2))
    gradients[:, 0, 1] = [[1.0, 0.2], [1.0, 0.0], [-0.9, 0.2]]
    criterion = WhiteBox(margins, gram(gradients), [0])
    assert set(greedy(criterion, 2).members) == {1, 2} or set(greedy(criterion, 2).members) == {
        0,
        2,
    }
    assert exact(criterion, 2).score > 2 * criterion.score([0])


def test_images_that_are_wrong_are_at_no_distance_and_zero_gradients_say_nothing() -> None:
    margins = np.array([[[0.0, -1.0], [0.0, 1.0], [0.0, 1.0]]])
    gradients = np.ones((1, 3, 2, 1))
    gradients[0, 2] = 0.0
    criterion = WhiteBox(margins, gram(gradients), [0, 0, 0])
    assert criterion.distances([1.0]).tolist() == [0.0, 1.0, 0.0]
    flat = WhiteBox(margins, gram(0.0 * gradients), [0, 0, 0])
    assert flat.distances([1.0]).tolist() == [0.0, 0.0, 0.0]


def linear(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(9, 4))


def test_of_linear_networks_the_distance_is_exact() -> None:
    models = [linear(seed) for seed in range(3)]
    images = torch.rand(12, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    vote = sum(model(images) for model in models)
    labels = vote.argmax(dim=1)
    criterion = white_box(models, images, labels)
    weight = torch.stack([model[1].weight for model in models]).sum(0).detach()
    bias = torch.stack([model[1].bias for model in models]).sum(0).detach()
    for distance, image, label in zip(
        criterion.distances(np.ones(3)), images, labels.tolist(), strict=True
    ):
        scores = weight @ image.flatten() + bias
        rivals = [rival for rival in range(4) if rival != label]
        expected = min(
            float((scores[label] - scores[rival]) / (weight[label] - weight[rival]).norm())
            for rival in rivals
        )
        assert distance == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("outputs", ["logits", "probabilities"])
def test_gradients_are_those_of_the_margins(outputs: str) -> None:
    model = linear(0).double()
    images = torch.rand(2, 1, 3, 3, dtype=torch.float64)
    labels = torch.tensor([1, 3])
    margins, gradients = margins_and_gradients(model, images, labels, outputs)
    assert margins.shape == (2, 4)
    assert gradients.shape == (2, 4, 1, 3, 3)
    step = torch.randn(1, 3, 3, dtype=torch.float64)
    ahead, _ = margins_and_gradients(model, images + 1e-3 * step, labels, outputs)
    behind, _ = margins_and_gradients(model, images - 1e-3 * step, labels, outputs)
    slope = (gradients.double() * step).flatten(2).sum(dim=2)
    assert ((ahead - behind) / 2e-3).double() == pytest.approx(slope, abs=5e-4)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_bad_input_is_refused() -> None:
    margins, gradients, labels = some_criterion()
    products = gram(gradients)
    with pytest.raises(InputError, match="make them with gram"):
        WhiteBox(margins, products[:, :, :2], labels)
    with pytest.raises(InputError, match="labels must be integers"):
        WhiteBox(margins, products, labels + 4)
    with pytest.raises(InputError, match="two classes at least"):
        WhiteBox(margins[:, :, :1], products, labels)
    with pytest.raises(InputError, match="shaped as the images are"):
        gram(margins)
    with pytest.raises(InputError, match="infinite"):
        gram(np.full((1, 1, 2, 3), np.inf))
    criterion = WhiteBox(margins, products, labels)
    for weights in ([1.0], [0.0] * 6, [-1.0] * 6, [float("nan")] * 6):
        with pytest.raises(InputError, match="weights"):
            criterion.distances(weights)
    with pytest.raises(InputError, match="size"):
        fit_weights(criterion, size=7)
    with pytest.raises(InputError, match="steps"):
        fit_weights(criterion, steps=0)
    with pytest.raises(InputError, match="outputs must be"):
        white_box([linear(0)], torch.rand(2, 1, 3, 3), torch.tensor([0, 1]), outputs="odds")
    with pytest.raises(InputError, match="versions"):
        white_box([], torch.rand(2, 1, 3, 3), torch.tensor([0, 1]))
