"""A certificate of a program that abstains: the label is kept, and the verdict is not withheld."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from nversion.errors import InputError
from nversion.program import Abstention, KOfN, Program, certify_program, voter_names
from nversion.program.certificates.ranks import point_leads
from nversion.program.voters.borda import points

CLASSES, COUNT = 3, 8


def linear(seed: int) -> nn.Module:
    """One linear map, varied: its versions agree on most images."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(9, CLASSES))
    shared = torch.randn(CLASSES, 9, generator=torch.Generator().manual_seed(1)) * 3
    own = torch.randn(CLASSES, 9, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        model[1].weight.copy_(shared + own)
        model[1].bias.zero_()
    return model


MODELS = [linear(seed) for seed in range(10, 15)]
IMAGES = torch.rand(COUNT, 1, 3, 3, generator=torch.Generator().manual_seed(4))

CASES = [(name, Abstention("agreement", 0.8)) for name in voter_names()] + [
    *((name, Abstention("margin", 0.2)) for name in ("plurality", "consensus", "mean-softmax")),
    (KOfN(4), Abstention("margin", 0.6)),
]


@pytest.mark.parametrize(("voter", "abstention"), CASES, ids=str)
def test_no_point_of_the_ball_has_its_verdict_withheld(voter: str, abstention: Abstention) -> None:
    program = Program(MODELS, voter, abstain=abstention)
    plain = Program(MODELS, voter)
    labels = plain.vote(IMAGES).labels.clamp(min=0)
    radii = certify_program(program, IMAGES, labels, 2.0, box=None)
    assert bool((radii <= certify_program(plain, IMAGES, labels, 2.0, box=None)).all())
    assert bool((radii[program.vote(IMAGES).labels != labels] == 0).all())
    kept = radii > 0
    assert int(kept.sum()) >= 3
    images, labels, radii = IMAGES[kept], labels[kept], radii[kept]
    # The nearest changes of linear versions are along differences of their weights.
    for model in MODELS:
        for other in range(CLASSES):
            weight = model[1].weight.detach()
            away = (weight[other] - weight[labels]).reshape(images.shape)
            length = away.flatten(1).norm(dim=1).clamp(min=1e-9)
            moved = images + away * (0.9999 * radii / length)[:, None, None, None]
            inside = (moved >= 0) & (moved <= 1)
            rows = inside.flatten(1).all(dim=1)
            if bool(rows.any()):
                assert torch.equal(program.vote(moved[rows]).labels, labels[rows])


def test_agreement_is_certified_as_far_as_the_versions_are() -> None:
    """Of linear versions the radii are known: with all five the smallest of them counts."""
    program = Program(MODELS, "plurality", abstain="agreement=1")
    labels = program.vote(IMAGES).labels
    sure = labels >= 0
    exact = torch.full((5, COUNT), math.inf, dtype=torch.float64)
    for place, model in enumerate(MODELS):
        weight, logits = model[1].weight.detach().double(), model(IMAGES).detach().double()
        for other in range(CLASSES):
            margin = logits.gather(1, labels.clamp(min=0)[:, None]).squeeze(1) - logits[:, other]
            far = margin / (weight[labels] - weight[other]).norm(dim=1).clamp(min=1e-12)
            exact[place] = torch.where(
                labels == other, exact[place], torch.minimum(exact[place], far)
            )
    expected = exact.amin(dim=0)[sure]
    found = certify_program(program, IMAGES[sure], labels[sure], 2.0, box=None).double()
    assert int(sure.sum()) >= 3
    assert bool((found <= expected).all())
    assert bool((found >= 0.97 * expected - 1e-4).all())


@pytest.mark.parametrize(
    ("voter", "by"),
    [("mean-softmax", "entropy"), ("borda", "margin"), ("mean-logits", "margin")],
)
def test_what_is_not_certified_is_refused_by_name(voter: str, by: str) -> None:
    program = Program(MODELS, voter, abstain=Abstention(by, 0.3))
    labels = torch.zeros(COUNT, dtype=torch.int64)
    with pytest.raises(InputError, match=f"no certificate for {voter} .* by {by}; .*smoothing"):
        certify_program(program, IMAGES, labels, 2.0)


def test_points_never_lead_by_less_than_is_said() -> None:
    for seed in range(30):
        randomness = torch.Generator().manual_seed(seed)
        logits = torch.randn(5, 9, 4, generator=randomness, dtype=torch.float64) * 2
        labels = torch.randint(4, (9,), generator=randomness)
        logits += 2 * torch.nn.functional.one_hot(labels, 4)
        slack = torch.rand(5, 9, 4, generator=randomness, dtype=torch.float64)
        classes = logits.argmax(dim=2)
        margins = logits.gather(2, labels.expand(5, 9)[:, :, None]) - logits - slack
        own = logits.gather(2, classes[:, :, None]) - logits - slack
        own = torch.where((classes == labels)[:, :, None], margins, own)
        held = points(logits.softmax(dim=2).float()).sum(dim=0)
        mine = held.gather(1, labels[:, None])
        lead = (mine - held).scatter(1, labels[:, None], math.inf).amin(dim=1)
        said = point_leads(margins, own, labels, classes, torch.ones(5).double())
        assert bool((said <= lead).all())
