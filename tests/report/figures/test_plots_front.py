"""The figure for a front page: it shows both attackers, on light and dark pages."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nversion.report.figures.drawing import WIDE, Drawing, house_style
from nversion.report.figures.palette import ROLES
from nversion.report.figures.plots_front import both_attackers
from nversion.report.figures.standalone import standalone_svg
from nversion.study.sections import Results


def drawn(results: dict[str, Any]) -> Drawing:
    with house_style(WIDE.font):
        drawing = both_attackers(Results.of(results), WIDE)
    assert drawing is not None
    return drawing


def test_it_shows_the_programs_that_were_attacked_at_their_medians(
    example: Callable[..., dict[str, Any]],
) -> None:
    results = example(10)
    accuracy, *distances = drawn(results).figure.axes
    curve = results["program"]["accuracy_by_n"]
    assert any(np.array_equal(line.get_ydata(), curve) for line in accuracy.lines)
    for axes, norm in zip(distances, ("2", "inf"), strict=True):
        programs = [s for s in results["program"]["whole"]["subjects"] if s["kind"] == "program"]
        (line,) = (line for line in axes.lines if line.get_marker() == "o")
        assert list(line.get_xdata()) == [one["versions"] for one in programs]
        assert list(line.get_ydata()) == [one["norms"][norm]["median"] for one in programs]
        assert axes.get_ylim()[0] == 0


def test_without_attacks_on_the_program_it_shows_accuracy_alone(
    example: Callable[..., dict[str, Any]],
) -> None:
    results = example(100)
    del results["program"]["whole"]
    (axes,) = drawn(results).figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "3", "10", "30", "100"]
    with house_style():
        assert both_attackers(Results.of({}), WIDE) is None


@pytest.mark.parametrize("gone", ["median", "high"])
def test_a_program_that_withstands_has_no_point(
    example: Callable[..., dict[str, Any]], gone: str
) -> None:
    results = example(5)
    for subject in results["program"]["whole"]["subjects"]:
        subject["norms"]["2"][gone] = None
    _, axes, _ = drawn(results).figure.axes
    points = [line for line in axes.lines if line.get_marker() == "o"]
    assert len(points) == (0 if gone == "median" else 1)
    assert all(np.isfinite(line.get_ydata()).all() for line in axes.lines)


def test_the_file_has_dark_colours_for_dark_screens_and_says_what_it_shows(
    example: Callable[..., dict[str, Any]],
) -> None:
    drawing = drawn(example(5))
    svg = standalone_svg(drawing)
    assert svg == standalone_svg(drawing)
    root = ET.fromstring(svg)
    assert root.findtext("{http://www.w3.org/2000/svg}title") == drawing.alt
    assert "Attacked itself" in drawing.alt
    assert "http://" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", svg)
    rules = svg.partition("@media(prefers-color-scheme:dark)")[2].partition("</style>")[0]
    used = {role for role in ROLES if role.light in svg.replace(rules, "")}
    assert {"paper", "ink", "program", "baseline", "student"} <= {role.name for role in used}
    for role in used:
        assert f'[style*="fill: {role.light}"]{{fill:{role.dark}!important}}' in rules
