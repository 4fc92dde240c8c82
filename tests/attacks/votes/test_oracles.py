"""What the attack on a program must reach: exact distances of linear members' votes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from linear_members import (
    Member,
    by_brute_force,
    equal_members,
    grey,
    mean_softmax_distance,
    unequal_members,
    weights_and_leads,
)
from torch import Tensor

import nversion as nv
from nversion.attacks import AttackResult
from nversion.attacks.votes.descent import descend
from nversion.attacks.votes.members import Members
from nversion.attacks.votes.objectives import OBJECTIVES, kth_margin
from nversion.attacks.votes.program import ProgramAttackResult
from nversion.attacks.votes.search import Search
from nversion.models import frozen

SLACK = 1.01
ROUNDING = 1 - 1e-4


def found(members: Sequence[Member], voter: str, norm: str, **options: Any) -> ProgramAttackResult:
    images, labels = grey()
    result = nv.attack_program(nv.Program(members, voter), images, labels, norm, **options)
    assert bool(result.success.all())
    return result


def size(result: AttackResult, norm: str) -> float:
    return float(result.l2 if norm == "2" else result.linf)


def near(value: float, exact: float) -> None:
    assert exact * ROUNDING <= value <= exact * SLACK, (value, exact)


@pytest.mark.parametrize(("count", "cosine"), [(3, 0.1), (9, 0.6)])
def test_equal_members_under_mean_logits(count: int, cosine: float) -> None:
    members = equal_members(count, cosine)
    alone = 1.0 / 8.0
    exact = alone * math.sqrt(count / (1 + (count - 1) * cosine))
    near(size(found(members, "mean-logits", "2"), "2"), exact)


@pytest.mark.parametrize(("count", "cosine"), [(3, 0.1), (4, 0.3), (9, 0.6)])
def test_equal_members_under_a_majority(count: int, cosine: float) -> None:
    members = equal_members(count, cosine)

    def exact(flips: int) -> float:
        return 1.0 / 8.0 * math.sqrt(flips / (1 + (flips - 1) * cosine))

    result = found(members, "majority", "2")
    near(size(result, "2"), exact(math.ceil(count / 2)))
    near(size(result.wrong, "2"), exact(count // 2 + 1))
    assert bool((result.wrong.predictions == 1).all())
    if count % 2 == 0:
        assert int(result.predictions) == -1


@pytest.mark.parametrize("norm", ["2", "inf"])
@pytest.mark.parametrize(("count", "seed"), [(5, 0), (6, 1)])
def test_unequal_members_under_a_majority(count: int, seed: int, norm: str) -> None:
    members = unequal_members(count, seed=seed)
    result = found(members, "majority", norm)
    near(size(result, norm), by_brute_force(members, math.ceil(count / 2), norm))
    near(size(result.wrong, norm), by_brute_force(members, count // 2 + 1, norm))


@pytest.mark.parametrize("norm", ["2", "inf"])
def test_the_box_is_kept_to(norm: str) -> None:
    members = unequal_members(5, seed=3)
    images, labels = grey()
    images = images + 0.46 * torch.sin(torch.arange(24.0)).view(1, 1, 4, 6).sign()
    with torch.no_grad():
        for member in members:
            # The same lead at this image as at the even one.
            member.lead += member.weight[0] @ (images - 0.5).flatten()
    program = nv.Program(members, "majority")
    result = nv.attack_program(program, images, labels, norm)
    assert bool(((result.images >= 0) & (result.images <= 1)).all())
    near(size(result, norm), by_box(unequal_members(5, seed=3), images, norm))


def by_box(members: Sequence[Member], images: Tensor, norm: str) -> float:
    flat = images.flatten().double().numpy()
    return by_brute_force(members, 3, norm, low=-flat, high=1 - flat)


def test_members_under_mean_softmax() -> None:
    members = unequal_members(5, seed=0)
    near(size(found(members, "mean-softmax", "2"), "2"), mean_softmax_distance(members))


def test_mean_logits_in_linf() -> None:
    members = unequal_members(5, seed=4)
    weights, leads = weights_and_leads(members)
    exact = leads.mean() / abs(weights.mean(axis=0)).sum()
    near(size(found(members, "mean-logits", "inf"), "inf"), exact)


@pytest.mark.parametrize(
    ("objective", "voter", "slack"),
    [
        ("log-mean-softmax", "mean-softmax", 1.01),
        ("mean-logit", "mean-logits", 1.01),
        ("mean-loss", "mean-logits", 1.02),
        ("hinge", "mean-logits", 1.02),
        ("reweighted", "mean-logits", 1.02),
        ("kth-margin", "majority", 1.02),
    ],
)
def test_each_objective_leads_to_what_it_is_exact_for(
    objective: str, voter: str, slack: float
) -> None:
    """Alone, by plain descent: equal members fall together, so unanimity has the same distance."""
    equal = objective in ("mean-loss", "hinge", "reweighted")
    members = equal_members(5, 0.3) if equal else unequal_members(5, seed=0)
    weights, leads = weights_and_leads(members)
    exact = {
        "mean-softmax": lambda: mean_softmax_distance(members),
        "mean-logits": lambda: leads.mean() / math.sqrt(np.square(weights.mean(axis=0)).sum()),
        "majority": lambda: by_brute_force(members, 3, "2"),
    }[voter]()
    images, labels = grey()
    program = nv.Program(members, voter)
    with frozen(program):
        search = Search(Members(program, images), images, labels, "l2")
        search.begin(objective)
        shares = search.members.shares
        sizes = torch.tensor(np.linalg.norm(weights, axis=1)).float()[None, :, None]

        def value(logits: Tensor, rows: Tensor) -> Tensor:
            if objective != "kth-margin":
                return OBJECTIVES[objective](logits, labels[rows], shares)
            needed = torch.full((len(rows), 2), 3)
            return kth_margin(logits, labels[rows], sizes.expand(len(rows), -1, 2), needed)

        descend(search, torch.arange(1), value, 100, verdict=False)
    found = float(search.distances(False))
    assert exact * ROUNDING <= found <= exact * slack


def test_a_quorum_falls_with_the_first_who_leave_it() -> None:
    members = unequal_members(5, seed=6)
    result = found(members, "k-of-n", "2")
    near(size(result, "2"), by_brute_force(members, 3, "2"))


def test_a_median_falls_with_more_than_half() -> None:
    members = unequal_members(5, seed=10)
    near(size(found(members, "median-softmax", "2"), "2"), by_brute_force(members, 3, "2"))
