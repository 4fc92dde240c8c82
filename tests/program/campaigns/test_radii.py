"""Radii summed up, alone and beside those of versions."""

from __future__ import annotations

import json
import math

import pytest
import torch

from nversion.program.campaigns.radii import CertifiedRadii, MedianVersion, NormRadii

AT = (0.1, 0.4)


def radii(*values: float, seconds: float = 2.0) -> CertifiedRadii:
    return CertifiedRadii(torch.tensor(values), seconds, AT)


def test_infinite_radii_are_counted_apart() -> None:
    one = radii(0.25, math.inf, 0.75, 0.0)
    assert one.mean == pytest.approx(1 / 3)
    assert (one.median, one.infinite) == (0.25, 1)
    assert one.shares == (0.75, 0.5)
    assert one.seconds_per_image == 0.5
    assert one.to_json()["radii"] == [0.25, None, 0.75, 0.0]
    assert json.loads(json.dumps(one.to_json(), allow_nan=False)) == one.to_json()


def test_of_infinite_radii_alone_there_is_no_mean() -> None:
    one = radii(math.inf, math.inf)
    assert (one.mean, one.median, one.infinite, one.shares) == (None, None, 2, (1.0, 1.0))


def test_a_network_alone_is_compared_with_nothing() -> None:
    assert NormRadii(radii(0.5)).to_json() == radii(0.5).to_json()


def test_a_vote_stands_beside_its_best_and_its_median_version() -> None:
    versions = {
        "a": radii(0.2, 0.2, seconds=1.0),
        "b": radii(0.5, 0.3, seconds=3.0),
        "c": radii(0.0, math.inf, seconds=8.0),
    }
    found = NormRadii(radii(0.6, 0.25), versions)
    assert found.best_version == "c"  # An infinite radius is better than any other.
    median = found.median_version
    assert (median.mean, median.median, median.infinite) == pytest.approx((0.2, 0.2, 0.0))
    assert median.shares == (1.0, 0.5)
    assert median.seconds_per_image == 1.5
    values = found.to_json()
    assert list(values["versions"]) == ["a", "b", "c"]
    assert values["comparison"]["share_above_best"] == 0.5
    assert values["comparison"]["share_above_median"] == 0.5
    assert values["comparison"]["median_version"] == median.to_json()


def test_the_median_of_versions_without_finite_radii_is_unknown() -> None:
    median = MedianVersion.of([radii(math.inf), radii(math.inf)])
    assert (median.mean, median.median, median.infinite) == (None, None, 1.0)
