"""The figure of what buys diversity: single versions, their vote, and how failures correlate."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from nversion.diversification import Diversification
from nversion.report.figures import palette
from nversion.report.figures.drawing import (
    WIDE,
    Canvas,
    Drawing,
    dots,
    legend,
    share_axis,
    swatch,
)
from nversion.report.values import percent

__all__ = ["diversification"]


def diversification(found: Diversification, canvas: Canvas = WIDE) -> Drawing:
    """Draw a row for each source, that whose vote is the most accurate above.

    Args:
        found: what was measured, of one source at least.
        canvas: what to draw for.
    """
    rows = sorted(found.measured, key=lambda one: one.vote)
    height = 110 + 34 * len(rows)
    drawing = Drawing.blank(canvas, 2 * height if canvas.narrow else height)
    left, right = drawing.figure.subplots(
        *((2, 1) if canvas.narrow else (1, 2)), sharey=not canvas.narrow
    )
    places = list(range(len(rows)))
    for axes in (left, right):
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.set_yticks(places, [one.source for one in rows])
        axes.grid(visible=True, axis="x")
        axes.grid(visible=False, axis="y")
    for place, one in enumerate(rows):
        singles = dots(
            left, list(one.accuracies), [place] * len(one.accuracies), size=6, hollow=True
        )
        drawing.name_marks(
            singles,
            [
                f"{name}: {percent(value)}"
                for name, value in zip(one.names, one.accuracies, strict=True)
            ],
        )
    votes = dots(left, [one.vote for one in rows], places, size=9, colour=palette.PROGRAM)
    drawing.name_marks(votes, [f"vote of {one.source}: {percent(one.vote)}" for one in rows])
    left.set_xlabel("right on test images")
    share_axis(left, "x", 5)
    legend(
        left,
        [swatch("single versions", hollow=True), swatch("their vote", palette.PROGRAM)],
        canvas,
    )
    _correlations(drawing, right, found)
    legend(right, [swatch("with its 95\u202f% interval", palette.STUDENT, marker="s")], canvas)
    best, worst = rows[-1], rows[0]
    drawing.alt = (
        f"Two columns of marks, a row for each of {len(rows)} sources of diversity: accuracies of "
        f"single versions and of their vote, from {percent(worst.vote)} ({worst.source}) to "
        f"{percent(best.vote)} ({best.source}), and the correlation of failures."
    )
    return drawing


def _correlations(drawing: Drawing, axes: Axes, found: Diversification) -> None:
    """Draw the correlation of failures of each source, with its interval."""
    rows = sorted(found.measured, key=lambda one: one.vote)
    known = [(place, *one.measures["correlation"]) for place, one in enumerate(rows)]
    drawn = [three for three in known if three[1] is not None]
    for place, _, low, high in drawn:
        if low is not None and high is not None:
            axes.plot([low, high], [place, place], color=palette.STUDENT, linewidth=1.6)
    marks = dots(
        axes,
        [float(np.float64(value)) for _, value, *_ in drawn if value is not None],
        [place for place, *_ in drawn],
        size=7,
        colour=palette.STUDENT,
        marker="s",
    )
    drawing.name_marks(marks, [f"{rows[place].source}: {value:.3f}" for place, value, *_ in drawn])
    axes.set_xlabel("correlation of failures, mean over pairs")
