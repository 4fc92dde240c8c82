"""Figures of the program: accuracy by N, transfer between versions.

The first follows figure 5 of the study of 2019; the other is ours.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, TypeAlias

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch

from nversion.report.figures import palette
from nversion.report.figures.drawing import (
    DASHED,
    DOTTED,
    Canvas,
    Drawing,
    dots,
    legend,
    limits,
    share_axis,
    version_axis,
)
from nversion.report.values import MISSING, percent, plural
from nversion.study.sections import Results

__all__ = ["accuracy_by_n", "transfer"]

Matrix: TypeAlias = np.ndarray[tuple[int, int], np.dtype[np.float64]]

_BELOW = "#15151c"  # Cells below a heat map's scale.
_ANNOTATED = 12  # Up to so many rows and columns, a heat map's cells carry their number.


def accuracy_by_n(results: Results, canvas: Canvas) -> Drawing | None:
    """Draw the program's adversarial accuracy for N = 1, 2, ... over bars of the single versions.

    The line takes the versions in the given order; the dashed line and its band are the mean and
    the middle 95 % over random orders; the dotted one takes the best on test images first.
    """
    measured = enumerate(results.program.accuracy_by_n, start=1)
    curve = [(n, value) for n, value in measured if value is not None]
    if not curve:
        return None
    drawing = Drawing.blank(canvas, 340 if canvas.narrow else 420)
    axes = drawing.figure.add_subplot()
    bars = _single_accuracies(results)
    low, high = limits(
        [value for _, value in curve] + [value for _, _, value in bars], least=0.04, top=1.005
    )
    # Bars invite the eye to compare their lengths: they start at zero unless all are long.
    low = 0.0 if low < 0.4 else low
    handles: list[Artist] = []
    if bars:
        handles.append(_bars(drawing, axes, bars, low))
    handles += _orders(results, axes)
    handles += _best_first(results, axes)
    (line,) = axes.plot(
        *zip(*curve, strict=True),
        color=palette.PROGRAM,
        linewidth=2.4,
        label="program, versions in the given order",
        zorder=4,
        clip_on=False,
    )
    size = 7.0 if len(curve) <= 20 else 2.0
    marks = dots(axes, *zip(*curve, strict=True), size=size, colour=palette.PROGRAM)
    marks.set_zorder(5)
    drawing.name_marks(marks, [f"N = {n}: {percent(value)}" for n, value in curve])
    handles.insert(0, line)
    axes.set_ylim(low, high)
    note = f" (axis from {percent(low, 0)})" if low > 0 else ""
    axes.set_ylabel(f"adversarial accuracy{note}")
    share_axis(axes, "y")
    version_axis(axes, max(curve[-1][0], len(bars)), "N, versions in the program")
    legend(axes, handles, canvas, wide=2, narrow=1)
    drawing.alt = (
        f"Line of the program's adversarial accuracy, from {percent(curve[0][1])} with "
        f"{plural(curve[0][0], 'version')} to {percent(curve[-1][1])} with {curve[-1][0]}, over "
        "bars of the single versions."
    )
    return drawing


def transfer(results: Results, canvas: Canvas) -> Drawing | None:
    """Draw each version's accuracy on the images that were made against each other one."""
    matrix = _matrix(results)
    if matrix is None:
        return None
    cells = max(matrix.shape)
    side = canvas.width - 130 if canvas.narrow else 500
    cell = min(side / cells, 56)
    width = canvas.width if canvas.narrow else int(cell * matrix.shape[1]) + 160
    drawing = Drawing.blank(
        replace(canvas, width=max(width, 300)), int(cell * matrix.shape[0]) + 70
    )
    axes = drawing.figure.add_subplot()
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    sources, targets = results.transfer.sources, results.transfer.targets
    bottom = _floor(matrix, sources, targets)
    lowest = float(np.nanmin(matrix))
    shades = matplotlib.colormaps["bone"](np.linspace(0.32, 1.0, 128))
    colours = ListedColormap(shades).with_extremes(bad=palette.GRID, under=_BELOW)
    image = axes.imshow(matrix, cmap=colours, vmin=bottom, vmax=1.0, interpolation="nearest")
    shown = image.to_rgba(matrix)
    if cells <= _ANNOTATED and not (canvas.narrow and matrix.shape[1] > 6):
        for (row, column), value in np.ndenumerate(matrix):
            if np.isfinite(value):
                light = _luminance(*shown[row, column, :3]) > 0.18
                colour = palette.CELL_DARK if light else palette.CELL_LIGHT
                axes.text(
                    column,
                    row,
                    f"{100 * value:.0f}",
                    ha="center",
                    va="center",
                    color=colour,
                    fontsize=canvas.font - 1,
                )
    places = {version.name: str(n) for n, version in enumerate(results.versions, start=1)}
    for axis, names in ((axes.xaxis, targets), (axes.yaxis, sources)):
        step = 1 if len(names) <= 20 else 10 if len(names) <= 120 else len(names) // 10
        chosen = [i for i in range(len(names)) if step == 1 or i == 0 or (i + 1) % step == 0]
        axis.set_ticks(chosen, [places.get(names[i]) or _short(names[i], i + 1) for i in chosen])
    axes.tick_params(length=0)
    axes.set_xlabel("tested on version")
    axes.set_ylabel("images made against version")
    extend = "min" if lowest < bottom else "neither"
    bar = drawing.figure.colorbar(
        image, ax=axes, shrink=0.8, pad=0.03, aspect=24, extend=extend, extendfrac=0.04
    )
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0)
    share_axis(bar.ax, "y", 5)
    bar.set_label("accuracy")
    drawing.alt = (
        f"Heat map of {matrix.shape[0]} by {matrix.shape[1]} accuracies: a row for the version "
        "that the images were made against, a column for the version that they were tested on; "
        f"the lowest is {percent(lowest)}, the highest {percent(float(np.nanmax(matrix)))}."
    )
    return drawing


def _single_accuracies(results: Results) -> list[tuple[int, str, float]]:
    """Return (N at which it joins, name, adversarial accuracy) for the program's versions."""
    known = {
        version.name or MISSING: version.adversarial_accuracy
        for version in results.versions
        if version.adversarial_accuracy is not None
    }
    names = list(known) if results.program.versions is None else results.program.versions
    return [(n, name, known[name]) for n, name in enumerate(names, 1) if name in known]


def _bars(drawing: Drawing, axes: Axes, bars: list[tuple[int, str, float]], low: float) -> Artist:
    style: dict[str, Any] = {"color": palette.VERSIONS, "alpha": 0.5, "linewidth": 0}
    container = axes.bar(
        [place for place, _, _ in bars],
        [value - low for *_, value in bars],
        bottom=low,
        width=0.72,
        **style,
    )
    for patch, (_, name, value) in zip(container, bars, strict=True):
        drawing.name_marks(patch, [f"{name} alone: {percent(value)}"])
    return Patch(label="each version alone", **style)


def _orders(results: Results, axes: Axes) -> list[Artist]:
    """Draw the mean and the 95 % band over random orders, if they were measured."""
    known = results.program.accuracy_by_n_orders
    if known is None:
        return []
    columns = zip(known.mean, known.low, known.high, strict=False)
    points = [
        (float(n), mean, low, high)
        for n, (mean, low, high) in enumerate(columns, start=1)
        if mean is not None and low is not None and high is not None
    ]
    if not points:
        return []
    x, mean, low, high = (list(column) for column in zip(*points, strict=True))
    several = f"{known.orders:,} random orders" if known.orders else "random orders"
    band = axes.fill_between(
        x,
        low,
        high,
        color=palette.PROGRAM,
        alpha=0.2,
        linewidth=0,
        label="the middle 95\u202f% of them",
    )
    (line,) = axes.plot(
        x,
        mean,
        color=palette.PROGRAM,
        linestyle=DASHED,
        linewidth=1.6,
        label=f"mean over {several}",
        zorder=3,
    )
    return [line, band]


def _best_first(results: Results, axes: Axes) -> list[Artist]:
    """Draw the program with the versions that are best on test images first, if it is known."""
    selection = results.reliability.selection
    orders = None if selection is None else selection.adversarial
    if orders is None or not orders.best_first:
        return []
    (line,) = axes.plot(
        range(1, len(orders.best_first) + 1),
        orders.best_first,
        color=palette.STUDENT,
        linestyle=DOTTED,
        linewidth=1.8,
        label="the best on test images first",
        zorder=3,
    )
    return [line]


def _matrix(results: Results) -> Matrix | None:
    """Return the transfer accuracies [sources, targets], NaN where unknown, or None."""
    known = results.transfer
    if not known.sources or not known.targets or len(known.accuracy) != len(known.sources):
        return None
    if any(len(row) != len(known.targets) for row in known.accuracy):
        return None
    cells = [[np.nan if cell is None else cell for cell in row] for row in known.accuracy]
    matrix = np.array(cells)
    return matrix if np.isfinite(matrix).sum() > 1 else None


def _floor(
    matrix: Matrix,
    sources: list[str],
    targets: list[str],
) -> float:
    """Return where the colours begin: below the accuracies on other versions' images.

    On images made against itself a version is nearly always wrong; were those cells on the scale,
    all the others would look the same.
    """
    own = np.array([[source == target for target in targets] for source in sources])
    others = matrix[~own & np.isfinite(matrix)]
    lowest = float(others.min()) if others.size else float(np.nanmin(matrix))
    return max(0.0, min(math.floor(10 * lowest) / 10, 0.9))


def _short(name: str, place: int) -> str:
    """Return a name that fits a tick, or its place if the figures' font may lack its letters."""
    return name[:10] if name.isascii() and name.isprintable() else str(place)


def _luminance(*colour: float) -> float:
    """Return the relative luminance of red, green, blue, by the Web's rules for contrast."""
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
