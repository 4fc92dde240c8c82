"""Coincident failures: Knight and Leveson's redone experiment, exact laws, and what is refused.

The counts of the 48 versions on 10^6 inputs, K, what independence expects, z, P0, P1, P2+ and the
mean failures of triples are of ASSERT-KTH's Knight-Leveson-Redux (MIT). The numbers marked as ours
are derived from its histogram.
"""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

import nversion as nv
from nversion.errors import InputError
from nversion.reliability import independent_failures

HISTOGRAM = {0: 988_536, 1: 11_035, 2: 10, 18: 419}
FAILURES = [0] * 27 + [10] * 2 + [419] * 16 + [435, 969, 10_469]

wrongs = hnp.arrays(
    np.bool_, st.tuples(st.integers(2, 7), st.integers(1, 30)), elements=st.booleans()
)


@pytest.fixture(scope="module")
def redux() -> nv.CoincidentFailures:
    return nv.coincident_failures.from_counts(HISTOGRAM, FAILURES)


def test_the_test_of_knight_and_leveson(redux: nv.CoincidentFailures) -> None:
    assert (redux.versions, redux.images) == (48, 10**6)
    assert redux.coincidences == 429
    assert redux.expected_coincidences == pytest.approx(115.36, abs=5e-3)
    # Theirs takes P2+ as 1 - P0 - P1, which loses five digits; ours adds it up.
    assert redux.knight_leveson_z == pytest.approx(29.203226353407388, rel=1e-10)
    assert redux.independent[0] == pytest.approx(0.9815187570220899, rel=1e-14)
    assert redux.independent[1] == pytest.approx(0.018365883578378435, rel=1e-14)
    assert redux.independent[2:].sum() == pytest.approx(1.1535939953166013e-4, rel=1e-10)
    assert redux.knight_leveson_p < 1e-100


@pytest.mark.parametrize(
    ("n", "images"),
    # Of triples as published (130.99), the others ours.
    [(3, 130.98832), (5, 111.41855), (7, 95.25882), (9, 81.29149)],
)
def test_majorities_of_some_of_them(redux: nv.CoincidentFailures, n: int, images: float) -> None:
    assert redux.majority_failures(n) * redux.images == pytest.approx(images, abs=5e-6)


def test_eckhardt_and_lee(redux: nv.CoincidentFailures) -> None:
    """All of these are ours."""
    assert redux.pairs == pytest.approx(56.84131, abs=5e-6)
    assert redux.rate == pytest.approx(3.874375e-4, rel=1e-12)
    assert redux.pairs / redux.images == pytest.approx(5.684131205673759e-5, rel=1e-12)
    assert redux.mean_square_difficulty == pytest.approx(6.373e-5, rel=1e-4)
    assert redux.correlation == pytest.approx(0.14638, abs=5e-6)
    assert redux.effective_versions == pytest.approx(6.09, abs=5e-3)


def test_the_beta_binomial_is_rejected_and_never_used(redux: nv.CoincidentFailures) -> None:
    fit = redux.beta_binomial
    assert fit is not None
    assert fit.coincidences == pytest.approx(4196, abs=0.5)  # Ours.
    assert fit.rejected
    assert not fit.usable
    with pytest.raises(InputError, match="is rejected"):
        fit.majority_failures(3)


def test_a_beta_binomial_that_fits_predicts() -> None:
    randomness = np.random.default_rng(0)
    wrong = randomness.random((12, 20_000)) < randomness.beta(0.5, 4.0, 20_000)
    found = nv.coincident_failures(wrong)
    fit = found.beta_binomial
    assert fit is not None
    assert fit.usable
    assert [fit.alpha, fit.beta] == pytest.approx([0.5, 4.0], rel=0.1)
    for n in (1, 3, 11):
        assert fit.majority_failures(n) == pytest.approx(found.majority_failures(n), abs=5e-3)
    assert fit.majority_failures(101) < fit.majority_failures(11)


def test_what_cannot_be_fitted_or_tested_predicts_nothing() -> None:
    assert nv.coincident_failures(np.zeros((3, 9), dtype=bool)).beta_binomial is None
    assert nv.coincident_failures(np.ones((3, 9), dtype=bool)).beta_binomial is None
    few = nv.coincident_failures(np.eye(3, 9, dtype=bool)).beta_binomial
    assert few is not None
    assert not few.usable
    assert not few.rejected
    with pytest.raises(InputError, match="too few different numbers"):
        few.majority_failures(3)


@given(wrongs)
def test_majority_failures_are_the_mean_over_all_subsets(wrong: Any) -> None:
    found = nv.coincident_failures(wrong)
    versions = len(wrong)
    for n in range(1, versions + 1):
        chosen = [
            wrong[list(one)].sum(axis=0) for one in itertools.combinations(range(versions), n)
        ]
        assert len(chosen) == math.comb(versions, n)
        more = np.mean([failing * 2 > n for failing in chosen])
        half = np.mean([failing * 2 >= n for failing in chosen])
        assert found.majority_failures(n) == pytest.approx(more, abs=1e-12)
        assert found.majority_failures(n, ties="fail") == pytest.approx(half, abs=1e-12)


def test_majority_failures_are_sums_of_hypergeometric_tails() -> None:
    histogram = np.random.default_rng(0).integers(0, 100, 102)
    found = nv.coincident_failures.from_counts(histogram, _any_failures(histogram))
    numbers = np.arange(102)
    for n in (1, 2, 51, 100, 101):
        tails = stats.hypergeom.sf(n // 2, 101, numbers, n)
        expected = float(histogram @ tails) / histogram.sum()
        assert found.majority_failures(n) == pytest.approx(expected, rel=1e-10)


def _any_failures(histogram: Any) -> Any:
    """Return failures of versions that a histogram could have."""
    versions, total = len(histogram) - 1, int(np.arange(len(histogram)) @ histogram)
    return [total // versions + (place < total % versions) for place in range(versions)]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_independence_is_the_poisson_binomial(rates: list[float]) -> None:
    found = independent_failures(np.array(rates))
    expected = np.zeros(len(rates) + 1)
    for outcome in itertools.product((0, 1), repeat=len(rates)):
        chances = [p if failed else 1 - p for failed, p in zip(outcome, rates, strict=True)]
        expected[sum(outcome)] += math.prod(chances)
    assert found == pytest.approx(expected, abs=1e-12)
    assert found.sum() == pytest.approx(1.0)


def test_independent_versions_are_not_rejected_and_count_in_full() -> None:
    wrong = np.random.default_rng(5).random((9, 40_000)) < np.linspace(0.02, 0.1, 9)[:, None]
    found = nv.coincident_failures(wrong)
    assert abs(found.knight_leveson_z) < 3
    assert found.dispersion == pytest.approx(1.0, abs=0.03)
    assert found.effective_versions == pytest.approx(9, rel=0.1)


def test_equal_versions_count_as_one() -> None:
    wrong = np.tile(np.random.default_rng(5).random(500) < 0.1, (6, 1))
    found = nv.coincident_failures(wrong)
    assert found.correlation == pytest.approx(1.0)
    assert found.effective_versions == pytest.approx(1.0)
    assert found.dispersion > 5


def test_classes_that_differ_in_difficulty_explain_coincidences() -> None:
    randomness = np.random.default_rng(2)
    labels = randomness.integers(0, 2, 20_000)
    wrong = randomness.random((8, 20_000)) < np.where(labels == 0, 0.01, 0.2)
    found = nv.coincident_failures(wrong, labels)
    assert found.knight_leveson_z > 10
    assert abs(found.within_classes_z) < 3
    assert set(found.by_class) == {0, 1}
    assert sum(part.images for part in found.by_class.values()) == 20_000
    assert found.to_json()["within_classes_z"] == found.within_classes_z


@settings(max_examples=20, deadline=None)
@given(wrongs)
def test_counts_give_what_failures_give(wrong: Any) -> None:
    found = nv.coincident_failures(torch.from_numpy(wrong))
    again = nv.coincident_failures.from_counts(found.histogram, found.failures)
    assert again.to_json() == found.to_json()
    json.dumps(found.to_json(), allow_nan=False)
    assert found.together is not None
    pairs = np.triu_indices(len(wrong), 1)
    assert found.pairs == pytest.approx(found.together[pairs].mean())


def test_failures_that_even_out_count_as_infinitely_many() -> None:
    wrong = np.array([[True, False], [False, True]])
    assert nv.coincident_failures(wrong).effective_versions == math.inf


@pytest.mark.parametrize("failed", [True, False])
def test_where_all_fail_or_none_does_nothing_divides_by_zero(failed: bool) -> None:
    found = nv.coincident_failures(np.full((3, 5), failed))
    assert np.isnan(found.correlation)
    assert np.isnan(found.knight_leveson_z)
    assert np.isnan(found.dispersion)
    assert found.majority_failures(3) == float(failed)
    json.dumps(found.to_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("histogram", "failures", "message"),
    [
        ([5, 1], [1, 0], r"\[versions \+ 1\]"),
        ([5, 1, 0], [1, 1], "has 1 failures, but the versions have 2"),
        ([5, 1, 0], [-1, 2], "counts"),
        ([5, 1.5, 0], [1, 1], "counts"),
        ([0, 0, 0], [0, 0], "0 images"),
        ({3: 1}, [1, 1], "3 of 2 versions"),
    ],
)
def test_counts_that_contradict_are_refused(histogram: Any, failures: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        nv.coincident_failures.from_counts(histogram, failures)


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="say predictions != labels"):
        nv.coincident_failures(np.array([[0, 3]]))
    with pytest.raises(InputError, match="bool"):
        nv.coincident_failures(np.array([True, False]))
    with pytest.raises(InputError, match="labels must be integers"):
        nv.coincident_failures(np.ones((2, 3), dtype=bool), [0, 1])
    found = nv.coincident_failures(np.ones((2, 3), dtype=bool))
    with pytest.raises(InputError, match="between 1 and the 2 versions"):
        found.majority_failures(3)
    with pytest.raises(InputError, match="ties"):
        found.majority_failures(2, ties="half")
    with pytest.raises(InputError, match="give labels"):
        _ = found.within_classes_z
    with pytest.raises(InputError, match="two versions"):
        _ = nv.coincident_failures(np.ones((1, 3), dtype=bool)).pairs
