import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from nversion.errors import InputError
from nversion.evaluation import Rank, rank, spearman

NUMBERS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=2, max_size=12)


@pytest.mark.parametrize(
    ("value", "others", "larger", "expected"),
    [
        (0.9, [0.1, 0.5], True, Rank(1, 3, 0)),
        (0.5, [0.9, 0.5, 0.5, 0.1], True, Rank(2, 5, 2)),
        (0.5, [0.9, 0.5, 0.5, 0.1], False, Rank(2, 5, 2)),
        (0.9, [0.1, 0.5], False, Rank(3, 3, 0)),
        (math.inf, [1.0], True, Rank(1, 2, 0)),
        (0.3, [], True, Rank(1, 1, 0)),
    ],
)
def test_ranks(value: float, others: list[float], larger: bool, expected: Rank) -> None:
    assert rank(value, others, larger_is_better=larger) == expected


@given(values=st.lists(st.integers(0, 5), min_size=1, max_size=8), value=st.integers(0, 5))
@settings(deadline=None, max_examples=50)
def test_from_the_best_and_from_the_worst_side_all_are_counted(
    values: list[int], value: int
) -> None:
    best, worst = rank(value, values), rank(value, values, larger_is_better=False)
    assert best.rank + worst.rank + best.tied == best.of + 1


@given(pairs=NUMBERS)
@settings(deadline=None, max_examples=50)
def test_spearman_is_what_scipy_has(pairs: list[tuple[int, int]]) -> None:
    x, y = [float(a) for a, _ in pairs], [float(b) for _, b in pairs]
    assume(len(set(x)) > 1 and len(set(y)) > 1)
    assert spearman(x, y) == pytest.approx(float(spearmanr(x, y).statistic), abs=1e-12)


def test_spearman_of_any_rising_function_is_one() -> None:
    x = [0.1, 0.4, 0.2, 0.9]
    assert spearman(x, [math.exp(v) for v in x]) == 1.0
    assert spearman(x, [-v for v in x]) == -1.0


def test_undefined_correlations_are_none() -> None:
    assert spearman([1.0], [2.0]) is None
    assert spearman([1.0, 1.0], [2.0, 3.0]) is None


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="NaN"):
        rank(math.nan, [1.0])
    with pytest.raises(InputError, match="NaN"):
        spearman([1.0, math.nan], [1.0, 2.0])
    with pytest.raises(InputError, match="one length"):
        spearman([1.0], [1.0, 2.0])
