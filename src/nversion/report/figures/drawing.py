"""What all figures share: the canvas, the house style, axes in per cent, and marks with a name.

Figures use matplotlib's object-oriented interface; pyplot and its state are never touched. One
unit of length is one CSS pixel, so that text has its true size in the page. Each figure is drawn
twice, wide and narrow, because a wide one shrunk to a phone's width cannot be read.
"""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from nversion.report.figures import palette
from nversion.report.values import percent

__all__ = [
    "DASHED",
    "DOTTED",
    "NARROW",
    "WIDE",
    "Canvas",
    "Drawing",
    "dots",
    "house_style",
    "legend",
    "limits",
    "share_axis",
    "swatch",
    "version_axis",
]

DOTTED = (0, (2, 3))
DASHED = (0, (5, 2))

_DPI = 72  # One typographic point is then one pixel of the page.


@dataclass(frozen=True)
class Canvas:
    """A width to draw for, in CSS pixels, and the sizes that go with it."""

    width: int
    narrow: bool
    font: float

    def marker(self, marks: int) -> float:
        """Return a marker's diameter that leaves `marks` of them in a row apart."""
        return max(3.6, min(9.0, 0.62 * self.width / max(marks, 1)))


WIDE = Canvas(width=840, narrow=False, font=13)
NARROW = Canvas(width=356, narrow=True, font=12)


@dataclass
class Drawing:
    """A figure, what it shows in words, and the names of its marks.

    Attributes:
        figure: the matplotlib figure.
        alt: what the figure shows, for those who cannot see it.
        tips: for each group of marks (by the artist's id), one text a mark, in drawing order.
    """

    figure: Figure
    alt: str
    tips: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def blank(cls, canvas: Canvas, height: int) -> Drawing:
        """Return an empty drawing as wide as the canvas, `height` CSS pixels high."""
        size = (canvas.width / _DPI, height / _DPI)
        engine = ConstrainedLayoutEngine(w_pad=6 / _DPI, h_pad=6 / _DPI)
        return cls(Figure(figsize=size, dpi=_DPI, layout=engine), "")

    @functools.cached_property
    def svg(self) -> str:
        """The figure as an SVG document: the same text for the same figure."""
        buffer = io.BytesIO()
        with house_style():
            metadata = {"Date": None, "Creator": None}
            self.figure.savefig(buffer, format="svg", metadata=metadata)
        return buffer.getvalue().decode("utf-8")

    def png(self) -> bytes:
        """Return the figure as a PNG file's bytes, two dots for each CSS pixel."""
        buffer = io.BytesIO()
        with house_style():
            self.figure.savefig(buffer, format="png", dpi=2 * _DPI, metadata={"Software": None})
        return buffer.getvalue()

    def name_marks(self, artist: Artist, texts: Iterable[str]) -> None:
        """Give each mark of an artist a text that shows when the pointer rests on it."""
        identity = f"tip-{len(self.tips)}"
        artist.set_gid(identity)
        self.tips[identity] = list(texts)


@contextlib.contextmanager
def house_style(font: float = WIDE.font) -> Iterator[None]:
    """Draw and save in the report's style, whatever the user's matplotlibrc says.

    Text is never read as mathematics (names may hold dollar signs), SVG text stays text, and the
    ids in an SVG file depend on nothing but its content. Matplotlib keeps these settings in one
    place for the whole process; they are put back on exit.
    """
    settings: Any = {
        "axes.axisbelow": True,
        "axes.edgecolor": palette.AXIS,
        "axes.facecolor": "none",
        "axes.grid": True,
        "axes.grid.axis": "y",
        "axes.labelcolor": palette.MUTED,
        "axes.labelsize": font,
        "axes.linewidth": 1.0,
        "axes.spines.left": False,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.unicode_minus": True,
        "figure.facecolor": palette.PAPER,
        "font.family": ["DejaVu Sans"],
        "font.size": font,
        "grid.color": palette.GRID,
        "grid.linewidth": 1.0,
        "legend.borderaxespad": 0.0,
        "legend.borderpad": 0.0,
        "legend.columnspacing": 1.6,
        "legend.fontsize": font,
        "legend.frameon": False,
        "legend.handletextpad": 0.5,
        "legend.labelcolor": palette.INK,
        "lines.solid_capstyle": "round",
        "savefig.facecolor": "auto",
        "svg.fonttype": "none",
        "svg.hashsalt": "nversion",
        "text.color": palette.INK,
        "text.parse_math": False,
        "xtick.color": palette.AXIS,
        "xtick.labelcolor": palette.MUTED,
        "xtick.labelsize": font,
        "xtick.major.size": 4,
        "ytick.color": palette.AXIS,
        "ytick.labelcolor": palette.MUTED,
        "ytick.labelsize": font,
        "ytick.major.size": 0,
    }
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(settings)
        yield


def limits(
    values: Sequence[float], *, least: float = 0.01, top: float = 1.0
) -> tuple[float, float]:
    """Return limits of an axis of shares that leave room around the values, within [0, `top`].

    Args:
        values: shares in [0, 1]; at least one.
        least: the least distance between the limits.
        top: the highest upper limit; a little over 1 keeps marks at 100 % whole.
    """
    low, high = min(values), max(values)
    room = max(0.08 * (high - low), (least - (high - low)) / 2)
    return max(0.0, low - room), min(top, high + room)


def share_axis(axes: Axes, which: str, ticks: int = 6) -> None:
    """Label one axis ("x" or "y") of shares in per cent, with the decimals its steps need."""
    axis = axes.yaxis if which == "y" else axes.xaxis
    axis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 2.5, 5, 10]))
    low, high = sorted(axis.get_view_interval())
    shown = [tick for tick in axis.get_major_locator()() if low - 1e-9 <= tick <= high + 1e-9]
    step = min((b - a for a, b in itertools.pairwise(shown)), default=1.0)
    decimals = 0 if _whole(100 * step) else 1 if _whole(1000 * step) else 2
    axis.set_major_formatter(FuncFormatter(lambda value, _: percent(value, decimals)))


def version_axis(axes: Axes, versions: int, label: str = "version, by its number") -> None:
    """Label the x axis with the versions' numbers, from 1 to `versions`."""
    # A bar or mark of a study with few versions keeps an ordinary width.
    middle, half = (versions + 1) / 2, max(versions, 5) / 2 + 0.1
    axes.set_xlim(middle - half, middle + half)
    axes.set_xlabel(label)
    if versions <= 12:
        axes.set_xticks(range(1, versions + 1))
    else:
        step = 5 if versions <= 40 else 10 if versions <= 120 else max(versions // 10, 1)
        axes.set_xticks([1, *range(step, versions + 1, step)])


def dots(
    axes: Axes,
    x: Sequence[float],
    y: Sequence[float],
    *,
    size: float,
    colour: str = palette.VERSIONS,
    marker: str = "o",
    hollow: bool = False,
) -> Line2D:
    """Draw marks without a line, with a rim in the paper's colour so that they stay apart."""
    (marks,) = axes.plot(
        x,
        y,
        linestyle="none",
        marker=marker,
        markersize=0.88 * size if marker == "s" else size,
        markerfacecolor=palette.PAPER if hollow else colour,
        markeredgecolor=colour if hollow else palette.PAPER,
        markeredgewidth=(1.4 if size > 4 else 1.0) if hollow else min(0.7, 0.1 * size),
        zorder=3,
        clip_on=False,
    )
    return marks


def swatch(
    label: str, colour: str = palette.VERSIONS, *, marker: str = "o", hollow: bool = False
) -> Line2D:
    """Return a legend's entry for marks."""
    return Line2D(
        [],
        [],
        linestyle="none",
        marker=marker,
        markersize=7,
        markerfacecolor="none" if hollow else colour,
        markeredgecolor=colour,
        markeredgewidth=1.4,
        label=label,
    )


def legend(
    axes: Axes, handles: Sequence[Artist], canvas: Canvas, *, wide: int = 5, narrow: int = 2
) -> None:
    """Put a legend above the axes, in at most so many columns as fit the canvas."""
    axes.legend(
        handles=list(handles),
        loc="lower left",
        bbox_to_anchor=(0.0, 1.03),
        ncols=min(narrow if canvas.narrow else wide, len(handles)),
    )


def _whole(value: float) -> bool:
    return abs(value - round(value)) < 1e-6
