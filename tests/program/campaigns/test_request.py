"""What may be asked for when images are to be certified."""

from __future__ import annotations

import math
from typing import Any

import pytest

from nversion.errors import InputError
from nversion.program.campaigns.request import SHARES, Request, Smoothing


def test_each_norm_has_its_usual_radii_unless_others_are_named() -> None:
    for norm, usual in SHARES.items():
        assert Request().shares_at(norm) == usual
        assert Request(at=(0.3,)).shares_at(norm) == (0.3,)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"norms": ()}, "norms must be some of 1, 2, inf"),
        ({"norms": ("2", "2")}, "each once"),
        ({"norms": ("3",)}, "not '3'"),
        ({"target": "runner-up"}, "target must be all or random"),
        ({"at": (0.1, -1.0)}, "at must be positive numbers"),
        ({"at": (math.inf,)}, "at must be positive numbers"),
        ({"at": (math.nan,)}, "at must be positive numbers"),
        ({"smoothing": Smoothing(), "box": None}, "the whole ball in L2"),
        ({"smoothing": Smoothing(), "norms": ("2",)}, "the whole ball in L2"),
        (
            {"smoothing": Smoothing(), "norms": ("2",), "box": None, "compare": True},
            "compares nothing",
        ),
        (
            {"smoothing": Smoothing(), "norms": ("2",), "box": None, "target": "random"},
            "has no target",
        ),
    ],
)
def test_what_cannot_be_asked_for_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Request(**values)
