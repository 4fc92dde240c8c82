"""Votes under shift: the numbers are those of the votes, thresholds are set on clean images."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nversion.datasets import corrupt, load_dataset
from nversion.errors import InputError
from nversion.program import Program, create_voter, voter_names
from nversion.program.abstention import confidence
from nversion.program.campaigns.shifting import ShiftReport, measure_shift

TEST = load_dataset("digits").test
IMAGES, LABELS = TEST.images[:120], TEST.labels[:120]


def prototypes(seed: int) -> nn.Module:
    """A linear network of the classes' mean images of a part of the training images."""
    train = load_dataset("digits").train
    rows = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))[:300]
    images, labels = train.images[rows].flatten(1), train.labels[rows]
    means = torch.stack([images[labels == digit].mean(dim=0) for digit in range(10)])
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with torch.no_grad():
        model[1].weight.copy_(2 * means)
        model[1].bias.copy_(-means.square().sum(dim=1))
    return model


MODELS = [prototypes(seed) for seed in range(5)]
UNKNOWN = torch.rand(60, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def report() -> ShiftReport:
    voters = {name: create_voter(name) for name in voter_names()}
    return measure_shift(
        MODELS, voters, IMAGES, LABELS, kinds=["noise"], severities=[5], unknown=UNKNOWN, wanted=0.9
    )


@pytest.mark.parametrize("name", voter_names())
def test_the_numbers_are_those_of_the_vote(report: ShiftReport, name: str) -> None:
    program = Program(MODELS, name)
    clean = program.vote(IMAGES)
    row = report.of(name, "clean")
    assert row.accuracy == pytest.approx(float((clean.labels == LABELS).double().mean()))
    assert row.coverage >= 0.9 or int((clean.labels < 0).sum()) > 12
    assert row.separation == 0.5
    noisy = program.vote(corrupt(IMAGES, "noise", 5))
    sure = confidence("margin", noisy.labels, noisy.probabilities, noisy.predictions)
    kept = (noisy.labels >= 0) & (sure >= report.thresholds[name])
    row = report.of(name, "noise", 5)
    assert row.accuracy == pytest.approx(float((noisy.labels == LABELS).double().mean()))
    assert row.coverage == pytest.approx(float(kept.double().mean()))
    unknown = report.of(name, "unknown")
    assert unknown.accuracy == 0.0
    assert unknown.images == 60
    assert unknown.area == 0.0


def test_disagreement_tells_unknown_images(report: ShiftReport) -> None:
    """White noise is no digit: most of it is less sure than most digits."""
    assert report.of("mean-softmax", "unknown").separation > 0.8
    assert report.of("plurality", "unknown").coverage < report.of("plurality", "clean").coverage


def test_by_entropy_thresholds_are_entropies() -> None:
    voters = {"mean": create_voter("mean-softmax")}
    found = measure_shift(MODELS, voters, IMAGES, LABELS, kinds=[], by="entropy", wanted=0.5)
    assert found.thresholds["mean"] > 0
    assert len(found.rows) == 1
    assert found.rows[0].coverage == pytest.approx(0.5, abs=0.02)
    assert found.to_json()["rows"][0]["condition"] == {"kind": "clean", "severity": 0}


def test_bad_input_is_named(report: ShiftReport) -> None:
    voters = {"mean": create_voter("mean-softmax")}
    for options, said in (
        ({"by": "luck"}, "agreement, margin, entropy"),
        ({"wanted": 0.0}, r"share in \(0, 1\]"),
        ({"kinds": ["fog"]}, "no corruption is called 'fog'"),
        ({"unknown": UNKNOWN[:0]}, "at least one"),
    ):
        with pytest.raises(InputError, match=said):
            measure_shift(MODELS, voters, IMAGES, LABELS, **options)
    with pytest.raises(InputError, match="was not tried"):
        report.of("borda", "fog", 1)
