"""Figures of how versions fail together: what they show, in words and in marks."""

from __future__ import annotations

import numpy as np
import pytest

import nversion as nv
from nversion.reliability import majority_growth
from nversion.report.figures.drawing import NARROW, WIDE, Canvas, house_style
from nversion.report.figures.plots_reliability import failures_histogram, growth, heat_map
from nversion.report.figures.svg import inline_svg

WRONG = np.random.default_rng(0).random((7, 400)) < np.random.default_rng(1).beta(1, 6, 400)
CANVASES = pytest.mark.parametrize("canvas", [WIDE, NARROW], ids=["wide", "narrow"])


@CANVASES
def test_the_heat_map_shows_every_pair(canvas: Canvas) -> None:
    matrix = nv.diversity((~WRONG).astype(int), np.ones(400, dtype=int)).correlation
    with house_style(canvas.font):
        drawing = heat_map(matrix, [f"v{n}" for n in range(7)], "correlation", canvas)
        assert inline_svg(drawing, "a", "figure")
    assert "pairs of 7 versions" in drawing.alt
    assert "v3" in drawing.svg
    assert "correlation" in drawing.svg


def test_a_heat_map_of_undefined_values_and_of_many_versions_is_drawn() -> None:
    with house_style():
        drawing = heat_map(np.full((3, 3), np.nan), ["a", "b", "c"], "Q")
        assert "undefined" in drawing.alt
        many = heat_map(np.eye(60), [f"v{n}" for n in range(60)], "Q")
        assert ">60<" in many.svg


@CANVASES
def test_the_histogram_says_what_independence_expects(canvas: Canvas) -> None:
    failures = nv.coincident_failures(WRONG)
    with house_style(canvas.font):
        drawing = failures_histogram(failures, canvas)
        shown = inline_svg(drawing, "a", "figure")
    assert f"two or more on {failures.coincidences}" in drawing.alt
    assert f"{failures.expected_coincidences:.1f}" in drawing.alt
    assert "mathdefault" not in shown


@CANVASES
def test_growth_shows_expected_and_measured(canvas: Canvas) -> None:
    expected = majority_growth(WRONG, resamples=50)
    with house_style(canvas.font):
        plain = growth(majority_growth(WRONG), canvas)
        full = growth(
            expected, canvas, measured=expected.right.tolist(), low=[0.5] * 7, high=[1.0] * 7
        )
        assert inline_svg(full, "a", "figure")
    assert "with all 7" in plain.alt
    assert "measured" in full.svg
    assert "measured" not in plain.svg
