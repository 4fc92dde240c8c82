from __future__ import annotations

import json
import math

import pytest
import torch

from nversion.certification.infinite import (
    count_infinite,
    mean_radius,
    middle_radii,
    radii_as_json,
)

RADII = torch.tensor([0.0, 0.5, math.inf, 0.25, math.inf])


def test_infinite_radii_are_counted_apart_from_the_mean() -> None:
    assert mean_radius(RADII) == 0.25
    assert count_infinite(RADII) == 2
    assert mean_radius(torch.full((3,), math.inf)) is None


def test_radii_are_finite_json() -> None:
    written = json.dumps(radii_as_json(RADII), allow_nan=False)
    assert json.loads(written) == [0.0, 0.5, None, 0.25, None]


@pytest.mark.parametrize(
    ("radii", "middle"),
    [
        ([1.0, 2.0, 4.0], 2.0),
        ([1.0, 2.0, 4.0, 5.0], 3.0),
        ([1.0, 2.0, math.inf], 2.0),
        ([1.0, math.inf, math.inf], math.inf),
        ([1.0, 2.0, math.inf, math.inf], math.inf),
        ([math.inf], math.inf),
    ],
)
def test_the_middle_of_several_networks_may_be_infinite_and_is_a_number(
    radii: list[float], middle: float
) -> None:
    assert middle_radii(torch.tensor(radii)[:, None]).tolist() == [middle]
