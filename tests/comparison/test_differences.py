"""Intervals of differences: Newcombe's for shares as the exact case, and their symmetries."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nversion.adversarial.intervals import wilson_interval
from nversion.comparison.differences import difference
from nversion.evidence.record import Interval, Metric


def metric(value: float | None, low: float | None = None, high: float | None = None) -> Metric:
    return Metric(
        key=None,
        name="accuracy",
        subject="program",
        property="performance",
        approach="statistical",
        value=value,
        unit="share",
        interval=None if low is None and high is None else Interval(low=low, high=high, method="m"),
        method="counted",
    )


def share(hits: int, tries: int) -> Metric:
    return metric(hits / tries, *wilson_interval(hits, tries))


def test_of_shares_it_is_newcombes_tenth_method() -> None:
    # Newcombe, Statistics in Medicine 17 (1998), table II (a), row 10: 56/70 less 48/80.
    found = difference(share(48, 80), share(56, 70))
    assert found is not None
    assert (found.low, found.high) == (
        pytest.approx(0.0524, abs=5e-5),
        pytest.approx(0.3339, abs=5e-5),
    )
    assert found.clear


@given(st.integers(0, 50), st.integers(0, 50))
def test_it_turns_with_the_order(one: int, two: int) -> None:
    there, back = (
        difference(share(one, 50), share(two, 50)),
        difference(share(two, 50), share(one, 50)),
    )
    assert there is not None
    assert back is not None
    assert there.value == -back.value
    assert there.low == pytest.approx(-float(back.high or 0))
    assert math.isclose(there.value, 0) or there.clear == back.clear
    assert float(there.low or 0) <= there.value <= float(there.high or 0)


def test_what_is_not_known_is_left_open() -> None:
    assert difference(metric(None), share(1, 2)) is None
    plain = difference(metric(0.25), share(1, 2))
    assert plain is not None
    assert (plain.value, plain.low, plain.high, plain.clear) == (0.25, None, None, False)
    half = difference(metric(0.2, 0.1, 0.3), metric(0.9, 0.8, None))
    assert half is not None
    assert half.low is not None
    assert half.high is None
    assert half.clear
