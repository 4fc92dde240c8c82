from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nversion.study.sections import Results
from nversion.study.twins import compare_twins


def gain(difference: float, p: float, clusters: int) -> dict[str, Any]:
    return {
        "first": 0.9 + difference,
        "second": 0.9,
        "difference": difference,
        "low": difference - 0.01,
        "high": difference + 0.01,
        "p_value": p,
        "images": clusters,
        "clusters": clusters,
    }


def results(frequency: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return results in which the student's L1 radii are larger, and its L2 radii are not."""
    random = np.random.default_rng(0)
    radii = random.gamma(9, 0.02, 80)
    larger, same = radii + random.normal(0.05, 0.01, 80), radii[random.permutation(80)]

    def pair(student: np.ndarray, count: int = 80) -> dict[str, Any]:
        return {
            "student": {"radii": student[:count].tolist()},
            "baseline": {"radii": radii[:count].tolist()},
        }

    return {
        "study": {"seed": 7},
        "comparisons": {
            "test": {"student_and_baseline": gain(-0.01, 0.03, 362)},
            "adversarial": {"student_and_baseline": gain(0.02, 0.1, 100)},
            "frequency": frequency,
        },
        "certification": {
            "norms": {"1": pair(larger), "2": pair(same)},
            "norms_random_target": {"1": pair(larger, 5)},
        },
    }


def test_every_row_of_the_table_is_read_and_corrected_for() -> None:
    rows = {row.measure: row for row in compare_twins(Results.of(results(gain(0.1, 0.0001, 100))))}
    assert list(rows) == [
        "test_accuracy",
        "certified_l1",
        "certified_l2",
        "certified_l1_random_target",
        "adversarial_accuracy",
        "adversarial_frequency",
    ]
    assert rows["certified_l1"].verdict == "better"
    assert rows["certified_l2"].verdict == "level"
    # 0.03 alone, but the third smallest of five.
    assert rows["test_accuracy"].p_holm == pytest.approx(0.09)
    assert rows["test_accuracy"].verdict == "level"
    # The frequency is the one measure where less is better.
    assert rows["adversarial_frequency"].verdict == "worse"


def test_rows_on_few_images_are_neither_judged_nor_counted() -> None:
    rows = {row.measure: row for row in compare_twins(Results.of(results()))}
    few = rows["certified_l1_random_target"]
    assert (few.verdict, few.p_holm, few.source_images) == ("too few", None, 5)
    assert few.p_value == 2 / 2**5
    assert "adversarial_frequency" not in rows
    assert rows["test_accuracy"].p_holm == pytest.approx(0.09)


def test_infinite_radii_are_left_out_of_a_row_and_the_row_says_so() -> None:
    found = results()
    found["certification"]["norms"]["1"]["student"]["radii"][:3] = [None] * 3
    found["certification"]["norms"]["2"]["baseline"]["radii"] = [None] * 80
    rows = {row.measure: row for row in compare_twins(Results.of(found))}
    assert rows["certified_l1"].images == 77
    assert rows["certified_l1"].name == "certified L1 radius, where both are finite"
    assert "certified_l2" not in rows


def test_the_same_results_give_the_same_rows() -> None:
    assert compare_twins(Results.of(results())) == compare_twins(Results.of(results()))
