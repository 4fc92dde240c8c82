from __future__ import annotations

import itertools
import random

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
def test_wilson_agrees_with_scipy_and_stays_in_range(tries: int, share: float) -> None:
    hits = round(share * tries)
    low, high = wilson(hits / tries, tries)
    expected = stats.binomtest(hits, tries).proportion_ci(0.95, method="wilson")
    assert low == pytest.approx(expected.low, abs=1e-12)
    assert high == pytest.approx(expected.high, abs=1e-12)
    assert 0.0 <= low <= hits / tries + 1e-12
    assert hits / tries - 1e-12 <= high <= 1.0


def test_distinguishable_needs_more_images_for_smaller_differences() -> None:
    assert distinguishable(0.9, 0.8, 1000)
    assert distinguishable(0.8, 0.9, 1000)
    assert not distinguishable(0.9, 0.8, 20)
    assert not distinguishable(0.9, 0.9, 10**6)


def test_paired_difference_is_students_interval() -> None:
    rng = np.random.default_rng(3)
    first, second = rng.normal(1.0, 1.0, 40), rng.normal(0.5, 1.0, 40)
    mean, low, high = paired_difference(list(first), list(second))
    expected = stats.ttest_rel(first, second).confidence_interval(0.95)
    assert mean == pytest.approx((first - second).mean())
    assert (low, high) == pytest.approx((expected.low, expected.high), rel=1e-12)
    assert paired_difference([1.0], [2.0]) is None
    assert paired_difference([1.0, 2.0], [2.0]) is None


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (
            [1.5, 2.25, 3.0, 4.5],
            [1.0, 2.5, 2.0, 3.25],
            (0.625, -0.42749518557462896, 1.677495185574629),
        ),
        # All differences alike: there is no spread.
        ([1, 2, 3], [0, 1, 2], (1.0, 1.0, 1.0)),
        ([1, 1], [1, 1], (0.0, 0.0, 0.0)),
    ],
)
def test_paired_differences_are_what_they_were(
    first: list[float], second: list[float], expected: tuple[float, ...]
) -> None:
    assert paired_difference(first, second) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("x", "y", "rho", "p"),
    [
        ([3, 1, 4, 1, 5], [2, 7, 1, 8, 2], -0.7894736842105263, 0.13333333333333333),
        (
            [3, 1, 4, 1, 5, 9, 2, 6],
            [2, 7, 1, 8, 2, 8, 1, 8],
            0.19885368120992464,
            0.6291666666666667,
        ),
        (
            [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5],
            [2, 7, 1, 8, 2, 8, 1, 8, 2, 8, 4],
            0.1384567651467695,
            0.6847503048108998,
        ),
        (range(12), range(12), 1.0, 0.0),
        (range(12), range(12, 0, -1), -1.0, 0.0),
        (range(10), range(10), 1.0, 0.0),
    ],
)
def test_rank_correlations_are_what_they_were(
    x: list[float], y: list[float], rho: float, p: float
) -> None:
    found = rank_correlation(list(x), list(y))
    assert found.rho == pytest.approx(rho, rel=1e-12)
    assert found.p == pytest.approx(p, abs=1e-12)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=6))
def test_the_exact_p_value_counts_every_order(pairs: list[tuple[int, int]]) -> None:
    x, y = [a for a, _ in pairs], [b for _, b in pairs]
    found = rank_correlation(x, y)
    if found is None:
        assert len(set(x)) == 1 or len(set(y)) == 1
        return
    orders = [stats.spearmanr(order, y).statistic for order in itertools.permutations(x)]
    assert found.p == pytest.approx(np.mean(np.abs(orders) >= abs(found.rho) - 1e-9), abs=1e-12)


def test_spearman_agrees_with_scipy_beyond_eight_pairs_ties_included() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=30)
    y = np.round(x + rng.normal(size=30), 0)
    found = rank_correlation(list(x), list(y))
    expected = stats.spearmanr(x, y)
    assert found.rho == pytest.approx(expected.statistic)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.pairs == 30


def test_spearman_is_exact_for_few_pairs() -> None:
    # Of the 24 orders of four values, only the sorted one and its reverse reach |rho| = 1.
    found = rank_correlation([1.0, 2.0, 3.0, 4.0], [0.1, 0.2, 0.3, 0.4])
    assert found.rho == pytest.approx(1.0)
    assert found.p == pytest.approx(2 / 24)
    # Of the 6 orders of three values, four have |rho| = 1/2 and two have 1: all reach 1/2.
    assert rank_correlation([1.0, 2.0, 3.0], [1.0, 3.0, 2.0]).p == pytest.approx(1.0)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 20), min_size=3, max_size=7), st.randoms())
def test_spearman_changes_sign_and_nothing_else_when_one_side_is_reversed(
    x: list[float], random: random.Random
) -> None:
    y = random.sample(range(100), len(x))
    there, back = rank_correlation(x, y), rank_correlation(x, [-value for value in y])
    if there is None:
        assert len(set(x)) == 1
    else:
        assert there.rho == pytest.approx(-back.rho)
        assert there.p == pytest.approx(back.p)


def test_spearman_says_nothing_without_variation() -> None:
    assert rank_correlation([1.0, 2.0], [2.0, 1.0]) is None
    assert rank_correlation([1.0, 1.0, 1.0, 1.0], [1.0, 2.0, 3.0, 4.0]) is None
