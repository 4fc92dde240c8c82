"""What the report says of faulty versions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nversion.report.figures import draw
from nversion.report.figures.data import figure_csv
from nversion.report.figures.drawing import NARROW, WIDE
from nversion.report.text.faulty import fault_table, faulty_versions, unharmed
from nversion.study.sections import PlantedFault, Results

Maker = Callable[..., dict[str, Any]]


def test_unharmed_ends_where_the_loss_can_be_told() -> None:
    curve = PlantedFault(
        kind="lying", voter="majority", right=[0.98, 0.975, 0.9, 0.99], right_low=[0.97] * 4
    )
    assert unharmed(curve, [0, 1, 2, 5]) == 1


def test_sentence_table_and_figure_say_the_numbers(example: Maker) -> None:
    results = Results.of(example(5))
    found = results.program.faults
    assert found is not None
    said = faulty_versions(results)
    assert said is not None
    assert "where of 5 up to" in said
    assert "lie together" in said
    table = fault_table(results)
    assert table is not None
    assert len(table.rows) == len(found.curves)
    for canvas in (WIDE, NARROW):
        drawing = draw(results, "figure-14-faults", canvas)
        assert drawing is not None
        assert "lying together, " in drawing.alt
        text = figure_csv(drawing)
        for curve in found.curves:
            assert f"{curve.right[1]}" in text
    assert "edge of the band" in text


def test_results_without_it_show_nothing(example: Maker) -> None:
    values = example(5)
    del values["program"]["faults"]
    for one in (values, example(1)):
        results = Results.of(one)
        assert faulty_versions(results) is None
        assert fault_table(results) is None
        assert draw(results, "figure-14-faults") is None
