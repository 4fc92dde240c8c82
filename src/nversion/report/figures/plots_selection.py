"""The figure of a selection: a vote as versions are added, in several orders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.patches import Patch

from nversion.report.figures import palette
from nversion.report.figures.drawing import (
    DASHED,
    DOTTED,
    WIDE,
    Canvas,
    Drawing,
    legend,
    limits,
    share_axis,
    version_axis,
)
from nversion.report.values import percent
from nversion.selection.orders import OrderBand

__all__ = ["orders"]

STYLES = (
    (palette.PROGRAM, "-", 2.2),
    (palette.STUDENT, DASHED, 1.6),
    (palette.BASELINE, DOTTED, 1.8),
)
"""Colour, line and width of the curves, in their order."""


def orders(
    curves: Mapping[str, Sequence[float]], band: OrderBand | None = None, canvas: Canvas = WIDE
) -> Drawing:
    """Draw the accuracies of the first 1, 2, ... versions of up to three orders.

    Args:
        curves: by what the order is called, at least one.
        band: over random orders.
        canvas: what to draw for.
    """
    drawing = Drawing.blank(canvas, 320 if canvas.narrow else 400)
    axes = drawing.figure.add_subplot()
    handles: list[Artist] = []
    shown = [value for curve in curves.values() for value in curve]
    most = max(len(curve) for curve in curves.values())
    for (name, curve), (colour, line, width) in zip(curves.items(), STYLES, strict=False):
        (drawn,) = axes.plot(
            np.arange(1, len(curve) + 1),
            curve,
            color=colour,
            linestyle=line,
            linewidth=width,
            label=name,
        )
        handles.append(drawn)
    if band is not None:
        n = np.arange(1, len(band.mean) + 1)
        axes.fill_between(n, band.low, band.high, color=palette.VERSIONS, alpha=0.25, linewidth=0)
        label = "the middle 95\u202f% of random orders"
        handles.append(Patch(label=label, color=palette.VERSIONS, alpha=0.25, linewidth=0))
        shown += [*band.low.tolist(), *band.high.tolist()]
        most = max(most, len(n))
    axes.set_ylim(*limits(shown, top=1.002))
    axes.set_ylabel("right verdicts")
    share_axis(axes, "y")
    version_axis(axes, most, "n, versions in the program")
    legend(axes, handles, canvas, wide=2, narrow=1)
    ends = "; ".join(
        f"{name}, {percent(curve[0])} with one and {percent(curve[-1])} with {len(curve)}"
        for name, curve in curves.items()
    )
    drawing.alt = f"Lines of the accuracy of a vote as versions are added: {ends}."
    return drawing
