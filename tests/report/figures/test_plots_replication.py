"""The figure of a replication: one mark a pair, and the words are the numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest

from nversion.report.figures.data import figure_csv
from nversion.report.figures.drawing import NARROW, WIDE, Canvas, house_style
from nversion.report.figures.plots_replication import pairs
from nversion.study.sections import Replicated


@pytest.fixture(scope="module")
def found(example: Callable[..., dict[str, Any]]) -> Replicated:
    return Replicated.model_validate(example(3)["replication"])


@pytest.mark.parametrize("canvas", [WIDE, NARROW], ids=["wide", "narrow"])
def test_every_pair_has_its_mark_in_every_strip(found: Replicated, canvas: Canvas) -> None:
    with house_style(canvas.font):
        drawing = pairs(found, canvas)
        assert drawing is not None
        rows = list(csv.DictReader(io.StringIO(figure_csv(drawing))))
    networks = found.networks
    for item in found.contrasts:
        name = f"{item.first} \u2212 {item.second}"
        marks = [row for row in rows if row["series"] == name and f"{name}, pair" in row["mark"]]
        expected = [
            networks[item.first][str(n)][item.row] - networks[item.second][str(n)][item.row]
            for n in range(item.pairs)
        ]
        assert {round(value, 12) for value in expected} <= {
            round(float(row["x"]), 12) for row in marks
        }
        means = [float(row["x"]) for row in rows if row["series"] == f"mean of {name}"]
        assert item.difference in means
    # Five rows, eight contrasts, eight pairs.
    assert sum(", pair " in row["mark"] for row in rows) == 5 * 8 * 8


def test_words_say_the_means(found: Replicated) -> None:
    with house_style():
        drawing = pairs(found)
    assert drawing is not None
    (item,) = (
        item
        for item in found.contrasts
        if (item.row, item.first, item.second) == ("certified_l2", "vote", "labels")
    )
    assert "certified L2 radius" in drawing.alt
    assert f"+{item.difference:.4f} (vote \u2212 labels)" in drawing.alt
    assert "each of 8 pairs" in drawing.alt


def test_without_pairs_there_is_nothing_to_draw() -> None:
    assert pairs(Replicated()) is None
