from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nversion.report import values


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (values.percent(0.9686), "96.86\u202f%"),
        (values.percent(-0.01, 1), "\u22121.0\u202f%"),
        (values.percent(-0.000001), "0.00\u202f%"),
        (values.percent(None), "\u2013"),
        (values.rounded_percent(0.001), "<\u202f1\u202f%"),
        (values.rounded_percent(0.0), "0\u202f%"),
        (values.points(0.0709), "7.09 percentage points"),
        (values.points(-0.01), "1.00 percentage point"),
        (values.interval(0.964, 0.972), "96.4\u201397.2\u202f%"),
        (values.decimal(0.0743), "0.0743"),
        (values.decimal(12.345), "12.3"),
        (values.decimal(1234.5), "1,234"),
        (values.decimal(0.0), "0"),
        (values.count(12345.0), "12,345"),
        (values.duration(0.04), "0.0\u202fs"),
        (values.duration(59.97), "1\u202fmin 0\u202fs"),
        (values.duration(200), "3\u202fmin 20\u202fs"),
        (values.duration(7500), "2\u202fh 5\u202fmin"),
        (values.plural(1, "version"), "1 version"),
        (values.plural(1000, "order"), "1,000 orders"),
        (values.join(["a"]), "a"),
        (values.join(["a", "b", "c"]), "a, b and c"),
        (values.norm_name("l2"), "L2"),
        (values.norm_name("linf"), "L∞"),
        (values.norm_name(1.0), "L1"),
    ],
)
def test_numbers_are_written_as_people_read_them(written: str, expected: str) -> None:
    assert written == expected


@pytest.mark.parametrize(
    ("place", "expected"),
    [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (13, "13th"), (101, "101st")],
)
def test_ordinals(place: int, expected: str) -> None:
    assert values.ordinal(place) == expected


@settings(deadline=None, max_examples=200)
@given(st.floats(min_value=1e-6, max_value=1e6))
def test_decimal_keeps_three_digits_of_any_size(value: float) -> None:
    shown = float(values.decimal(value).replace(",", ""))
    assert shown == pytest.approx(value, rel=0.0051, abs=1e-9)
