"""The attack "nearest": its budget, its norms, and that it is no worse than its parts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
import torch

from nversion.attacks import create
from nversion.attacks.nearest_of_all import FEW_PASSES, LONG, SHORT, NearestOfAll
from nversion.errors import InputError
from nversion.norms import NORMS
from nversion.program import Program

if TYPE_CHECKING:
    from tests.attacks.conftest import Victim

COUNT = 6


@pytest.mark.parametrize("passes", [600, FEW_PASSES, FEW_PASSES + 1, 2000])
def test_every_norm_has_parts_that_make_it_small(passes: int) -> None:
    plans = SHORT if passes <= FEW_PASSES else LONG
    assert tuple(plans) == NORMS
    for norm, plan in plans.items():
        attacks = NearestOfAll(norm=norm, passes=passes).parts()
        assert [attack.name for attack in attacks] == [part.name for part in plan.parts]
        assert all(attack.norm == norm for attack in attacks)
        assert sum(part.share for part in plan.parts) <= 1.0 + 1e-9


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("passes", [200, 450, 600, 2000])
def test_the_budget_holds_for_the_mean_image(norm: str, passes: int, dense: Victim) -> None:
    images, labels = dense.images[:COUNT], dense.labels[:COUNT]
    result = create("nearest", norm=norm, passes=passes)(dense.model, images, labels)
    assert result.success.all()
    assert result.forwards + result.backwards <= passes * COUNT


@pytest.mark.parametrize("norm", NORMS)
def test_few_passes_reach_a_class_that_is_far_away(norm: str, convolutional: Victim) -> None:
    images, labels = convolutional.images[:COUNT], convolutional.labels[:COUNT]
    unlikeliest = convolutional.model(images).detach().argsort(dim=1)
    target = torch.where(unlikeliest[:, 0] == labels, unlikeliest[:, 1], unlikeliest[:, 0])
    result = create("nearest", norm=norm, passes=200)(
        convolutional.model, images, labels, target=target
    )
    assert result.success.sum() >= COUNT - 1
    assert result.forwards + result.backwards <= 200 * COUNT


@pytest.mark.parametrize("norm", NORMS)
def test_no_part_is_nearer(norm: str, convolutional: Victim) -> None:
    images, labels = convolutional.images[:3], convolutional.labels[:3]
    whole = NearestOfAll(norm=norm, passes=800)
    found = getattr(whole(convolutional.model, images, labels), norm)
    for part in whole.parts():
        alone = getattr(part(convolutional.model, images, labels), norm)
        assert (found <= alone * 1.002).all(), part.name


def test_norms_by_number_are_the_same_attack() -> None:
    for number, name in ((0, "l0"), (1, "l1"), (2, "l2"), (math.inf, "linf"), ("1", "l1")):
        assert create("nearest", norm=number) == create("nearest", norm=name)
        assert create("fmn", norm=number) == create("fmn", norm=name)


@pytest.mark.parametrize(
    "options", [{"norm": 3}, {"passes": 10}, {"passes": 1e3}, {"norm": "l2", "passes": True}]
)
def test_refused_options(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(reversed(options)))):
        create("nearest", **options)


@pytest.mark.parametrize("norm", ["l0", "l1"])
def test_a_program_is_attacked_as_a_whole(norm: str, dense: Victim, convolutional: Victim) -> None:
    program = Program([dense.model, convolutional.model], voter="mean-softmax")
    verdict = program.vote(dense.images[:12]).labels
    rows = (verdict == dense.labels[:12]).nonzero().squeeze(1)[:COUNT]
    images, labels = dense.images[rows], dense.labels[rows]
    result = create("nearest", norm=norm, passes=300)(program, images, labels)
    assert result.success.all()
    assert (program.vote(result.images).labels != labels).all()
    alone = create("nearest", norm=norm, passes=300)(dense.model, images, labels)
    assert torch.median(getattr(result, norm)) > 0.8 * torch.median(getattr(alone, norm))
