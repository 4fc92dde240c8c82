from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from nversion.errors import InputError
from nversion.evaluation.whole import holding, median_distance

distances = st.lists(st.one_of(st.floats(0, 30), st.just(math.inf)), min_size=1, max_size=60)


@given(distances)
def test_the_median_lies_in_its_interval(values: list[float]) -> None:
    found = median_distance(values)
    assert found.low <= found.value <= found.high
    assert found.value == np.median(np.array(values)) or math.isinf(found.value)


@pytest.mark.parametrize("count", [6, 20, 30, 101])
def test_the_interval_has_its_level_whatever_the_distribution(count: int) -> None:
    """Its ends are order statistics: how often they lie about the median is a binomial sum."""
    found = median_distance(np.arange(1, count + 1))
    low, high = int(found.low), int(found.high)
    below = stats.binom.cdf(low - 1, count, 0.5)
    above = stats.binom.sf(high - 1, count, 0.5)
    assert below + above <= 0.05
    # One step further in on both sides would be too narrow.
    assert stats.binom.cdf(low, count, 0.5) > 0.025


def test_few_images_have_no_interval() -> None:
    found = median_distance([1.0, 2.0, 3.0])
    assert (found.value, found.low, found.high) == (2.0, 0.0, math.inf)


def test_what_withstands_is_infinite() -> None:
    assert math.isinf(median_distance([1.0, math.inf, math.inf]).value)
    assert math.isinf(median_distance([1.0, math.inf]).value)


def test_an_image_that_falls_at_the_radius_does_not_hold() -> None:
    at = holding([0.0, 0.5, 1.0, math.inf], [0.0, 0.5, 2.0])
    assert [one.value for one in at] == [0.75, 0.5, 0.25]
    assert all(one.low <= one.value <= one.high for one in at)


@pytest.mark.parametrize("values", [[], [math.nan], [-1.0], [[1.0]]])
def test_what_is_no_distance_is_refused(values: list[float]) -> None:
    with pytest.raises(InputError, match="distances must be"):
        median_distance(values)
