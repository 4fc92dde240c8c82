"""A new voter is a name and what it casts, or how that is added up; the rest is inherited."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from nversion.errors import InputError
from nversion.program import (
    KOfN,
    MeanSoftmax,
    MedianSoftmax,
    Outputs,
    Program,
    SoftVoter,
    VoteCounter,
    accuracy_by_n,
    create_voter,
    vote_outputs,
)
from nversion.program.voters.base import PROBABILITY_STEP, mean_softmax


@dataclasses.dataclass(frozen=True)
class Plain(SoftVoter):
    name: ClassVar[str] = "plain"


@dataclasses.dataclass(frozen=True)
class Largest(SoftVoter):
    name: ClassVar[str] = "largest"
    weighted: ClassVar[bool] = False

    def scores(self, ballots: Tensor) -> Tensor:
        return ballots.amax(dim=0)

    def probabilities(self, scores: Tensor, total: float) -> Tensor:
        return scores / scores.sum(dim=1, keepdim=True)


@dataclasses.dataclass(frozen=True)
class Count(VoteCounter):
    name: ClassVar[str] = "count"
    abstains_on_ties: ClassVar[bool] = False


@pytest.fixture
def members() -> Tensor:
    drawn = torch.randn(5, 20, 4, generator=torch.Generator().manual_seed(2))
    return (drawn * 2).log_softmax(dim=2).double()


def test_the_least_soft_voter_is_the_mean_softmax(members: Tensor) -> None:
    probabilities, weights = members.exp().float(), [1.0, 0.5, 2.0, 0.1, 1.0]
    for given in (None, weights):
        mine, studys = (vote_outputs(probabilities, one, given) for one in (Plain(), MeanSoftmax()))
        assert torch.equal(mine.probabilities, studys.probabilities)
    shares = (torch.tensor(weights, dtype=torch.float64) / sum(weights)).log()
    torch.testing.assert_close(
        Plain().log_probabilities(members, shares), mean_softmax(members, shares)
    )


def test_a_soft_voter_shows_attacks_the_logarithm_of_its_verdict(members: Tensor) -> None:
    outputs = Outputs.from_logits(list(members))
    even = torch.full((5,), 0.2, dtype=torch.float64).log()
    for voter in (Plain(), Largest(), MedianSoftmax()):
        leaf = members.clone().requires_grad_(True)
        logs = voter.log_probabilities(leaf, even)
        verdict = voter.probabilities(voter.scores(voter.ballots(outputs, None)), 5.0)
        torch.testing.assert_close(logs.exp(), verdict, atol=1e-6, rtol=1e-5)
        assert torch.autograd.grad(logs.sum(), leaf)[0].isfinite().all()


def test_whether_scores_add_up_is_seen_from_the_class(members: Tensor) -> None:
    for name in ("median-softmax", "trimmed-mean", "maximum-confidence"):
        assert not create_voter(name).additive
    for name in ("mean-softmax", "mean-logits", "plurality", "majority", "k-of-n", "borda"):
        assert create_voter(name).additive
    assert Plain().additive
    assert not Largest().additive
    probabilities = members.exp().float()
    labels = torch.zeros(20, dtype=torch.int64)
    for voter in (Plain(), Largest(), Count()):
        by_n = [
            float((vote_outputs(probabilities[:n], voter).labels == labels).double().mean())
            for n in range(1, 6)
        ]
        assert accuracy_by_n(probabilities, labels, voter) == by_n


def test_ballots_lie_on_the_grid_whatever_is_cast(members: Tensor) -> None:
    ballots = Plain().ballots(Outputs.from_logits(list(members)), torch.rand(5).double())
    assert torch.equal(ballots / PROBABILITY_STEP, (ballots / PROBABILITY_STEP).round())


def test_weights_are_refused_wherever_they_are_given(members: Tensor) -> None:
    outputs = Outputs.from_logits(list(members))
    weights, labels = torch.ones(5).double(), torch.zeros(20, dtype=torch.int64)
    models = [torch.nn.Flatten() for _ in range(5)]
    for voter in (KOfN(), MedianSoftmax(), Largest()):
        for refused in (
            lambda voter=voter: voter.ballots(outputs, weights),
            lambda voter=voter: vote_outputs(outputs.probabilities, voter, weights),
            lambda voter=voter: accuracy_by_n(outputs.probabilities, labels, voter, weights),
            lambda voter=voter: Program(models, voter, weights),
        ):
            with pytest.raises(InputError, match=f"{voter.name} counts .* takes no weights"):
                refused()


def test_options_are_json_values() -> None:
    assert KOfN(3).options() == {"k": 3}
    assert MeanSoftmax().options() == {}
