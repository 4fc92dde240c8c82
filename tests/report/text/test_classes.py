from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nversion.report.text.classes import class_table, confusion_tables, hardest
from nversion.study.sections import Results

PROGRAM = {
    "name": "program",
    "kind": "program",
    "confusion": [[8, 1, 0], [0, 40, 0], [0, 0, 0]],
    "abstained": [1, 0, 0],
}


def known(**more: Any) -> Results:
    return Results.of(
        {"by_class": [PROGRAM], "study": {"class_names": ["cat", "dog", "eel"]}, **more}
    )


def test_shares_count_images_without_an_answer_as_wrong() -> None:
    table = class_table(known())
    assert table is not None
    shown = [[cell.text for cell in row] for row in table.rows]
    assert shown == [
        ["cat", "10", "80.00\u202f%"],
        ["dog", "40", "100.00\u202f%"],
        ["eel", "0", "\u2013"],
    ]
    assert [row[1].note for row in table.rows] == ["fewer than 30", "", "fewer than 30"]


def test_the_hardest_class_is_named_with_what_it_is_taken_for() -> None:
    assert hardest(known()) == (
        "The program is right least often on cat (80.00\u202f% of 10 images), most often on dog "
        "(100.00\u202f%); cat is taken for dog most often."
    )
    assert hardest(Results.of({})) is None


def test_confusions_have_a_column_for_no_answer_where_there_is_none() -> None:
    ((key, table),) = confusion_tables(known())
    assert key == "program-confusion"
    assert [column.title for column in table.columns] == ["Class", "cat", "dog", "eel", "no answer"]
    assert [cell.text for cell in table.rows[0]] == ["cat", "8", "1", "\u00b7", "1"]


def test_older_results_have_no_classes_and_many_classes_no_confusions(
    example: Callable[..., dict[str, Any]],
) -> None:
    assert class_table(Results.of({})) is None
    assert len(confusion_tables(Results.of(example(3)))) == 4
    many = {**PROGRAM, "confusion": [[1] * 21] * 21, "abstained": []}
    assert confusion_tables(Results.of({"by_class": [many]})) == []
    assert class_table(Results.of({"by_class": [many]})) is not None
