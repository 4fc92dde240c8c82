"""An unknown name gets the known one that it is most like, if it is like any."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nversion.attacks import names
from nversion.naming import closest, did_you_mean


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("deepfol", "deepfool"),
        ("DeepFool", "deepfool"),
        ("random_pgd", "random-pgd"),
        ("carlini wagner", "carlini-wagner"),
        ("zzz", None),
        ("", None),
        (7, None),
    ],
)
def test_the_nearest_name_is_found(given: object, meant: str | None) -> None:
    assert closest(given, names()) == meant


def test_the_hint_stands_only_where_there_is_one() -> None:
    assert did_you_mean("majorty", ["majority", "k-of-n"]) == " (did you mean 'majority'?)"
    assert did_you_mean("x", ["majority", "k-of-n"]) == ""


@given(st.lists(st.text("abcdefgh", min_size=3, max_size=12), min_size=1, unique=True))
def test_a_known_name_is_its_own_nearest(known: list[str]) -> None:
    assert all(closest(name, known) == name for name in known)
