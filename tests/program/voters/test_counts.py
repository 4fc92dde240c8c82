"""Plurality, majority and consensus, told apart; Borda's count; order statistics."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nversion.errors import InputError
from nversion.program import KOfN, TrimmedMean, vote_outputs
from nversion.program.voters.borda import points
from nversion.program.voters.median import trimmed_mean


def certain(*classes: int, size: int = 4) -> Tensor:
    return torch.nn.functional.one_hot(torch.tensor(classes), size).float()[:, None]


@pytest.mark.parametrize("weights", [None, [4.0, 1.0, 1.0, 1.0, 1.0]])
def test_all_votes_of_five_are_decided_as_counting_has_it(weights: list[float] | None) -> None:
    worth = [1.0] * 5 if weights is None else weights
    every = torch.tensor(list(itertools.product(range(3), repeat=5))).T
    ballots = torch.nn.functional.one_hot(every, 3).float()
    plurality = vote_outputs(ballots, "plurality", weights).labels.tolist()
    majority = vote_outputs(ballots, "majority", weights).labels.tolist()
    for votes, most, half in zip(every.T.tolist(), plurality, majority, strict=True):
        held = [sum(w for v, w in zip(votes, worth, strict=True) if v == c) for c in range(3)]
        winners = [c for c in range(3) if held[c] == max(held)]
        assert most == (winners[0] if len(winners) == 1 else -1)
        assert half == (winners[0] if 2 * max(held) > sum(worth) else -1)


def test_a_majority_of_equal_votes_is_k_of_n_as_it_comes() -> None:
    every = torch.tensor(list(itertools.product(range(3), repeat=4))).T
    ballots = torch.nn.functional.one_hot(every, 3).float()
    assert torch.equal(
        vote_outputs(ballots, "majority").labels, vote_outputs(ballots, KOfN()).labels
    )


def test_consensus_takes_the_largest_group_and_of_equal_ones_the_likelier() -> None:
    assert vote_outputs(certain(2, 2, 0, 1), "consensus").labels.tolist() == [2]
    split = torch.tensor([[[0.6, 0.4, 0.0]], [[0.1, 0.9, 0.0]]])
    assert vote_outputs(split, "consensus").labels.tolist() == [1]
    assert vote_outputs(split, "plurality").labels.tolist() == [-1]
    verdict = vote_outputs(certain(1, 2), "consensus")
    assert verdict.labels.tolist() == [1]
    assert verdict.tied.tolist() == [True]
    torch.testing.assert_close(verdict.probabilities.sum(dim=1), torch.ones(1))


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), versions=st.integers(1, 9))
def test_consensus_agrees_with_plurality_wherever_that_decides(seed: int, versions: int) -> None:
    drawn = torch.rand(versions, 30, 4, generator=torch.Generator().manual_seed(seed))
    outputs = drawn / drawn.sum(dim=2, keepdim=True)
    most, named = (vote_outputs(outputs, name).labels for name in ("plurality", "consensus"))
    assert bool((named >= 0).all())
    assert torch.equal(most[most >= 0], named[most >= 0])


def test_borda_counts_who_is_below() -> None:
    outputs = torch.tensor([[0.5, 0.3, 0.2], [0.4, 0.2, 0.4]])
    assert points(outputs).tolist() == [[2.0, 1.0, 0.0], [1.5, 0.0, 1.5]]
    # Two rank 0 first and 2 last, three rank 1 first and 0 last: 4, 8 and 3 points.
    versions = torch.tensor([[0.6, 0.3, 0.1]] * 2 + [[0.1, 0.6, 0.3]] * 3)[:, None]
    verdict = vote_outputs(versions, "borda")
    assert verdict.labels.tolist() == [1]
    torch.testing.assert_close(verdict.probabilities, torch.tensor([[4, 8, 3]]) / 15)
    assert vote_outputs(versions[:2].flip(2).repeat(1, 1, 1), "borda").labels.tolist() == [2]


def test_a_second_place_with_all_may_win_by_ranks() -> None:
    versions = torch.tensor([[0.5, 0.4, 0.1, 0.0], [0.0, 0.4, 0.5, 0.1], [0.1, 0.4, 0.0, 0.5]])[
        :, None
    ]
    assert vote_outputs(versions, "borda").labels.tolist() == [1]
    assert vote_outputs(versions, "plurality").labels.tolist() == [-1]


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), versions=st.integers(3, 9))
def test_a_trimmed_mean_lies_within_what_any_but_one_say(seed: int, versions: int) -> None:
    values = torch.rand(versions, 5, generator=torch.Generator().manual_seed(seed)).double()
    found = trimmed_mean(values)
    for liar in range(versions):
        honest = torch.cat([values[:liar], values[liar + 1 :]])
        assert bool((found >= honest.amin(dim=0) - 1e-15).all())
        assert bool((found <= honest.amax(dim=0) + 1e-15).all())


def test_a_trimmed_mean_of_few_leaves_one_or_two() -> None:
    values = torch.tensor([[3.0], [1.0], [2.0], [9.0]])
    assert trimmed_mean(values[:1]).item() == 3.0
    assert trimmed_mean(values[:2]).item() == 2.0
    assert trimmed_mean(values, 5).item() == 2.5
    with pytest.raises(InputError, match="trim must be a whole number"):
        TrimmedMean(0)


def test_the_surest_version_decides_and_two_as_sure_do_not() -> None:
    versions = torch.tensor([[[0.6, 0.4]], [[0.6, 0.4]], [[0.1, 0.9]]])
    assert vote_outputs(versions, "maximum-confidence").labels.tolist() == [1]
    tied = vote_outputs(torch.tensor([[[0.9, 0.1]], [[0.1, 0.9]]]), "maximum-confidence")
    assert (tied.labels.tolist(), tied.tied.tolist()) == ([-1], [True])
