"""Diversity: Kuncheva's patterns, identities that must hold, and what is undefined."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import nversion as nv
from nversion.errors import InputError
from nversion.measures import MATRICES, NUMBERS

TRUE_LABELS = np.ones(10, dtype=np.int64)


def pattern(*rows: str) -> Any:
    """Return predictions of three versions, 1 where right, from images' patterns."""
    return np.array([[int(one) for one in row] for row in rows]).T


SUCCESS = pattern(*["110"] * 3, *["101"] * 3, *["011"] * 3, "000")
FAILURE = pattern(*["111"] * 4, *["100"] * 2, *["010"] * 2, *["001"] * 2)

correctness = hnp.arrays(
    np.bool_, st.tuples(st.integers(2, 7), st.integers(1, 40)), elements=st.booleans()
)


def measures_of(right: Any, **options: Any) -> nv.Diversity:
    return nv.diversity(right.astype(np.int64), np.ones(right.shape[1], dtype=np.int64), **options)


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        (
            SUCCESS,
            {
                "q": -1 / 2, "correlation": -1 / 4, "disagreement": 0.6, "double_fault": 0.1,
                "kohavi_wolpert": 0.2, "entropy": 0.9, "interrater_kappa": -1 / 4,
                "generalised": 0.75, "coincident_failure": 0.9,
            },
        ),
        (
            FAILURE,
            {
                "q": 1 / 3, "correlation": 1 / 6, "disagreement": 0.4, "double_fault": 0.2,
                "kohavi_wolpert": 2 / 15, "entropy": 0.6, "interrater_kappa": 1 / 6,
                "generalised": 0.5, "coincident_failure": 0.5,
            },
        ),
    ],
)  # fmt: skip
def test_kunchevas_patterns(outputs: Any, expected: dict[str, float]) -> None:
    measures = nv.diversity(outputs, TRUE_LABELS)
    assert measures.accuracies == pytest.approx([0.6, 0.6, 0.6])
    for name, value in expected.items():
        assert measures.mean(name) == pytest.approx(value, abs=1e-14), name


@given(correctness)
def test_the_identities_hold(right: Any) -> None:
    measures = measures_of(right)
    versions = len(right)
    p = right.mean()
    disagreement = measures.mean("disagreement")
    assert measures.kohavi_wolpert == pytest.approx((versions - 1) / (2 * versions) * disagreement)
    if 0 < p < 1:
        assert measures.interrater_kappa == pytest.approx(1 - disagreement / (2 * p * (1 - p)))
    else:
        assert np.isnan(measures.interrater_kappa)
    assert measures.difficulty == pytest.approx(right.mean(axis=0).var())


@given(correctness)
def test_the_matrices_are_the_measures_of_each_pair(right: Any) -> None:
    measures = measures_of(right)
    for i, one in enumerate(right):
        for j, other in enumerate(right):
            a, b = int((one & other).sum()), int((one & ~other).sum())
            c, d = int((~one & other).sum()), int((~one & ~other).sum())
            n = a + b + c + d
            assert measures.disagreement[i, j] == pytest.approx((b + c) / n)
            assert measures.double_fault[i, j] == pytest.approx(d / n)
            expected = (a * d - b * c) / (a * d + b * c) if a * d + b * c else np.nan
            assert measures.q[i, j] == pytest.approx(expected, nan_ok=True)
            varying = 0 < one.sum() < n and 0 < other.sum() < n
            known = np.corrcoef(one, other)[0, 1] if varying else np.nan
            assert measures.correlation[i, j] == pytest.approx(known, nan_ok=True, abs=1e-12)


@given(correctness, st.randoms(use_true_random=False))
def test_the_order_of_versions_and_images_changes_nothing(right: Any, random: Any) -> None:
    versions, images = list(range(len(right))), list(range(right.shape[1]))
    random.shuffle(versions)
    random.shuffle(images)
    before, after = measures_of(right), measures_of(right[versions][:, images])
    for name in MATRICES:
        expected = getattr(before, name)[np.ix_(versions, versions)]
        np.testing.assert_array_equal(getattr(after, name), expected)
    for name in NUMBERS:
        assert after.mean(name) == pytest.approx(before.mean(name), abs=1e-12, nan_ok=True)


@given(correctness)
def test_measures_keep_within_their_ranges(right: Any) -> None:
    measures = measures_of(right)
    for name in ("q", "correlation", "kappa"):
        values = getattr(measures, name)
        assert (np.isnan(values) | ((values >= -1 - 1e-12) & (values <= 1 + 1e-12))).all(), name
    for name in ("entropy", "kohavi_wolpert", "difficulty", "generalised", "coincident_failure"):
        assert np.isnan(measures.mean(name)) or -1e-12 <= measures.mean(name) <= 1 + 1e-12, name


@pytest.mark.parametrize("right", [True, False])
def test_where_all_are_right_or_wrong_nothing_divides_by_zero(right: bool) -> None:
    measures = measures_of(np.full((3, 8), right), resamples=20)
    assert np.isnan(measures.mean("q"))
    assert np.isnan(measures.interrater_kappa)
    assert measures.mean("disagreement") == 0.0
    assert measures.coincident_failure == 0.0
    assert np.isnan(measures.interval("q")).all()
    json.dumps(measures.to_json(), allow_nan=False)


def test_tensors_arrays_and_scores_give_the_same() -> None:
    scores = np.random.default_rng(3).random((4, 30, 5)).astype(np.float32)
    labels = np.random.default_rng(4).integers(0, 5, 30)
    from_array = nv.diversity(scores, labels).to_json()
    assert nv.diversity(torch.from_numpy(scores), torch.from_numpy(labels)).to_json() == from_array
    assert nv.diversity(scores.argmax(axis=2), labels).to_json() == from_array
    listed = [torch.from_numpy(one) for one in scores]
    assert nv.diversity(listed, labels.tolist()).to_json() == from_array


def test_abstentions_are_counted_apart_and_are_not_right() -> None:
    measures = nv.diversity([[0, -1, 1], [-1, -1, 1]], [0, 1, 1])
    assert measures.abstentions.tolist() == [1, 2]
    assert measures.accuracies == pytest.approx([2 / 3, 1 / 3])


@pytest.mark.parametrize("name", [*MATRICES, *NUMBERS])
def test_intervals_hold_the_measure_and_narrow_with_more_images(name: str) -> None:
    randomness = np.random.default_rng(0)
    widths = []
    for images in (200, 5000):
        right = randomness.random((4, images)) < randomness.beta(3, 1, images)
        measures = measures_of(right, resamples=300)
        low, high = measures.interval(name)
        assert low <= measures.mean(name) <= high
        widths.append(high - low)
    assert widths[1] < widths[0] / 2
    if name in MATRICES:
        lower, upper = measures.pair_intervals(name)
        value = getattr(measures, name)
        pairs = np.triu_indices(4, 1)
        assert (lower[pairs] <= value[pairs]).all()
        assert (value[pairs] <= upper[pairs]).all()
        np.testing.assert_array_equal(lower, lower.T)


def test_intervals_are_the_bootstraps() -> None:
    right = np.random.default_rng(1).random((3, 80)) < 0.7
    low, high = measures_of(right, resamples=4000).interval("disagreement")
    drawn = np.random.default_rng(2).integers(0, 80, (4000, 80))
    differs = np.mean([right[i] != right[j] for i, j in ((0, 1), (0, 2), (1, 2))], axis=0)
    expected = np.quantile(differs[drawn].mean(axis=1), [0.025, 0.975])
    assert [low, high] == pytest.approx(expected, abs=0.015)


def test_one_seed_gives_the_same_intervals() -> None:
    right = np.random.default_rng(1).random((3, 80)) < 0.7
    first, again, other = (measures_of(right, resamples=50, seed=seed) for seed in (1, 1, 2))
    assert first.to_json() == again.to_json()
    assert first.to_json() != other.to_json()


@pytest.mark.parametrize(
    ("outputs", "labels", "message"),
    [
        ([[0, 1]], [0, 1], "two versions at least"),
        ([[0, 1], [1, 0]], [0], r"labels must be \[count\]"),
        ([[0, 1], [1, 0]], [0, -1], "labels must be at least 0"),
        ([[0, -2], [1, 0]], [0, 1], "-1 is an abstention"),
        ([[0.5, 1.0], [1.0, 0.0]], [0, 1], "whole numbers"),
        (np.full((2, 2, 3), np.nan), [0, 1], "NaN: version 0, image 0"),
        (np.zeros((2, 2, 3)), [0, 3], "outputs have 3 classes"),
        (np.zeros((2, 2, 3), dtype=int), [0, 1], "must be floating"),
        (np.zeros((2, 0)), [], "at least one of each"),
        ([["a", "b"], ["b", "a"]], [0, 1], "must hold numbers"),
        ([[0, 1], [1]], [0, 1], "differ in their shape"),
    ],
)
def test_bad_input_is_refused(outputs: Any, labels: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        nv.diversity(outputs, labels)


def test_unknown_measures_and_missing_intervals_are_named() -> None:
    measures = nv.diversity(SUCCESS, TRUE_LABELS)
    with pytest.raises(InputError, match="did you mean 'entropy'"):
        measures.mean("entropie")
    with pytest.raises(InputError, match="resamples=1000"):
        measures.interval("q")
    with pytest.raises(InputError, match="resamples"):
        nv.diversity(SUCCESS, TRUE_LABELS, resamples=1)
    with pytest.raises(InputError, match="level"):
        nv.diversity(SUCCESS, TRUE_LABELS, resamples=10, level=1.0)


def test_memory_is_flat_in_the_number_of_pairs() -> None:
    randomness = np.random.default_rng(0)
    right = (randomness.random((60, 2000)) < 0.9).astype(np.int64)
    labels = np.ones(2000, dtype=np.int64)
    tracemalloc.start()
    nv.diversity(right, labels, resamples=100)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6


def test_images_that_belong_together_are_drawn_together() -> None:
    draws = np.random.default_rng(3)
    predictions, labels = draws.integers(0, 3, (4, 60)), draws.integers(0, 3, 60)
    alone = nv.diversity(predictions, labels, resamples=200, clusters=np.arange(60))
    twice = nv.diversity(
        predictions.repeat(2, axis=1), labels.repeat(2), resamples=200, clusters=np.arange(120) // 2
    )
    for name in ("correlation", "double_fault", "entropy", "difficulty"):
        assert twice.interval(name) == pytest.approx(alone.interval(name))
    several = nv.diversity(predictions.repeat(2, axis=1), labels.repeat(2), resamples=200).interval(
        "disagreement"
    )
    low, high = twice.interval("disagreement")
    assert high - low > several[1] - several[0]


def test_clusters_are_one_number_for_each_image() -> None:
    with pytest.raises(InputError, match=r"clusters must be integers \[count\], one for each of 4"):
        nv.diversity([[0, 1, 1, 0], [0, 1, 0, 0]], [0, 1, 1, 1], resamples=9, clusters=[0, 1])
