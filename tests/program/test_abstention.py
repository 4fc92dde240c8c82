"""Withheld verdicts: the rule is exact, a part of the verdict, and blind to the batch."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from nversion.errors import InputError
from nversion.program import Abstention, Program, create_voter, vote_outputs, voter_names
from nversion.program.abstention import MEASURES, confidence, create_abstention

DRAWN = torch.randn(5, 200, 4, generator=torch.Generator().manual_seed(3)) * 2
OUTPUTS = DRAWN.softmax(dim=2)


@pytest.mark.parametrize("by", MEASURES)
@pytest.mark.parametrize("name", voter_names())
def test_what_is_withheld_is_what_is_not_sure_enough(name: str, by: str) -> None:
    plain = vote_outputs(OUTPUTS, name)
    sure = confidence(by, plain.labels, plain.probabilities, plain.predictions)
    threshold = abs(float(sure.median()))
    found = vote_outputs(OUTPUTS, name, abstain=Abstention(by, threshold))
    least = -threshold if by == "entropy" else threshold
    kept = (plain.labels >= 0) & (sure >= least - 1e-6)
    assert torch.equal(found.labels, plain.labels.where(kept, -1))
    assert torch.equal(found.withheld, (plain.labels >= 0) & ~kept)
    assert torch.equal(found.probabilities, plain.probabilities)
    assert bool((found.agreement[found.labels < 0] == 0).all())
    assert int((found.labels >= 0).sum()) > 0
    part = vote_outputs(OUTPUTS[:, 50:60], name, abstain=f"{by}={threshold!r}")
    assert torch.equal(part.labels, found.labels[50:60])


@pytest.mark.parametrize("share", [k / n for n in (3, 5, 7, 10) for k in range(n + 1)])
def test_agreement_is_counted_exactly(share: float) -> None:
    for versions in (3, 5, 7, 10):
        for agreeing in range(versions // 2 + 1, versions + 1):
            classes = torch.tensor([0] * agreeing + [1] * (versions - agreeing))
            ballots = torch.nn.functional.one_hot(classes, 2).float()[:, None]
            label = vote_outputs(ballots, abstain=Abstention("agreement", share)).labels.item()
            assert (label == 0) == (agreeing / versions >= share - 1e-9)


def test_the_rules_are_in_the_verdict() -> None:
    rules = vote_outputs(OUTPUTS, "plurality", abstain="margin=0.2").rules
    assert rules.voter == "plurality"
    assert rules.ties == "abstains"
    assert rules.abstention == "on ties, and where the margin is below 0.2"
    rules = vote_outputs(OUTPUTS, create_voter("k-of-n", k=4)).rules
    assert rules.voter == "k-of-n(k=4)"
    assert rules.abstention == "on ties, and where no class has 4 votes"
    rules = vote_outputs(OUTPUTS, abstain="entropy=1").rules
    assert rules.ties == "the lowest of the tied classes wins"
    assert rules.abstention == "where the entropy is above 1"
    assert vote_outputs(OUTPUTS).rules.abstention == "never"


def test_a_program_abstains_like_its_stored_outputs() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        models = [nn.Sequential(nn.Flatten(), nn.Linear(9, 3)) for _ in range(3)]
    images = torch.rand(30, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    program = Program(models, "plurality", abstain="agreement=1")
    verdict = program.vote(images)
    predictions = program.outputs(images).argmax(dim=2)
    assert torch.equal(verdict.predictions, predictions)
    unanimous = (predictions == predictions[0]).all(dim=0)
    assert torch.equal(verdict.labels, predictions[0].where(unanimous, -1))
    assert "abstains where the agreement is below 1" in repr(program)


@pytest.mark.parametrize("tie", [2, 3])
def test_every_tie_of_two_classes_is_told(tie: int) -> None:
    for first in range(4):
        for second in range(first + 1, 4):
            classes = torch.tensor([first] * tie + [second] * tie)
            ballots = torch.nn.functional.one_hot(classes, 4).float()[:, None]
            for name in voter_names():
                verdict = vote_outputs(ballots, name)
                # Logarithms of zeros are alike for both, so that each voter sees a tie.
                lowest = verdict.rules.ties != "abstains" and name not in ("k-of-n", "majority")
                assert verdict.labels.item() == (first if lowest else -1)
                assert verdict.tied.item()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("margin", "MEASURE=THRESHOLD"),
        ("margin=low", "MEASURE=THRESHOLD"),
        ("margn=0.2", "did you mean 'margin'"),
        ("margin=1.5", r"in \[0, 1\]"),
        ("entropy=-1", "at least 0"),
    ],
)
def test_bad_abstentions_are_named(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        create_abstention(text)
    with pytest.raises(InputError, match="in"):
        Abstention("margin", math.nan)


def test_a_tensor_is_no_threshold() -> None:
    with pytest.raises(InputError, match="must be"):
        Abstention("margin", Tensor([0.5]))  # type: ignore[arg-type]
