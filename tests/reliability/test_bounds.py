"""Bounds of a vote, by the mean accuracy and by class; and two ways of making versions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nversion.errors import InputError
from nversion.reliability import (
    class_bounds,
    coincident_failures,
    littlewood_miller,
    majority_bounds,
    popov_strigini,
)

odd_wrongs = hnp.arrays(
    np.bool_,
    st.tuples(st.sampled_from([1, 3, 5, 7]), st.just(24)),
    elements=st.booleans(),
)
LABELS = np.arange(24) % 3


@given(odd_wrongs)
def test_a_majority_lies_within_its_bounds(wrong: Any) -> None:
    least, most = majority_bounds(1 - wrong.mean(), len(wrong))
    right = (2 * (~wrong).sum(axis=0) > len(wrong)).mean()
    assert least - 1e-12 <= right <= most + 1e-12
    by_class = class_bounds(wrong, LABELS)
    assert by_class.lower - 1e-12 <= 1 - right <= by_class.upper + 1e-12
    # What is known by class bounds no worse than what is known of the whole.
    assert 1 - most - 1e-12 <= by_class.lower
    assert by_class.upper <= 1 - least + 1e-12


def test_kunchevas_patterns_reach_the_bounds() -> None:
    assert majority_bounds(0.6, 3) == pytest.approx((0.4, 0.9))


@given(odd_wrongs)
def test_pairs_lie_within_the_bounds_by_class(wrong: Any) -> None:
    bounds = popov_strigini(wrong, LABELS)
    together = coincident_failures(wrong).together
    assert together is not None
    assert (bounds.lower <= together / 24 + 1e-12).all()
    assert (together / 24 <= bounds.upper + 1e-12).all()
    rates = wrong.mean(axis=1)
    assert (bounds.upper <= np.minimum(rates[:, None], rates) + 1e-12).all()


@given(
    hnp.arrays(np.float64, st.integers(1, 9), elements=st.floats(0, 1)),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_the_median_lies_where_most_probabilities_lie(
    values: Any, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    within = (values >= low) & (values <= high)
    if 2 * within.sum() > len(values):
        # Of an even number the median is a mean of the middle two, of which one may lie outside.
        middle = np.sort(values)[[(len(values) - 1) // 2, len(values) // 2]]
        assert low <= middle[0] <= high or low <= middle[1] <= high
        if len(values) % 2:
            assert low <= np.median(values) <= high


def test_littlewood_and_miller() -> None:
    images = 1000
    hard = np.arange(images) < 100
    randomness = np.random.default_rng(0)
    first = hard & (randomness.random((5, images)) < 0.5)
    second = ~hard & (randomness.random((4, images)) < 0.1)
    found = littlewood_miller(first, second)
    assert found.together == 0.0
    assert found.covariance == pytest.approx(-found.first * found.second)
    assert found.correlation < 0
    assert found.diverse
    same = littlewood_miller(first, first)
    assert same.covariance == pytest.approx(first.mean(axis=0).var())
    assert same.correlation == pytest.approx(1.0)
    pairs = coincident_failures(first).pairs / images
    assert same.first_pairs == pytest.approx(pairs)
    assert np.isnan(littlewood_miller(first[:1], second).first_pairs)


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="odd"):
        majority_bounds(0.5, 4)
    with pytest.raises(InputError, match="accuracy"):
        majority_bounds(1.5, 3)
    with pytest.raises(InputError, match="labels"):
        popov_strigini(np.ones((2, 3), dtype=bool), [0, 1])
    with pytest.raises(InputError, match="same images"):
        littlewood_miller(np.ones((2, 3), dtype=bool), np.ones((2, 4), dtype=bool))
