"""Medians with intervals by order statistics: exact oracles, and how often they hold."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from nversion.evidence.medians import median_with_interval

VALUES = st.one_of(st.none(), st.floats(0, 5))


def test_known_places() -> None:
    # Tables of the sign test give the 2nd and 9th of 10 values at 97.9 %, and none of 5 at 95 %.
    assert median_with_interval(range(1, 11)) == (5, 2, 9)
    assert median_with_interval(range(1, 7)) == (3, 1, 6)
    assert median_with_interval(range(1, 6)) == (3, None, None)
    assert median_with_interval([]) == (None, None, None)


def test_infinite_values_leave_an_end_open() -> None:
    assert median_with_interval([1, 2, 3, 4, 5, 6, 7, None, None, None]) == (5, 2, None)
    assert median_with_interval([1] + [None] * 9) == (None, None, None)


@given(st.lists(VALUES, max_size=60))
def test_the_interval_holds_the_median_and_has_its_level(values: list[float | None]) -> None:
    median, low, high = median_with_interval(values)
    if low is not None:
        assert median is None or low <= median
        assert high is None or median is None or median <= high
        ordered = sorted(math.inf if value is None else value for value in values)
        place = ordered.index(low) + 1
        assert binom.cdf(place - 1, len(values), 0.5) <= 0.025


def test_the_interval_holds_the_true_median_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        _, low, high = median_with_interval(rng.normal(size=25).tolist())
        assert low is not None
        assert high is not None
        held += low <= 0 <= high
    # At least 95 % by construction (95.7 % of 25); fewer than 92 % has odds of 1 in 200.
    assert held >= 368
