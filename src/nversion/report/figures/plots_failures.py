"""Figures of how a study's versions fail together, from its results.

The plots themselves are those of the commands (:mod:`.plots_reliability`); the curves of coverage
are drawn here.
"""

from __future__ import annotations

import numpy as np
from matplotlib.artist import Artist
from matplotlib.lines import Line2D

from nversion.measures.answers import Doubles
from nversion.reliability import CoincidentFailures, Growth
from nversion.report.failures import grown_on
from nversion.report.figures import palette, plots_reliability
from nversion.report.figures.drawing import (
    DASHED,
    DOTTED,
    Canvas,
    Drawing,
    legend,
    limits,
    share_axis,
)
from nversion.report.values import percent
from nversion.study.sections import Results, VoterCurve

__all__ = ["coincident_failures", "coverage", "grown_on", "growth", "pairs"]


def pairs(results: Results, canvas: Canvas) -> Drawing | None:
    """Draw the correlation of failures of each pair of versions on the test images."""
    together = results.reliability.test
    if together is None or not together.correlation:
        return None
    matrix = _matrix(together.correlation)
    names = results.program.versions or [str(place + 1) for place in range(len(matrix))]
    return plots_reliability.heat_map(matrix, names, "correlation of failures", canvas)


def coincident_failures(results: Results, canvas: Canvas) -> Drawing | None:
    """Draw on how many test images how many versions fail, beside independent versions."""
    together = results.reliability.test
    if together is None or len(together.failures.histogram) < 3:
        return None
    found = together.failures
    counted = CoincidentFailures(np.array(found.histogram), np.array(found.by_version))
    return plots_reliability.failures_histogram(counted, canvas)


def growth(results: Results, canvas: Canvas) -> Drawing | None:
    """Draw what a plurality of n versions is predicted to get right, and what it does."""
    found = grown_on(results)
    if found is None or found[1].plurality is None:
        return None
    votes = found[1].plurality
    ends = (np.array(votes.low), np.array(votes.high)) if votes.low else (None, None)
    banded = bool(votes.orders_low)
    return plots_reliability.growth(
        Growth(np.array(votes.predicted), *ends),
        canvas,
        measured=votes.measured,
        low=votes.orders_low if banded else None,
        high=votes.orders_high if banded else None,
    )


def coverage(results: Results, canvas: Canvas) -> Drawing | None:
    """Draw what every voter gets right of the test images that it is surest of."""
    together = results.reliability.test
    curves = [] if together is None else [one for one in together.voters if one.coverage]
    if not curves:
        return None
    drawing = Drawing.blank(canvas, 320 if canvas.narrow else 400)
    axes = drawing.figure.add_subplot()
    handles = [
        _curve(drawing, curve, style) for curve, style in _styles(curves, results.program.voter)
    ]
    shown = [value for one in curves for value in one.accuracy]
    axes.set_xlim(0.0, 1.02)
    axes.set_ylim(*limits(shown, top=1.002))
    axes.set_xlabel("share of images covered, the surest first")
    axes.set_ylabel("right of those")
    share_axis(axes, "x")
    share_axis(axes, "y")
    legend(axes, [one for one in handles if one is not None], canvas, wide=2, narrow=1)
    best, worst = curves[0], curves[-1]
    drawing.alt = (
        f"Lines of {len(curves)} voters' accuracy on the images that they are surest of, falling "
        f"as more are covered. {best.voter} has the largest area, {percent(best.area)}, "
        f"{worst.voter} the smallest, {percent(worst.area)}."
    )
    return drawing


_Style = tuple[str, object, float, str]
"""Colour, line, width, and the name in the legend, if any."""


def _styles(curves: list[VoterCurve], own: str | None) -> list[tuple[VoterCurve, _Style]]:
    """Return how each curve is drawn: three that matter, and the others in the background."""
    named = [
        (own or "", palette.PROGRAM, "-", 2.4),
        (next((one.voter for one in curves if one.voter != own), ""), palette.STUDENT, DASHED, 1.8),
        ("plurality", palette.BASELINE, DOTTED, 2.0),
    ]
    styles: dict[str, _Style] = {}
    for voter, colour, line, width in named:
        role = " (the study's)" if voter == own else ""
        styles.setdefault(voter, (colour, line, width, f"{voter}{role}"))
    others = [one for one in curves if one.voter not in styles]
    crowd = [
        (one, (palette.VERSIONS, "-", 0.9, "the other voters" if place == 0 else ""))
        for place, one in enumerate(others)
    ]
    return [*crowd, *((one, styles[one.voter]) for one in curves if one.voter in styles)]


def _curve(drawing: Drawing, curve: VoterCurve, style: _Style) -> Artist | None:
    colour, line, width, label = style
    drawn = Line2D(
        curve.coverage,
        curve.accuracy,
        color=colour,
        linestyle=line,  # type: ignore[arg-type]
        linewidth=width,
        label=label or "_",
    )
    drawing.figure.axes[0].add_line(drawn)
    return drawn if label else None


def _matrix(triangle: list[list[float | None]]) -> Doubles:
    """Return the whole matrix of which every pair is given once."""
    versions = len(triangle) + 1
    matrix: Doubles = np.full((versions, versions), np.nan)
    for place, row in enumerate(triangle):
        values = np.array([np.nan if value is None else value for value in row])
        matrix[place, place + 1 :] = matrix[place + 1 :, place] = values
    return matrix
