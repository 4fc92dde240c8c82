"""The curve of accuracy by coverage, with ties, against counting by hand and over all orders."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nversion.errors import InputError
from nversion.program import (
    Abstention,
    accuracy_coverage,
    coverage_curve,
    separation,
    vote_outputs,
    voter_names,
)
from nversion.program.abstention import MEASURES


def area_of(right: list[bool]) -> float:
    return sum(sum(right[:k]) / k for k in range(1, len(right) + 1)) / len(right)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.booleans()), min_size=1, max_size=6))
def test_the_area_is_the_mean_over_all_orders_of_equals(
    images: list[tuple[int, bool, bool]],
) -> None:
    sure = torch.tensor([float(value) for value, _, _ in images])
    decided = torch.tensor([there for *_, there in images])
    right = torch.tensor([hit for _, hit, _ in images]) & decided
    curve = accuracy_coverage(sure, right, decided)
    areas = []
    for order in itertools.permutations(range(len(images))):
        keys = [(not bool(decided[i]), -float(sure[i]) if decided[i] else 0.0) for i in order]
        if keys == sorted(keys):
            areas.append(area_of([bool(right[i]) for i in order]))
    assert curve.area == pytest.approx(sum(areas) / len(areas), abs=1e-12)
    for threshold, coverage, accuracy in zip(
        curve.thresholds, curve.coverage, curve.accuracy, strict=True
    ):
        kept = decided & (sure >= threshold)
        assert coverage == pytest.approx(float(kept.double().mean()))
        assert accuracy == pytest.approx(float(right[kept].double().mean()))


@pytest.mark.parametrize("by", MEASURES)
@pytest.mark.parametrize("name", voter_names())
def test_each_point_is_what_an_abstention_there_gives(name: str, by: str) -> None:
    randomness = torch.Generator().manual_seed(2)
    labels = torch.randint(3, (60,), generator=randomness)
    logits = torch.randn(4, 60, 3, generator=randomness)
    outputs = (logits + torch.nn.functional.one_hot(labels, 3)).softmax(dim=2)
    curve = coverage_curve(vote_outputs(outputs, name), labels, by)
    for place in range(0, len(curve.thresholds), 7):
        threshold = min(max(curve.thresholds[place], 0.0), 1.0 if by != "entropy" else 9.0)
        found = vote_outputs(outputs, name, abstain=Abstention(by, threshold)).labels
        kept = found >= 0
        assert float(kept.double().mean()) == pytest.approx(curve.coverage[place])
        right = float((found == labels)[kept].double().mean())
        assert right == pytest.approx(curve.accuracy[place])


def test_abstentions_are_counted_apart_from_errors() -> None:
    """A label of -1 means that no class is right; an abstention is not right by that."""
    outputs = torch.tensor([[[0.9, 0.1], [0.8, 0.2]], [[0.9, 0.1], [0.2, 0.8]]])
    verdict = vote_outputs(outputs, "plurality")
    assert verdict.labels.tolist() == [0, -1]
    curve = coverage_curve(verdict, torch.tensor([0, -1]))
    assert (curve.coverage, curve.accuracy, curve.area) == ([0.5], [1.0], 0.75)


def test_all_right_and_all_wrong_have_no_zero_by_zero() -> None:
    sure = torch.tensor([0.3, 0.2])
    assert accuracy_coverage(sure, torch.tensor([True, True])).area == 1.0
    assert accuracy_coverage(sure, torch.tensor([False, False])).area == 0.0
    nothing = accuracy_coverage(sure, torch.tensor([False] * 2), torch.tensor([False] * 2))
    assert (nothing.coverage, nothing.area) == ([], 0.0)


def test_separation_counts_ties_for_half() -> None:
    assert separation(torch.tensor([2.0, 1.0]), torch.tensor([1.0, 0.0])) == 0.875
    assert separation(torch.tensor([1.0]), torch.tensor([1.0])) == 0.5


def test_bad_input_is_refused() -> None:
    right = torch.tensor([True])
    with pytest.raises(InputError, match="NaN"):
        accuracy_coverage(torch.tensor([float("nan")]), right)
    with pytest.raises(InputError, match="one shape"):
        accuracy_coverage(torch.zeros(2), right)
    withheld = vote_outputs(torch.tensor([[[0.6, 0.4]]]), abstain="margin=0.9")
    with pytest.raises(InputError, match="withheld"):
        coverage_curve(withheld, torch.tensor([0]))
    with pytest.raises(InputError, match="agreement, margin, entropy"):
        coverage_curve(vote_outputs(torch.tensor([[[0.6, 0.4]]])), torch.tensor([0]), "luck")
