from __future__ import annotations

import math

from nversion.study.stages.attacking_certified import distances_beside


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
