"""Weights have the published forms, and are fitted on what they are given."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from nversion.errors import InputError
from nversion.program import fit_weights, vote_outputs


def outputs(labels: Tensor, accuracies: list[float]) -> Tensor:
    """Versions that have the first images right, so many, and name the next class on the others."""
    stated = []
    for accuracy in accuracies:
        wrong = torch.arange(len(labels)) >= accuracy * len(labels)
        named = torch.where(wrong, (labels + 1) % 3, labels)
        stated.append(0.7 * torch.nn.functional.one_hot(named, 3).float() + 0.1)
    return torch.stack(stated)


LABELS = torch.arange(98) % 3


def test_log_odds_are_those_of_the_accuracies() -> None:
    weights = fit_weights(outputs(LABELS, [49 / 98, 83 / 98]), LABELS)
    expected = [math.log(2 * (right + 1) / (99 - right)) for right in (49, 83)]
    torch.testing.assert_close(weights, torch.tensor(expected).double() / max(expected))


def test_a_version_at_chance_has_next_to_no_weight_and_only_such_are_refused() -> None:
    weights = fit_weights(outputs(LABELS, [0.9, 0.2]), LABELS)
    assert float(weights[1]) == 2.0**-20
    with pytest.raises(InputError, match="more often than chance"):
        fit_weights(outputs(LABELS, [0.2, 0.1]), LABELS)


def test_the_likeliest_mixture_has_no_better_neighbour() -> None:
    randomness = torch.Generator().manual_seed(1)
    drawn = torch.randn(4, 300, 3, generator=randomness).double()
    labels = torch.randint(3, (300,), generator=randomness)
    drawn += torch.linspace(0.2, 2, 4)[:, None, None] * torch.nn.functional.one_hot(labels, 3)
    probabilities = drawn.softmax(dim=2)
    weights = fit_weights(probabilities, labels, "likelihood")
    own = probabilities[:, torch.arange(300), labels]

    def likelihood(shares: Tensor) -> float:
        return float((shares / shares.sum() @ own).log().mean())

    best = likelihood(weights)
    for place in range(4):
        for factor in (0.8, 1.25):
            moved = weights.clone()
            moved[place] *= factor
            assert likelihood(moved) <= best + 1e-6
    assert vote_outputs(probabilities, "mean-softmax", weights).labels.shape == (300,)


@pytest.mark.parametrize(
    ("count", "by", "said"),
    [(98, "guessing", "log-odds, likelihood"), (0, "log-odds", "at least one")],
)
def test_bad_input_is_named(count: int, by: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        fit_weights(outputs(LABELS, [0.5])[:, :count], LABELS[:count], by)
