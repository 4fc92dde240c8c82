"""How many versions: expected accuracies against all subsets, ties, and intervals."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nversion.errors import InputError
from nversion.reliability import coincident_failures, majority_growth, plurality_growth

votes = hnp.arrays(np.int64, st.tuples(st.integers(1, 6), st.just(8)), elements=st.integers(-1, 3))
LABELS = np.array([0, 1, 2, 3, 0, 1, 2, 0])


def by_enumeration(predictions: Any, ties: str) -> list[float]:
    versions = len(predictions)
    means = []
    for n in range(1, versions + 1):
        right = []
        for chosen in itertools.combinations(range(versions), n):
            count = np.stack([(predictions[list(chosen)] == c).sum(axis=0) for c in range(4)])
            most = count.max(axis=0)
            own = count[LABELS, np.arange(8)] == most
            alone = (count == most).sum(axis=0) == 1
            lowest = (count.argmax(axis=0) == LABELS) & (most > 0)
            right.append((own & alone if ties == "abstain" else lowest).mean())
        means.append(float(np.mean(right)))
    return means


@settings(max_examples=40)
@given(votes, st.sampled_from(["abstain", "lowest"]))
def test_plurality_is_the_mean_over_all_subsets(predictions: Any, ties: str) -> None:
    growth = plurality_growth(predictions, LABELS, ties=ties)
    assert growth.right == pytest.approx(by_enumeration(predictions, ties), abs=1e-12)


def test_two_classes_make_plurality_and_majority_one() -> None:
    randomness = np.random.default_rng(0)
    labels = randomness.integers(0, 2, 200)
    wrong = randomness.random((151, 200)) < randomness.random(200)
    plural = plurality_growth(np.where(wrong, 1 - labels, labels), labels)
    assert plural.right == pytest.approx(majority_growth(wrong).right, abs=1e-10)


def test_the_number_of_versions_may_be_large() -> None:
    labels = np.zeros(2, dtype=np.int64)
    predictions = np.zeros((1000, 2), dtype=np.int64)
    predictions[:499, 1] = 1
    predictions[499:520, 1] = 2
    growth = plurality_growth(predictions, labels)
    assert growth.right[0] == pytest.approx((1 + 0.48) / 2)
    assert growth.right[-1] == pytest.approx(0.5)
    assert np.isfinite(growth.right).all()
    with pytest.raises(InputError, match="at most 1000 versions"):
        plurality_growth(np.zeros((1001, 2), dtype=np.int64), labels)


def test_majority_is_what_failures_leave_over() -> None:
    wrong = np.random.default_rng(0).random((9, 300)) < 0.3
    failures = coincident_failures(wrong)
    expected = [1 - failures.majority_failures(n, ties="fail") for n in range(1, 10)]
    assert majority_growth(wrong).right == pytest.approx(expected)
    assert majority_growth(failures.histogram).right == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["majority", "plurality"])
def test_intervals_hold_the_mean_and_narrow_with_more_images(kind: str) -> None:
    randomness = np.random.default_rng(0)
    widths = []
    for images in (100, 2500):
        wrong = randomness.random((7, images)) < randomness.beta(1, 4, images)
        labels = np.zeros(images, dtype=np.int64)
        growth = (
            majority_growth(wrong, resamples=200)
            if kind == "majority"
            else plurality_growth(wrong.astype(np.int64), labels, resamples=200)
        )
        assert growth.low is not None
        assert growth.high is not None
        assert (growth.low <= growth.right).all()
        assert (growth.right <= growth.high).all()
        widths.append(growth.high - growth.low)
    assert (widths[1] < widths[0] / 3).all()


def test_enough_is_the_least_that_is_as_good_from_there_on() -> None:
    wrong = np.random.default_rng(0).random((21, 4000)) < 0.2
    growth = majority_growth(wrong)
    enough = growth.enough(0.001)
    assert enough % 2 == 1
    assert growth.right[enough - 1] >= growth.right[-1] - 0.001
    assert growth.right[enough - 3] < growth.right[-1] - 0.001
    assert growth.enough(1.0) == 1
    assert majority_growth(np.zeros((5, 3), dtype=bool)).enough() == 1


def test_bad_options_are_refused() -> None:
    with pytest.raises(InputError, match="ties"):
        plurality_growth([[0, 1]], [0, 1], ties="first")
