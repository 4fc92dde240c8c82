from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from nversion.evaluation.comparisons import (
    distinguishable,
    paired_difference,
    rank_correlation,
    wilson,
)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 5000), st.floats(0, 1))
def test_wilson_agrees_with_scipy_and_stays_in_range(tries, share):
    hits = round(share * tries)
    low, high = wilson(hits / tries, tries)
    expected = stats.binomtest(hits, tries).proportion_ci(0.95, method="wilson")
    assert low == pytest.approx(expected.low, abs=1e-9)
    assert high == pytest.approx(expected.high, abs=1e-9)
    assert 0.0 <= low <= hits / tries + 1e-12
    assert hits / tries - 1e-12 <= high <= 1.0


def test_distinguishable_needs_more_images_for_smaller_differences():
    assert distinguishable(0.9, 0.8, 1000)
    assert distinguishable(0.8, 0.9, 1000)
    assert not distinguishable(0.9, 0.8, 20)
    assert not distinguishable(0.9, 0.9, 10**6)


def test_paired_difference_is_students_interval():
    rng = np.random.default_rng(3)
    first, second = rng.normal(1.0, 1.0, 40), rng.normal(0.5, 1.0, 40)
    mean, low, high = paired_difference(list(first), list(second))
    expected = stats.ttest_rel(first, second).confidence_interval(0.95)
    assert mean == pytest.approx((first - second).mean())
    assert (low, high) == pytest.approx((expected.low, expected.high))
    assert paired_difference([1.0], [2.0]) is None
    assert paired_difference([1.0, 2.0], [2.0]) is None


def test_spearman_agrees_with_scipy_beyond_eight_pairs_ties_included():
    rng = np.random.default_rng(5)
    x = rng.normal(size=30)
    y = np.round(x + rng.normal(size=30), 0)
    found = rank_correlation(list(x), list(y))
    expected = stats.spearmanr(x, y)
    assert found.rho == pytest.approx(expected.statistic)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.pairs == 30


def test_spearman_is_exact_for_few_pairs():
    # Of the 24 orders of four values, only the sorted one and its reverse reach |rho| = 1.
    found = rank_correlation([1.0, 2.0, 3.0, 4.0], [0.1, 0.2, 0.3, 0.4])
    assert found.rho == pytest.approx(1.0)
    assert found.p == pytest.approx(2 / 24)
    # Of the 6 orders of three values, four have |rho| = 1/2 and two have 1: all reach 1/2.
    assert rank_correlation([1.0, 2.0, 3.0], [1.0, 3.0, 2.0]).p == pytest.approx(1.0)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 20), min_size=3, max_size=7), st.randoms())
def test_spearman_changes_sign_and_nothing_else_when_one_side_is_reversed(x, random):
    y = random.sample(range(100), len(x))
    there, back = rank_correlation(x, y), rank_correlation(x, [-value for value in y])
    if there is None:
        assert len(set(x)) == 1
    else:
        assert there.rho == pytest.approx(-back.rho)
        assert there.p == pytest.approx(back.p)


def test_spearman_says_nothing_without_variation():
    assert rank_correlation([1.0, 2.0], [2.0, 1.0]) is None
    assert rank_correlation([1.0, 1.0, 1.0, 1.0], [1.0, 2.0, 3.0, 4.0]) is None
