"""Norms are written in many ways, and everywhere in the same ones."""

import math
import re

import pytest
from torch import nn

import nversion as nv
from nversion.errors import InputError
from nversion.norms import NORMS, norm_name, norm_order


@pytest.mark.parametrize(
    ("given", "name"),
    [
        *zip((0, 1, 2, math.inf), NORMS, strict=True),
        *((name, name) for name in NORMS),
        *((name.upper(), name) for name in NORMS),
        *(("0", "l0"), ("1.0", "l1"), ("2", "l2"), ("inf", "linf"), ("Linf", "linf")),
        *(("infinity", "linf"), (2, "l2"), (" 2 ", "l2")),
    ],
)
def test_every_spelling_is_understood(given: object, name: str) -> None:
    assert norm_name(given) == name
    assert norm_order(given) == (math.inf if name == "linf" else float(name[1:]))


@pytest.mark.parametrize("given", ["3", "", "l", "l3", True, None, math.nan, -1, [2], "two"])
def test_what_is_no_norm_is_refused_with_those_that_are(given: object) -> None:
    with pytest.raises(InputError, match=re.escape(f"norm must be 0, 1, 2 or inf, not {given!r}")):
        norm_name(given)


def test_a_norm_that_is_not_among_those_asked_for_is_refused() -> None:
    with pytest.raises(InputError, match="norm must be 2 or inf, not 1"):
        norm_name(1, ("l2", "linf"))


@pytest.mark.parametrize("name", ["nearest", "slp", "fab", "apgd", "hop-skip-jump"])
@pytest.mark.parametrize("norm", [2, "2", "l2", "L2"])
def test_attacks_read_all_of_them(name: str, norm: object) -> None:
    assert nv.attacks.create(name, norm=norm) == nv.attacks.create(name, norm="l2")


@pytest.mark.parametrize("norm", [2, "2", "l2", "L2"])
def test_the_doctor_reads_all_of_them(norm: object) -> None:
    images = nv.load_dataset("digits").test.images[:10]
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).eval()
    found = nv.examine(model, images, model(images).argmax(dim=1), norm=norm)  # type: ignore[arg-type]
    assert found.norm == "l2"
