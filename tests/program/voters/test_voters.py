from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nversion.errors import InputError
from nversion.program import KOfN, create_voter, vote_outputs, voter_names


def outputs(seed: int, versions: int = 7, count: int = 40, classes: int = 4) -> torch.Tensor:
    randomness = torch.Generator().manual_seed(seed)
    return (torch.randn(versions, count, classes, generator=randomness) * 3).softmax(dim=2)


def certain(*classes: int) -> torch.Tensor:
    """Versions that are sure of one class each, about one image."""
    return torch.nn.functional.one_hot(torch.tensor(classes), 3).float()[:, None]


@pytest.mark.parametrize("name", voter_names())
@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10_000), versions=st.integers(1, 9))
def test_the_order_of_versions_does_not_change_a_bit(name: str, seed: int, versions: int) -> None:
    probabilities = outputs(seed, versions)
    shuffled = probabilities[torch.randperm(versions, generator=torch.Generator().manual_seed(1))]
    one, other = vote_outputs(probabilities, name), vote_outputs(shuffled, name)
    assert torch.equal(one.labels, other.labels)
    assert torch.equal(one.probabilities, other.probabilities)
    assert torch.equal(one.agreement, other.agreement)


@pytest.mark.parametrize("name", ["mean-softmax", "mean-logits", "plurality", "majority"])
def test_weights_follow_their_versions(name: str) -> None:
    probabilities, weights = outputs(3, 5), torch.tensor([0.3, 1.7, 0.2, 0.9, 1.1])
    order = torch.tensor([4, 2, 0, 3, 1])
    one = vote_outputs(probabilities, name, weights)
    other = vote_outputs(probabilities[order], name, weights[order])
    assert torch.equal(one.labels, other.labels)
    assert torch.equal(one.probabilities, other.probabilities)


@pytest.mark.parametrize("name", ["mean-softmax", "mean-logits", "plurality", "majority"])
def test_a_weight_of_three_is_three_copies(name: str) -> None:
    probabilities = outputs(4, 3)
    weighted = vote_outputs(probabilities, name, [1.0, 3.0, 1.0])
    copied = vote_outputs(probabilities[torch.tensor([0, 1, 1, 1, 2])], name)
    assert torch.equal(weighted.labels, copied.labels)
    torch.testing.assert_close(weighted.probabilities, copied.probabilities)


def test_mean_softmax_is_the_mean_of_softmaxes() -> None:
    probabilities = outputs(5)
    verdict = vote_outputs(probabilities)
    torch.testing.assert_close(verdict.probabilities, probabilities.mean(dim=0))
    assert torch.equal(verdict.labels, probabilities.double().mean(dim=0).argmax(dim=1))


def test_mean_logits_is_the_geometric_mean() -> None:
    probabilities = outputs(6)
    means = probabilities.double().log().mean(dim=0).softmax(dim=1)
    torch.testing.assert_close(
        vote_outputs(probabilities, "mean-logits").probabilities.double(),
        means,
        atol=1e-6,
        rtol=1e-5,
    )


def test_median_softmax_resists_one_liar() -> None:
    versions = torch.tensor([[[0.6, 0.4, 0.0]], [[0.6, 0.4, 0.0]], [[0.0, 0.0, 1.0]]])
    verdict = vote_outputs(versions, "median-softmax")
    assert verdict.labels.tolist() == [0]
    torch.testing.assert_close(verdict.probabilities, torch.tensor([[0.6, 0.4, 0.0]]))


@pytest.mark.parametrize(
    ("voter", "classes", "label", "agreement"),
    [
        ("majority", (0, 1, 1), 1, 2 / 3),
        ("majority", (0, 1), -1, 0.0),
        ("plurality", (0, 0, 1, 2, 2), -1, 0.0),
        ("plurality", (0, 0, 1, 2), 0, 0.5),
        ("majority", (0, 0, 1, 2), -1, 0.0),
        ("majority", (0, 0, 1, 0, 2), 0, 0.6),
        ("k-of-n", (0, 0, 1, 2), -1, 0.0),
        ("k-of-n", (0, 0, 0, 2), 0, 0.75),
        (KOfN(2), (0, 0, 1, 2), 0, 0.5),
        (KOfN(2), (0, 0, 1, 1), -1, 0.0),
        (KOfN(4), (0, 0, 0, 1), -1, 0.0),
    ],
)
def test_hard_voters(voter: object, classes: tuple[int, ...], label: int, agreement: float) -> None:
    verdict = vote_outputs(certain(*classes), voter)  # type: ignore[arg-type]
    assert verdict.labels.tolist() == [label]
    assert verdict.agreement.item() == pytest.approx(agreement)
    shares = torch.bincount(torch.tensor(classes), minlength=3) / len(classes)
    torch.testing.assert_close(verdict.probabilities[0], shares)


def test_agreement_counts_versions_and_not_weights() -> None:
    verdict = vote_outputs(certain(0, 1, 1), "majority", [5.0, 1.0, 1.0])
    assert verdict.labels.tolist() == [0]
    assert verdict.agreement.item() == pytest.approx(1 / 3)


def test_zero_probabilities_do_not_silence_the_others() -> None:
    probabilities = torch.tensor([[[1.0, 0.0]], [[0.2, 0.8]]])
    verdict = vote_outputs(probabilities, "mean-logits")
    assert verdict.labels.tolist() == [0]
    assert bool(verdict.probabilities.isfinite().all())


def test_a_verdict_does_not_depend_on_the_other_images() -> None:
    probabilities = outputs(7, 5, 5000)
    whole = vote_outputs(probabilities)
    part = vote_outputs(probabilities[:, 1000:3001])
    assert torch.equal(whole.probabilities[1000:3001], part.probabilities)
    assert torch.equal(whole.labels[1000:3001], part.labels)


def test_no_images_give_an_empty_verdict() -> None:
    verdict = vote_outputs(torch.zeros(3, 0, 4))
    assert verdict.labels.shape == (0,)
    assert verdict.probabilities.shape == (0, 4)


@pytest.mark.parametrize(
    ("probabilities", "voter", "weights", "said"),
    [
        (torch.randn(2, 3, 4), "mean-softmax", None, "sum to 1"),
        (torch.zeros(2, 3), "mean-softmax", None, "versions, count, classes"),
        (torch.full((2, 3, 4), float("nan")), "mean-softmax", None, "sum to 1"),
        (outputs(0), "unanimity", None, "there are: mean-softmax"),
        (outputs(0), "mean-softmax", [1.0, 2.0], "each of the 7 versions"),
        (outputs(0, 2), "mean-softmax", [1.0, 0.0], "positive"),
        (outputs(0, 2), "k-of-n", [1.0, 1.0], "no weights"),
        (outputs(0, 2), "median-softmax", [1.0, 1.0], "no weights"),
    ],
)
def test_bad_input_is_named(probabilities: Tensor, voter: str, weights: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        vote_outputs(probabilities, voter, weights)


def test_options_are_checked() -> None:
    assert create_voter("k-of-n", k=3) == KOfN(3)
    with pytest.raises(InputError, match="no option 'k'"):
        create_voter("majority", k=3)
    with pytest.raises(InputError, match="at least 1"):
        create_voter("k-of-n", k=0)
