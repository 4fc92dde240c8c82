from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nversion.report.text.whole import main_subjects, whole_program, whole_table
from nversion.report.values import decimal, percent
from nversion.study.sections import Results

Example = Callable[..., dict[str, Any]]


def test_the_table_has_a_row_for_every_subject(example: Example) -> None:
    results = Results.of(example(10))
    table = whole_table(results)
    assert table is not None
    names = [row[0].text for row in table.rows]
    assert names[:4] == ["program of 1", "program of 3", "program of 5", "program of 10"]
    assert names[4].startswith("version ")
    assert names[5:] == ["baseline", "student"]
    assert all(len(row) == len(table.columns) for row in table.rows)


def test_notes_say_where_the_distance_goes_and_which_checks_failed(example: Example) -> None:
    table = whole_table(Results.of(example(10)))
    assert table is not None
    notes = " ".join(table.notes)
    told = (
        f"predicts a median of {decimal(1.2)} (measured: {decimal(1.3)})",
        f"cosine of {decimal(0.26, 2)}; twice the best version's distance would need 0.17",
        f"{percent(0.6, 0)} is lost to aligned gradients",
    )
    assert [words for words in told if words not in notes] == []
    assert "1 of 2 did not pass. ties: Ties decide on 2 images." in notes


def test_results_without_such_attacks_have_neither(example: Example) -> None:
    values = example(10)
    values["program"]["whole"] = None
    results = Results.of(values)
    assert whole_table(results) is None
    assert whole_program(results) is None


def test_the_program_of_all_versions_is_a_main_subject(example: Example) -> None:
    whole = Results.of(example(10)).program.whole
    assert whole is not None
    assert [one.name for one in main_subjects(whole)] == ["program of 10", "baseline", "student"]
