from __future__ import annotations

import math

import torch

from nversion.study.stages.certifying import summary


def test_infinite_radii_are_counted_beside_mean_and_median_and_null_in_json() -> None:
    assert summary(torch.tensor([0.5, math.inf, 0.0, 0.25])).to_json() == {
        "mean": 0.25,
        "median": 0.25,
        "infinite": 1,
        "radii": [0.5, None, 0.0, 0.25],
    }


def test_where_all_radii_are_infinite_there_is_no_mean() -> None:
    found = summary(torch.full((2,), math.inf))
    assert (found.mean, found.median, found.infinite) == (None, None, 2)
