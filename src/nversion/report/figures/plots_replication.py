"""The figure of a replication: the difference within every pair, row by row."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from nversion.replication.contrasts import ROWS, SHARES
from nversion.report.figures import palette
from nversion.report.figures.drawing import WIDE, Canvas, Drawing, dots, share_axis, swatch
from nversion.report.values import MISSING, join, signed_value
from nversion.study.sections import Replicated, ReplicatedContrast, Results

__all__ = ["pairs", "replicated_pairs"]

STRIP = 30
"""Height of one contrast's strip."""

SPREAD = 0.28
"""How far up and down a strip its marks lie, so that equal ones stay apart."""


def replicated_pairs(results: Results, canvas: Canvas) -> Drawing | None:
    """Draw the replication of a study, if it has one."""
    return None if results.replication is None else pairs(results.replication, canvas)


def pairs(found: Replicated, canvas: Canvas = WIDE) -> Drawing | None:
    """Draw a strip for each two arms, in a panel for each row: a mark a pair, mean and interval.

    Args:
        found: the replication.
        canvas: what to draw for.
    """
    rows = [row for row in ROWS if any(item.row == row for item in found.contrasts)]
    if not rows:
        return None
    columns = 1 if canvas.narrow else min(2, len(rows))
    lines = -(-len(rows) // columns)
    strips = max(sum(item.row == row for item in found.contrasts) for row in rows)
    drawing = Drawing.blank(canvas, 50 + lines * (70 + STRIP * strips))
    # The names of arms leave little room on a narrow page.
    ticks = 2 if canvas.narrow else 4
    grid = drawing.figure.subplots(lines, columns, squeeze=False)
    for place, axes in enumerate(grid.flat):
        if place >= len(rows):
            axes.set_axis_off()
            continue
        contrasts = [item for item in found.contrasts if item.row == rows[place]]
        _panel(drawing, axes, found, contrasts, named=place % columns == 0, ticks=ticks)
        axes.set_title(ROWS[rows[place]], fontsize=canvas.font, loc="left")
    drawing.figure.legend(
        handles=[
            swatch("a pair", hollow=True),
            swatch("mean, with its 95\u202f% interval", palette.STUDENT, marker="s"),
            swatch("the same, not told apart", palette.STUDENT, marker="s", hollow=True),
        ],
        loc="outside upper left",
        ncols=1 if canvas.narrow else 3,
    )
    drawing.alt = _said(found, rows)
    return drawing


def _panel(
    drawing: Drawing,
    axes: Axes,
    found: Replicated,
    contrasts: Sequence[ReplicatedContrast],
    *,
    named: bool,
    ticks: int,
) -> None:
    """Draw all strips of one row, the first above."""
    row = contrasts[0].row
    axes.axvline(0.0, color=palette.AXIS, linewidth=1.0, zorder=1)
    for place, item in enumerate(reversed(contrasts)):
        name = _name(item)
        known = found.differences(item)
        marks = dots(
            axes,
            [value for _, value in known],
            [place + _aside(index) for index in range(len(known))],
            size=5,
            hollow=True,
        )
        marks.set_label(name)
        drawing.name_marks(
            marks,
            [f"{name}, pair {_number(pair)}: {_written(row, value)}" for pair, value in known],
        )
        axes.plot(
            [item.low, item.high],
            [place, place],
            color=palette.STUDENT,
            linewidth=2.4,
            zorder=4,
            label=f"interval of {name}",
        )
        level = item.verdict not in ("better", "worse")
        mean = dots(
            axes, [item.difference], [place], size=9, colour=palette.STUDENT, marker="s",
            hollow=level,
        )  # fmt: skip
        mean.set_zorder(5)
        mean.set_label(f"mean of {name}")
        drawing.name_marks(
            mean, [f"{name}, mean: {_written(row, item.difference)} ({item.verdict})"]
        )
    axes.set_ylim(-0.6, len(contrasts) - 0.4)
    names = [_name(item) for item in reversed(contrasts)]
    axes.set_yticks(range(len(contrasts)), names if named else [""] * len(names))
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")
    if row in SHARES:
        share_axis(axes, "x", ticks)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(ticks))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: signed_value(value, 3)))


def _aside(index: int) -> float:
    """Return how far from the strip's middle the mark of one pair lies."""
    return SPREAD * (((index * 5) % 7) / 3 - 1)


def _number(repeat: str) -> str:
    """Return which pair it is, counted from 1."""
    return str(int(repeat) + 1) if repeat.isdecimal() else repeat


def _name(item: ReplicatedContrast) -> str:
    return f"{item.first} \u2212 {item.second}"


def _written(row: str, difference: float) -> str:
    if row in SHARES:
        return f"{signed_value(100 * difference, 2)} points"
    return signed_value(difference, 4)


def _said(found: Replicated, rows: Sequence[str]) -> str:
    """Return what the figure shows, in words."""
    told = []
    for row in rows:
        items = [item for item in found.contrasts if item.row == row]
        means = join(f"{_written(row, item.difference)} ({_name(item)})" for item in items)
        told.append(f"{ROWS[row]} {means}")
    count = max((item.pairs for item in found.contrasts), default=0)
    return (
        f"Strips of marks, one for each of {count or MISSING} pairs of networks: the difference "
        f"of two arms within the pair, with mean and interval. Mean differences: "
        f"{'; '.join(told)}."
    )
