"""Successive linear programming (beside what test_linear_oracles asks of it)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from nversion.attacks import create
from nversion.errors import InputError

if TYPE_CHECKING:
    from tests.attacks.conftest import Victim


@pytest.mark.parametrize("norm", ["l0", "l1", "l2", "linf"])
def test_more_classes_come_no_farther(norm: str, dense: Victim) -> None:
    images, labels = dense.images[:8], dense.labels[:8]
    one, nine = (
        create("slp", norm=norm, classes=classes, steps=15)(dense.model, images, labels)
        for classes in (1, 9)
    )
    assert nine.success.all()
    assert float(getattr(nine, norm).mean()) <= float(getattr(one, norm).mean()) * 1.001


def test_norms_are_spelt_as_names_or_numbers() -> None:
    assert create("slp", norm=float("inf")) == create("slp", norm="linf")
    assert create("slp", norm=0).norm == "l0"


@pytest.mark.parametrize(
    ("options", "message"),
    [({"norm": "l3"}, "norm"), ({"classes": 0}, "classes"), ({"refinements": -1}, "refinements")],
)
def test_refused_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        create("slp", **options)
