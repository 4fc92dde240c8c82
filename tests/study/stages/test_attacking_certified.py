from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from nversion.attacks.nearest_of_all import NearestOfAll
from nversion.study.stages.attacking_certified import distances_beside
from nversion.study.units.attacking_certified import AttackCertified


@dataclasses.dataclass(frozen=True)
class _Network:
    source: None = None


@pytest.mark.parametrize(("passes", "named"), [(200, []), (600, ["slp", "alma"])])
def test_a_unit_rests_on_the_attacks_that_it_finds_by_name(passes: int, named: list[str]) -> None:
    unit = AttackCertified(
        name="certificates/attacked/student/l2-000",
        network=cast(Any, _Network()),
        attack=NearestOfAll(norm="l2", passes=passes),
        shared=cast(Any, None),
        rows=(0, 1),
        seed=0,
        device=torch.device("cpu"),
        path=Path("nowhere"),
    )
    assert [cast(Any, one).name for one in unit.uses()] == ["nearest", *named]


def test_distances_are_compared_with_radii_image_by_image() -> None:
    # Misclassified; four times as far; withstood; eight times as far.
    found = distances_beside([0.0, 4.0, math.inf, 4.0], [[0.0, 1.0, 1.0, 0.5]])
    assert found.distances == [0.0, 4.0, None, 4.0]
    assert found.median == 4.0
    assert found.gap == 6.0
    assert found.nearer == 0


def test_an_attack_inside_any_domains_certificate_counts() -> None:
    radii = [[1.0, 1.0, 0.5, None, None], [3.0, 1.5, 0.5, None, None]]
    found = distances_beside([2.0, 1.2, 0.5, math.inf, 7.0], radii)
    # Within the second domain's radius, twice; at a radius itself is not within; where the radius
    # is infinite, any success is.
    assert found.nearer == 3


def test_without_a_ratio_or_a_median_there_is_none() -> None:
    found = distances_beside([math.inf, math.inf, 0.0], [[1.0, None, 0.0]])
    assert (found.gap, found.median, found.nearer) == (None, None, 0)
