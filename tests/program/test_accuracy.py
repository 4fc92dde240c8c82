import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nversion.errors import InputError
from nversion.program import (
    KOfN,
    Voter,
    accuracy_by_n,
    accuracy_by_n_orders,
    create_voter,
    vote_outputs,
    voter_names,
)
from nversion.randomness import generator


def case(seed: int, versions: int = 6, count: int = 60) -> tuple[torch.Tensor, torch.Tensor]:
    """Stored outputs that are right more often than not, with exact ties among them."""
    randomness = torch.Generator().manual_seed(seed)
    labels = torch.randint(4, (count,), generator=randomness)
    logits = torch.randn(versions, count, 4, generator=randomness)
    logits += torch.nn.functional.one_hot(labels, 4)
    logits[:, : count // 3] = (logits[:, : count // 3] > 0.5) * 200.0
    return logits.softmax(dim=2), labels


VOTERS = [*map(create_voter, voter_names()), KOfN(3)]


@pytest.mark.parametrize("voter", VOTERS, ids=repr)
@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10_000))
def test_the_curve_is_the_vote_of_each_prefix(voter: Voter, seed: int) -> None:
    probabilities, labels = case(seed)
    expected = [
        float((vote_outputs(probabilities[:n], voter).labels == labels).double().mean())
        for n in range(1, 7)
    ]
    assert accuracy_by_n(probabilities, labels, voter) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("voter", VOTERS, ids=repr)
def test_the_band_is_over_the_curves_of_the_orders(voter: Voter) -> None:
    probabilities, labels = case(1)
    band = accuracy_by_n_orders(probabilities, labels, voter, orders=20, seed=5)
    randomness = generator("accuracy-by-n", 5)
    curves = [
        accuracy_by_n(probabilities[torch.randperm(6, generator=randomness)], labels, voter)
        for _ in range(20)
    ]
    np.testing.assert_allclose(band.mean, np.mean(curves, axis=0), atol=1e-12)
    np.testing.assert_allclose(band.low, np.quantile(curves, 0.025, axis=0), atol=1e-12)
    np.testing.assert_allclose(band.high, np.quantile(curves, 0.975, axis=0), atol=1e-12)
    assert band.orders == 20


def test_weights_go_with_their_versions() -> None:
    probabilities, labels = case(2)
    weights = [0.1, 2.0, 0.7, 1.3, 0.4, 0.9]
    curve = accuracy_by_n(probabilities, labels, weights=weights)
    labels_of_all = vote_outputs(probabilities, "mean-softmax", weights).labels
    assert curve[-1] == float((labels_of_all == labels).double().mean())


def test_all_orders_end_in_the_same_program() -> None:
    probabilities, labels = case(3)
    band = accuracy_by_n_orders(probabilities, labels, orders=30)
    assert band.low[-1] == band.high[-1] == accuracy_by_n(probabilities, labels)[-1]
    assert band.low[0] < band.high[0]


def test_one_seed_gives_one_result_whatever_the_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    probabilities, labels = case(4, versions=8, count=500)
    band = accuracy_by_n_orders(probabilities, labels, orders=12, seed=9)
    assert band == accuracy_by_n_orders(probabilities, labels, orders=12, seed=9)
    assert band != accuracy_by_n_orders(probabilities, labels, orders=12, seed=8)
    monkeypatch.setattr("nversion.program.accuracy.TILE", 7)
    monkeypatch.setattr("nversion.program.verdict.BLOCK", 64)
    assert band == accuracy_by_n_orders(probabilities, labels, orders=12, seed=9)


def test_bad_input_is_named() -> None:
    probabilities, labels = case(5)
    with pytest.raises(InputError, match="labels"):
        accuracy_by_n(probabilities, labels[:-1])
    with pytest.raises(InputError, match="below 4"):
        accuracy_by_n(probabilities, labels + 4)
    with pytest.raises(InputError, match="orders"):
        accuracy_by_n_orders(probabilities, labels, orders=0)
    with pytest.raises(InputError, match="no images"):
        accuracy_by_n(probabilities[:, :0], labels[:0])
