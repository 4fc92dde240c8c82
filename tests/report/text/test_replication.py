from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nversion.report.text.replication import (
    added_table,
    arm_table,
    concluded,
    contrast_table,
    cost_table,
    saved,
)
from nversion.study.sections import Results


@pytest.fixture(scope="module")
def results(example: Callable[..., dict[str, Any]]) -> Results:
    return Results.of(example(10))


def test_the_arms_stand_beside_each_other(results: Results) -> None:
    table = arm_table(results)
    assert table is not None
    heads = [column.title for column in table.columns]
    assert heads == ["Row", "labels", "label-smoothing", "squared-error", "one-teacher", "vote"]
    assert results.replication is not None
    mean = results.replication.means["vote"]["certified_l2"]
    (row,) = (row for row in table.rows if row[0].text == "Certified L2 radius")
    assert row[5].text == f"{mean.mean:.4f}"
    assert row[5].note == f"{mean.low:.4f}\u2013{mean.high:.4f}"
    assert "8 networks of each arm" in table.notes[0]


def test_every_test_is_told(results: Results) -> None:
    table = contrast_table(results)
    assert table is not None
    assert results.replication is not None
    assert len(table.rows) == len(results.replication.contrasts) == 40


def test_what_follows_is_said_as_the_tests_have_it(results: Results) -> None:
    said = concluded(results)
    assert said is not None
    assert "The teacher: better than the baseline, and than squared error to the true" in said


def test_what_each_part_adds_stands_row_by_row(results: Results) -> None:
    table = added_table(results)
    assert table is not None
    assert [column.title.partition(" (")[0] for column in table.columns] == [
        "Row",
        "The teacher",
        "The objective",
        "Only soft labels",
        "A vote beside one version",
    ]
    assert results.replication is not None
    tests = {(i.row, i.first, i.second): i for i in results.replication.contrasts}
    (row,) = (row for row in table.rows if row[0].text == "Certified L2 radius")
    teacher = tests["certified_l2", "vote", "squared-error"]
    assert (row[1].text, row[1].note) == (f"+{teacher.difference:.4f}", "better")
    whole = tests["certified_l2", "vote", "labels"].difference
    objective = tests["certified_l2", "squared-error", "labels"].difference
    assert teacher.difference + objective == pytest.approx(whole)


def test_what_distilling_saves(results: Results) -> None:
    table = cost_table(results)
    assert table is not None
    assert [cell.text for cell in table.rows[0]][:3] == ["program", "2,000,000", "30,000,000"]
    assert "1/6.67 of the program's parameters" in str(saved(results))


def test_nothing_is_shown_of_no_replication() -> None:
    empty = Results.of({})
    for make in (added_table, arm_table, contrast_table, concluded, cost_table, saved):
        assert make(empty) is None
