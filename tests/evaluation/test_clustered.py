from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from nversion.errors import InputError
from nversion.evaluation import wilson_interval
from nversion.evaluation.clustered import clustered_gain, clustered_share, holm
from nversion.randomness import numpy_generator

few = settings(deadline=None, max_examples=15)


def draws(seed: int = 0) -> np.random.Generator:
    return numpy_generator(seed, "test")


def cases(count: int, seed: int, share: float = 0.8) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return two classifiers that agree in part, and clusters of uneven sizes."""
    random = np.random.default_rng(seed)
    clusters = random.integers(0, max(count // 5, 2), count)
    first = random.random(count) < share
    second = np.where(random.random(count) < 0.6, first, random.random(count) < share)
    return first, second, clusters


def test_clusters_of_one_image_give_the_ordinary_bootstrap() -> None:
    right = np.arange(200) < 150
    found = clustered_share(right, np.arange(200), draws())
    # The ordinary bootstrap of a share draws from the binomial distribution.
    low, high = stats.binom.ppf([0.025, 0.975], 200, 0.75) / 200
    assert (found.value, found.images, found.clusters) == (0.75, 200, 200)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.006)


def test_whole_clusters_give_the_bootstrap_over_clusters() -> None:
    clusters = np.repeat(np.arange(60), 10)
    right = clusters < 45  # All images of a cluster stand and fall together.
    found = clustered_share(right, clusters, draws())
    low, high = stats.binom.ppf([0.025, 0.975], 60, 0.75) / 60
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.017)
    alone = clustered_share(right, np.arange(600), draws())
    assert (found.high - found.low) > 2.5 * (alone.high - alone.low)


def test_where_nothing_varies_the_interval_counts_clusters() -> None:
    clusters = np.repeat(np.arange(7), 30)
    found = clustered_share(np.ones(210), clusters, draws())
    assert (found.low, found.high) == wilson_interval(7, 7)
    found = clustered_share(np.zeros(210), clusters, draws())
    assert (found.low, found.high) == wilson_interval(0, 7)


@few
@given(st.integers(2, 80), st.integers(0, 99), st.integers(2, 5))
def test_copies_within_a_cluster_change_nothing(count: int, seed: int, copies: int) -> None:
    first, second, clusters = cases(count, seed)
    one = clustered_gain(first, second, clusters, draws())
    often = [np.repeat(c, copies) for c in (first, second, clusters)]
    more = clustered_gain(often[0], often[1], often[2], draws())
    for name in ("first", "second", "difference", "low", "high", "p_value", "clusters"):
        assert getattr(one, name) == pytest.approx(getattr(more, name), abs=1e-12)
    share = clustered_share(first, clusters, draws())
    again = clustered_share(np.repeat(first, copies), np.repeat(clusters, copies), draws())
    assert (share.low, share.high) == pytest.approx((again.low, again.high), abs=1e-12)


@few
@given(st.integers(2, 80), st.integers(0, 99))
def test_names_and_order_of_the_clusters_change_nothing(count: int, seed: int) -> None:
    first, second, clusters = cases(count, seed)
    one = clustered_gain(first, second, clusters, draws())
    order = np.random.default_rng(seed).permutation(count)
    other = clustered_gain(first[order], second[order], clusters[order] * 7 + 3, draws())
    assert (one.difference, one.p_value) == pytest.approx((other.difference, other.p_value))
    assert (one.low, one.high) == pytest.approx((other.low, other.high))


@few
@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 30))
def test_clusters_of_one_image_give_mcnemars_exact_test(ours: int, theirs: int, both: int) -> None:
    if ours + theirs + both == 0 or ours + theirs > 13:
        return
    first = np.array([True] * ours + [False] * theirs + [True] * both)
    second = np.array([False] * ours + [True] * theirs + [True] * both)
    found = clustered_gain(first, second, np.arange(len(first)), draws())
    exact = stats.binomtest(ours, ours + theirs).pvalue if ours + theirs else 1.0
    assert found.p_value == pytest.approx(exact)
    assert found.difference == pytest.approx((ours - theirs) / len(first))


def test_turning_the_two_round_turns_the_sign_and_nothing_else() -> None:
    first, second, clusters = cases(60, 3)
    there, back = (
        clustered_gain(*pair, clusters, draws()) for pair in ((first, second), (second, first))
    )
    assert there.difference == -back.difference
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low), abs=0.01)
    assert there.p_value == pytest.approx(back.p_value, abs=0.03)


def test_a_cluster_counts_once_however_many_of_its_images_differ() -> None:
    clusters = np.repeat(np.arange(3), 100)
    # Three clusters can change sides in eight ways; two of them are as far from 0.
    assert clustered_gain(np.ones(300), np.zeros(300), clusters, draws()).p_value == 0.25
    single = clustered_gain(np.ones(300), np.zeros(300), np.zeros(300, int), draws())
    assert (single.p_value, single.clusters) == (1.0, 1)


def test_equals_are_not_told_apart() -> None:
    first, _, clusters = cases(50, 1)
    same = clustered_gain(first, first, clusters, draws())
    assert (same.difference, same.low, same.high, same.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_the_same_generator_gives_the_same_numbers() -> None:
    first, second, clusters = cases(300, 2)
    assert clustered_gain(first, second, clusters, draws()) == clustered_gain(
        first, second, clusters, draws()
    )


def test_holm_corrects_step_by_step() -> None:
    # 3 x 0.01, 2 x 0.02, 1 x 0.03, none below the one before it.
    assert holm([0.03, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.9, 0.6]) == [1.0, 1.0]
    assert holm([]) == []
    with pytest.raises(InputError, match="p-values"):
        holm([0.5, 1.2])


@few
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_no_correction_and_bonferronis(values: list[float]) -> None:
    corrected = holm(values)
    for before, after in zip(values, corrected, strict=True):
        assert before <= after <= min(1.0, len(values) * before) + 1e-12
    order = np.argsort(values, kind="stable")
    assert np.all(np.diff(np.array(corrected)[order]) >= 0)


@pytest.mark.parametrize(
    ("values", "clusters", "words"),
    [
        ([1, 0], [1], "of one length"),
        ([], np.zeros(0, int), "no images"),
        ([1.0, np.nan], [0, 1], "finite"),
        ([1.0, 0.0], [0.5, 1.0], "whole numbers"),
    ],
)
def test_malformed_values_are_refused(values: Any, clusters: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        clustered_share(np.asarray(values), np.asarray(clusters), draws())
