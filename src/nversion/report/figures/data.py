"""The data behind a figure, as CSV: what its marks, lines, bars and cells stand for.

They are read from the drawing itself, so that they are what the figure shows.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import Collection, PathCollection
from matplotlib.container import BarContainer

from nversion.report.figures.drawing import Drawing

__all__ = ["csv_text", "figure_csv"]

HEADS = ("panel", "series", "mark", "x", "y", "value")


def figure_csv(drawing: Drawing) -> str:
    """Return the data of a figure as CSV; "" if it shows pictures alone.

    The columns are the panel (its title, or its number), the series (as in the legend), the mark
    (its name), x and y in the units of the axes (shares are fractions, not per cent), and the value
    of a heat map's cell.
    """
    rows = [
        (axes.get_title() or str(place), *row)
        for place, axes in enumerate(drawing.figure.axes, start=1)
        for row in _rows(axes, drawing)
    ]
    return csv_text(HEADS, rows) if rows else ""


def csv_text(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return rows as CSV, no cell of which a spreadsheet takes for a formula."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows([[_safe(cell) for cell in row] for row in rows])
    return buffer.getvalue()


def _safe(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t") else cell


Row = tuple[str, str, float, float, float | str]


def _rows(axes: Axes, drawing: Drawing) -> Iterator[Row]:
    """Yield the series, mark, x, y and value of all that axes hold."""
    for line in axes.lines:
        names = drawing.tips.get(line.get_gid() or "", [])
        for place, (x, y) in enumerate(np.asarray(line.get_xydata(), dtype=float)):
            name = names[place] if place < len(names) else ""
            yield _series(line.get_label()), name, float(x), float(y), ""
    for bars in axes.containers:
        if isinstance(bars, BarContainer):
            for bar in bars.patches:
                top = bar.get_y() + bar.get_height()
                name = "; ".join(drawing.tips.get(bar.get_gid() or "", []))
                middle = bar.get_x() + bar.get_width() / 2
                yield _series(bars.get_label()), name, middle, top, ""
    for collection in axes.collections:
        yield from _collected(collection)
    for image in axes.images if axes.axison else []:
        cells = np.asarray(image.get_array(), dtype=float)
        if cells.ndim == 2:
            for (row, column), value in np.ndenumerate(cells):
                yield "", "", float(column + 1), float(row + 1), float(value)


def _collected(collection: Collection) -> Iterator[Row]:
    """Yield the marks of a scatter plot, or the corners of a band."""
    label = _series(collection.get_label())
    if isinstance(collection, PathCollection):
        for x, y in np.asarray(collection.get_offsets(), dtype=float):
            yield label, "", float(x), float(y), ""
    else:
        for path in collection.get_paths():
            for x, y in np.asarray(path.vertices, dtype=float):
                yield label, "edge of the band", float(x), float(y), ""


def _series(label: object) -> str:
    written = str(label or "")
    return "" if written.startswith("_") else written
