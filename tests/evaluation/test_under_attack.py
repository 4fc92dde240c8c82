from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nversion.evaluation.under_attack import USUAL_RADII, smallest_distances, under_attack
from nversion.randomness import numpy_generator


@dataclass
class Run:
    version: str
    test_indices: Tensor
    already_misclassified: Tensor
    linf: Tensor
    l2: Tensor


def run(version: str, linf: list[float], l2: list[float], wrong: int = -1) -> Run:
    count = len(linf)
    return Run(
        version,
        torch.arange(count) + 7,
        torch.arange(count) == wrong,
        torch.tensor(linf),
        torch.tensor(l2),
    )


def test_the_smallest_of_all_attacks_counts_for_each_version_and_image() -> None:
    found = smallest_distances(
        [
            run("a", [0.25, math.inf], [2.0, math.inf]),
            run("a", [0.5, math.inf], [1.0, math.inf]),
            run("b", [0.125, 0.5], [3.0, 1.0], wrong=1),
        ]
    )
    assert found.test_indices == (7, 8, 7, 8)
    assert found.linf == (0.25, math.inf, 0.125, 0.0)
    assert found.l2 == (1.0, math.inf, 3.0, 0.0)


def test_an_image_holds_at_a_radius_if_nothing_was_found_within_it() -> None:
    runs = [run("a", [0.05, 0.2, 0.4, math.inf], [0.25, 1.0, 2.0, math.inf])]
    rows = under_attack(smallest_distances(runs), numpy_generator(0, "test"))
    assert [(row["norm"], row["radius"]) for row in rows] == [
        (norm, radius) for norm, radii in USUAL_RADII.items() for radius in radii
    ]
    assert [row["value"] for row in rows] == [1.0, 0.75, 0.5, 0.75, 0.5]
    assert all(row["low"] <= row["value"] <= row["high"] for row in rows)
    assert {row["clusters"] for row in rows} == {4}


def test_versions_that_share_an_image_count_it_once() -> None:
    runs = [run(name, [0.2] * 5, [1.0] * 5) for name in "abcd"]
    rows = under_attack(smallest_distances(runs), numpy_generator(0, "test"))
    assert {(row["images"], row["clusters"]) for row in rows} == {(20, 5)}


def test_without_runs_there_is_nothing_to_say() -> None:
    assert under_attack(smallest_distances([]), numpy_generator(0, "test")) == []
