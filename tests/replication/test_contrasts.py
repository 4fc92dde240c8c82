from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from nversion.errors import InputError
from nversion.replication.contrasts import contrast, fewest_pairs, mean_of

FIRST = [0.91, 0.93, 0.95, 0.90, 0.97, 0.96, 0.94, 0.92]
SECOND = [0.90, 0.91, 0.95, 0.88, 0.93, 0.97, 0.91, 0.90]


def draws() -> np.random.Generator:
    return np.random.default_rng(3)


def arm(values: list[float], row: str = "test_accuracy") -> dict[int, dict[str, float]]:
    return {repeat: {row: value} for repeat, value in enumerate(values)}


def test_the_numbers_are_those_of_the_pairs() -> None:
    (found,) = contrast(("a", arm(FIRST)), ("b", arm(SECOND)), draws())
    differences = np.array(FIRST) - np.array(SECOND)
    assert found.pairs == 8
    assert found.difference == pytest.approx(differences.mean())
    assert found.above == pytest.approx(6.5 / 8)
    assert found.effect == pytest.approx(differences.mean() / differences.std(ddof=1))
    assert found.low < found.difference < found.high
    assert found.above_low < found.above < found.above_high


def test_the_permutation_test_is_exact_for_few_pairs() -> None:
    (found,) = contrast(("a", arm(FIRST)), ("b", arm(SECOND)), draws())
    differences = np.array(FIRST) - np.array(SECOND)
    signs = np.array(list(itertools.product([1, -1], repeat=8)))
    sums = np.abs(signs @ differences)
    expected = float((sums >= abs(differences.sum()) - 1e-12).mean())
    assert found.p_value == pytest.approx(expected)


def test_rows_are_corrected_together() -> None:
    rows = {
        repeat: {"test_accuracy": a, "certified_l2": b}
        for repeat, (a, b) in enumerate(zip(FIRST, SECOND, strict=True))
    }
    zero = {repeat: {"test_accuracy": 0.5, "certified_l2": 0.5} for repeat in range(8)}
    first, second = contrast(("a", rows), ("b", zero), draws())
    assert first.p_holm == pytest.approx(2 * 2 / 2**8)
    assert first.verdict == second.verdict == "better"


def test_less_frequent_is_better() -> None:
    row = "adversarial_frequency"
    (found,) = contrast(("a", arm(FIRST, row)), ("b", arm([0.5] * 8, row)), draws())
    assert found.verdict == "worse"


def test_too_few_pairs_say_nothing() -> None:
    few = fewest_pairs(1) - 1
    (found,) = contrast(("a", arm(FIRST[:few])), ("b", arm([0.0] * few)), draws())
    assert (found.verdict, found.p_holm) == ("too few", None)
    # The least p-value there is with so many pairs is above the level.
    assert found.p_value == pytest.approx(2 / 2**few)
    assert found.p_value > 0.05


def test_twins_that_never_differ_are_level() -> None:
    (found,) = contrast(("a", arm(FIRST)), ("b", arm(FIRST)), draws())
    assert (found.difference, found.low, found.high) == (0.0, 0.0, 0.0)
    assert (found.above, found.effect, found.p_value) == (0.5, None, 1.0)
    assert found.verdict == "level"


def test_a_repeat_that_one_arm_lacks_is_left_out() -> None:
    ours = arm(FIRST)
    del ours[2]
    (found,) = contrast(("a", ours), ("b", arm(SECOND)), draws())
    assert found.pairs == 7


def test_a_mean_has_its_bca_interval() -> None:
    found = mean_of(FIRST, draws())
    expected = stats.bootstrap(
        (np.array(FIRST),), np.mean, method="BCa", n_resamples=9_999, rng=draws()
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert mean_of([0.5], draws()).low == 0.5
    with pytest.raises(InputError, match="no network"):
        mean_of([], draws())


def test_more_rows_need_more_pairs() -> None:
    assert [fewest_pairs(rows) for rows in (1, 2, 5, 7)] == [6, 7, 8, 9]
    rows = ("test_accuracy", "certified_l1", "certified_l2", "adversarial_accuracy")
    for pairs in (fewest_pairs(4) - 1, fewest_pairs(4)):
        ours = {repeat: dict.fromkeys(rows, 1.0 + repeat) for repeat in range(pairs)}
        theirs = {repeat: dict.fromkeys(rows, 0.0) for repeat in range(pairs)}
        found = contrast(("a", ours), ("b", theirs), draws())
        # As far apart as can be: the test says so as soon as it is made.
        expected = "better" if pairs == fewest_pairs(4) else "too few"
        assert {item.verdict for item in found} == {expected}
