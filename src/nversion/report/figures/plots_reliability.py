"""Figures of how versions fail together: heat map, histogram, and a vote as it grows.

They take values, not results, so that commands and reports draw the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, NullLocator

from nversion.measures.answers import Doubles
from nversion.reliability import CoincidentFailures, Growth
from nversion.report.figures import palette
from nversion.report.figures.drawing import (
    DASHED,
    DOTTED,
    WIDE,
    Canvas,
    Drawing,
    dots,
    legend,
    limits,
    share_axis,
    swatch,
    version_axis,
)
from nversion.report.values import percent, plural

__all__ = ["failures_histogram", "growth", "heat_map"]

_ANNOTATED = 12
"""Up to so many versions, a heat map's cells carry their number."""


def heat_map(matrix: Doubles, names: Sequence[str], measure: str, canvas: Canvas = WIDE) -> Drawing:
    """Draw a measure of all pairs of versions.

    Args:
        matrix: floating [versions, versions]; NaN is undefined, and the diagonal is left out.
        names: of the versions.
        measure: what it is, in words.
        canvas: what to draw for.
    """
    values = np.array(matrix, dtype=np.float64)
    np.fill_diagonal(values, np.nan)
    side = min(canvas.width - 150, 520)
    width = canvas.width if canvas.narrow else side + 160
    drawing = Drawing.blank(replace(canvas, width=width), side + 50)
    axes = drawing.figure.add_subplot()
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    shades = matplotlib.colormaps["bone_r"](np.linspace(0.0, 0.75, 128))
    colours = ListedColormap(shades).with_extremes(bad=palette.GRID)
    image = axes.imshow(values, cmap=colours, interpolation="nearest")
    defined = values[np.isfinite(values)]
    if len(names) <= _ANNOTATED and not canvas.narrow and len(defined):
        middle = (defined.min() + defined.max()) / 2
        for (row, column), value in np.ndenumerate(values):
            if np.isfinite(value):
                colour = palette.CELL_DARK if value <= middle else palette.CELL_LIGHT
                text = f"{value:.2f}".replace("0.", ".")
                axes.text(
                    column, row, text, ha="center", va="center", color=colour,
                    fontsize=canvas.font - 2,
                )  # fmt: skip
    step = 1 if len(names) <= 20 else 10
    shown = [n for n in range(len(names)) if step == 1 or n == 0 or (n + 1) % step == 0]
    ticks = [_short(names[n], n) if step == 1 else str(n + 1) for n in shown]
    axes.set_xticks(shown, ticks, rotation=0 if max(map(len, ticks)) < 4 else 90)
    axes.set_yticks(shown, ticks)
    axes.tick_params(length=0)
    bar = drawing.figure.colorbar(image, ax=axes, shrink=0.8, pad=0.03, aspect=24)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0)
    if canvas.narrow:
        axes.set_xlabel(measure)
    else:
        bar.set_label(measure)
    told = (
        f"from {defined.min():.3f} to {defined.max():.3f}, {defined.mean():.3f} in the mean"
        if len(defined)
        else "undefined for all of them"
    )
    drawing.alt = f"Heat map of the {measure} of all pairs of {len(names)} versions: {told}."
    return drawing


def failures_histogram(failures: CoincidentFailures, canvas: Canvas = WIDE) -> Drawing:
    """Draw how many images so many versions fail on, beside what independence predicts.

    The axis of images is logarithmic: most images fail no version, and the few that fail many are
    what matters.
    """
    drawing = Drawing.blank(canvas, 300 if canvas.narrow else 380)
    axes = drawing.figure.add_subplot()
    seen = failures.histogram.astype(np.float64)
    expected = failures.images * failures.independent
    numbers = np.arange(len(seen))
    bars = axes.bar(numbers, seen, width=0.76, color=palette.PROGRAM, alpha=0.85, linewidth=0)
    for patch, number, images in zip(bars, numbers, failures.histogram, strict=True):
        drawing.name_marks(
            patch, [f"{plural(int(number), 'version')}: {plural(int(images), 'image')}"]
        )
    least = 0.5
    drawn = expected >= least
    axes.plot(
        numbers[drawn], expected[drawn], color=palette.STUDENT, linestyle=DASHED, linewidth=1.6
    )
    marks = dots(
        axes, numbers[drawn].tolist(), expected[drawn].tolist(), size=6, colour=palette.STUDENT,
        marker="s",
    )  # fmt: skip
    drawing.name_marks(
        marks,
        [
            f"independent, {plural(int(n), 'version')}: {expected[n]:.3g} images"
            for n in numbers[drawn]
        ],
    )
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylim(least, 2.0 * max(seen.max(), expected.max()))
    axes.set_xlim(-0.6, len(seen) - 0.4)
    axes.set_xlabel("versions that fail on the same image")
    axes.set_ylabel("images")
    handles: list[Artist] = [
        Patch(color=palette.PROGRAM, alpha=0.85, linewidth=0, label="measured"),
        swatch("as independent versions would", palette.STUDENT, marker="s"),
    ]
    legend(axes, handles, canvas, narrow=1)
    drawing.alt = (
        f"Histogram of {plural(failures.images, 'image')} by how many of {failures.versions} "
        f"versions fail on them: two or more on {failures.coincidences}, where independent "
        f"versions would on {failures.expected_coincidences:.1f}."
    )
    return drawing


def growth(
    predicted: Growth,
    canvas: Canvas = WIDE,
    *,
    measured: Sequence[float] | None = None,
    low: Sequence[float] | None = None,
    high: Sequence[float] | None = None,
    measured_label: str = "measured, versions in the given order",
    band_label: str = "the middle 95\u202f% of random orders",
) -> Drawing:
    """Draw the accuracy that a vote of n versions is to be expected to have, and what was measured.

    Args:
        predicted: the exact mean over all choices of n versions, with its interval if it has one.
        canvas: what to draw for.
        measured: the accuracies of the first 1, 2, ... versions of an order, if they are known.
        low: the lower ends of a band over orders.
        high: the upper ends.
        measured_label: what to call `measured`.
        band_label: what to call the band.
    """
    drawing = Drawing.blank(canvas, 320 if canvas.narrow else 400)
    axes = drawing.figure.add_subplot()
    n = np.arange(1, len(predicted.right) + 1)
    shown = [predicted.right.tolist()]
    handles: list[Artist] = []
    if low is not None and high is not None:
        style = {"color": palette.VERSIONS, "alpha": 0.25, "linewidth": 0}
        axes.fill_between(n, list(low), list(high), **style)  # type: ignore[arg-type]
        handles.append(Patch(label=band_label, color=palette.VERSIONS, alpha=0.25, linewidth=0))
        shown += [list(low), list(high)]
    (line,) = axes.plot(
        n, predicted.right, color=palette.PROGRAM, linewidth=2.2,
        label="expected of n versions, taken at random",
    )  # fmt: skip
    handles.insert(0, line)
    if predicted.low is not None and predicted.high is not None:
        for ends in (predicted.low, predicted.high):
            (edge,) = axes.plot(
                n, ends, color=palette.PROGRAM, linewidth=1.0, linestyle=DOTTED,
                label="its 95\u202f% interval over images",
            )  # fmt: skip
            shown.append(ends.tolist())
        handles.insert(1, edge)
    if measured is not None:
        (order,) = axes.plot(
            n, measured, color=palette.STUDENT, linestyle=DASHED, linewidth=1.6,
            label=measured_label,
        )  # fmt: skip
        handles.append(order)
        shown.append(list(measured))
    axes.set_ylim(*limits([value for row in shown for value in row], top=1.002))
    axes.set_ylabel("right verdicts")
    share_axis(axes, "y")
    version_axis(axes, len(n), "n, versions in the program")
    legend(axes, handles, canvas, wide=2, narrow=1)
    one, most = percent(predicted.right[0]), percent(predicted.right[-1])
    drawing.alt = (
        f"Line of the accuracy to be expected of a vote of n versions: {one} with one, {most} with "
        f"all {len(n)}."
    )
    return drawing


def _short(name: str, place: int) -> str:
    return name[:10] if name.isascii() and name.isprintable() else str(place + 1)
