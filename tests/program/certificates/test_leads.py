import itertools
import math

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nversion.program import (
    KOfN,
    Majority,
    Plurality,
    Voter,
    certified_vote_radii,
    vote_outputs,
)
from nversion.program.certificates.leads import mean_softmax_leads, median_softmax_leads, vote_leads
from nversion.program.voters.base import VoteCounter, worths

VERSIONS, COUNT, CLASSES = 5, 8, 4


def situation(seed: int) -> tuple[torch.Tensor, ...]:
    """Logits somewhere in a ball, bounds that hold for them, labels and own classes."""
    randomness = torch.Generator().manual_seed(seed)
    logits = torch.randn(VERSIONS, COUNT, CLASSES, generator=randomness, dtype=torch.float64) * 3
    labels = torch.randint(CLASSES, (COUNT,), generator=randomness)
    logits += 2 * torch.nn.functional.one_hot(labels, CLASSES)
    classes = torch.randint(CLASSES, (VERSIONS, COUNT), generator=randomness)
    classes = torch.where(torch.rand(VERSIONS, COUNT, generator=randomness) < 0.7, labels, classes)
    slack = torch.rand(VERSIONS, COUNT, CLASSES, generator=randomness, dtype=torch.float64)
    slack = slack.pow(4) * 3 * (slack > 0.3)
    margins = logits.gather(2, labels.expand(VERSIONS, COUNT)[:, :, None]) - logits - slack
    own = logits.gather(2, classes[:, :, None]) - logits - slack
    own = torch.where((classes == labels)[:, :, None], margins, own)
    return logits, labels, classes, margins, own


def true_leads(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    others = scores.scatter(1, labels[:, None], -torch.inf).amax(dim=1)
    return scores.gather(1, labels[:, None]).squeeze(1) - others


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 100_000))
def test_the_bounds_hold(seed: int) -> None:
    logits, labels, classes, margins, own = situation(seed)
    shares = torch.rand(VERSIONS, generator=torch.Generator().manual_seed(seed)).double()
    shares /= shares.sum()
    probabilities = logits.softmax(dim=2)
    mean = (probabilities * shares[:, None, None]).sum(dim=0)
    found = mean_softmax_leads(margins, own, labels, classes, shares)
    assert bool((found <= true_leads(mean, labels)).all())
    middle = probabilities.median(dim=0).values
    found = median_softmax_leads(margins, own, labels, classes)
    assert bool((found <= true_leads(middle, labels)).all())
    votes = torch.nn.functional.one_hot(logits.argmax(dim=2), CLASSES).double().sum(dim=0)
    found = vote_leads(own, labels, classes, torch.ones(VERSIONS).double(), 3)
    assert bool((found <= true_leads(votes, labels)).all())
    won = found > 0
    assert bool((votes.gather(1, labels[:, None]).squeeze(1)[won] >= 3).all())


@settings(deadline=None, max_examples=40)
@given(
    margins=st.lists(st.floats(-6, 6), min_size=3, max_size=3),
    seed=st.integers(0, 1000),
)
def test_one_version_is_bounded_as_well_as_its_margins_allow(
    margins: list[float], seed: int
) -> None:
    """The smallest lead over margins at their bounds or far above them is the bound."""
    bound = torch.tensor([[[0.0, *margins]]], dtype=torch.float64)
    label = torch.zeros(1, dtype=torch.int64)
    one = torch.ones(1, dtype=torch.float64)
    found = mean_softmax_leads(bound, bound, label, label[None], one)
    worst = math.inf
    for raised in itertools.product([0.0, 60.0], repeat=3):
        at = [m + r for m, r in zip(margins, raised, strict=True)]
        p = torch.tensor([0.0, *(-a for a in at)], dtype=torch.float64).softmax(dim=0)
        worst = min(worst, float(p[0] - p[1:].max()))
    assert float(found) == pytest.approx(worst, abs=1e-5)


def test_no_bound_at_all_is_no_lead_and_no_nan() -> None:
    _, labels, classes, margins, _ = situation(0)
    shares = torch.full((VERSIONS,), 1 / VERSIONS, dtype=torch.float64)
    for value in (-math.inf, math.nan, -1e30):
        low = torch.full_like(margins, value)
        assert bool((mean_softmax_leads(low, low, labels, classes, shares) <= -0.99).all())
        assert bool((median_softmax_leads(low, low, labels, classes) <= -0.99).all())
        assert bool((vote_leads(low, labels, classes, shares, 1) <= 0).all())


def test_a_version_that_is_sure_of_another_class_helps_no_third() -> None:
    """Two versions for the label, one surely elsewhere: no third class gains by the third."""
    labels = torch.tensor([0])
    classes = torch.tensor([[0], [0], [1]])
    own = torch.tensor([[[0, 9, -1.0]], [[9, 9.0, 9]], [[9, 0, 9.0]]])
    own[1, 0, 0] = 0.0
    assert float(vote_leads(own, labels, classes, torch.ones(3).double(), -math.inf)) == 0.0
    own[2, 0, 0] = 9.0
    own[0, 0, 2] = 1.0
    assert float(vote_leads(own, labels, classes, torch.ones(3).double(), -math.inf)) == 1.0


def wins_for_sure(
    radius: float,
    radii: torch.Tensor,
    classes: torch.Tensor,
    label: int,
    voter: Voter,
    weights: torch.Tensor | None,
) -> bool:
    """Try everything that the versions that are not sure at this radius may vote for."""
    free = (radii < radius).nonzero().squeeze(1).tolist()
    for chosen in itertools.product(range(3), repeat=len(free)):
        votes = classes.clone()
        votes[free] = torch.tensor(chosen, dtype=torch.int64)
        ballots = torch.nn.functional.one_hot(votes, 3).float()[:, None]
        if vote_outputs(ballots, voter, weights).labels.item() != label:
            return False
    return True


@pytest.mark.parametrize(
    ("voter", "weighted"),
    [
        *((Plurality(), False), (Plurality(), True), (Majority(), False), (Majority(), True)),
        *((KOfN(), False), (KOfN(2), False)),
    ],
)
@settings(deadline=None, max_examples=25)
@example(seed=442, versions=5)
@given(seed=st.integers(0, 10_000), versions=st.integers(1, 5))
def test_order_statistics_are_what_all_votes_show(
    voter: Voter, weighted: bool, seed: int, versions: int
) -> None:
    randomness = torch.Generator().manual_seed(seed)
    radii = torch.randint(0, 7, (versions, 1), generator=randomness) / 4
    classes = torch.randint(3, (versions, 1), generator=randomness).clamp(max=2)
    classes[torch.rand(versions, generator=randomness) < 0.6] = 0
    weights = torch.randint(1, 9, (versions,), generator=randomness).double() if weighted else None
    if weights is not None:
        weights /= weights.max()
    assert isinstance(voter, VoteCounter)
    needed = voter.votes_needed(worths(weights, versions))
    if versions < needed:
        return
    found = certified_vote_radii(
        radii, classes, torch.tensor([0]), weights=weights, needed=needed
    ).item()
    for radius in [r for r in sorted(set(radii.flatten().tolist())) if r > 0]:
        sure = wins_for_sure(radius, radii[:, 0], classes[:, 0], 0, voter, weights)
        assert sure == (radius <= found)


def test_a_unanimous_majority_has_the_middle_radius() -> None:
    radii = torch.tensor([[0.1], [0.5], [0.2], [0.4], [0.3]])
    classes = torch.zeros(5, 1, dtype=torch.int64)
    assert certified_vote_radii(radii, classes, torch.tensor([0])).item() == pytest.approx(0.3)
    assert certified_vote_radii(radii[:4], classes[:4], torch.tensor([0])).item() == pytest.approx(
        0.2
    )
    found = certified_vote_radii(radii, classes, torch.tensor([0]), needed=4)
    assert found.item() == pytest.approx(0.2)
