"""The figure of faulty versions: what becomes of the verdicts as more and more versions fail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from nversion.program.campaigns.injecting import Injected, InjectionReport
from nversion.report.figures import palette
from nversion.report.figures.drawing import WIDE, Canvas, Drawing, share_axis
from nversion.report.values import percent

__all__ = ["faults"]

OUTCOMES: Mapping[str, tuple[str, float, str]] = {
    "right": (palette.PROGRAM, 0.85, ""),
    "abstained": (palette.VERSIONS, 0.35, "///"),
    "wrong": (palette.STUDENT, 0.85, ""),
}
"""Colour, opacity and hatching of what a verdict may be, from the bottom up."""

COLUMNS = 3
"""Kinds of faults side by side, on a wide canvas."""


def faults(report: InjectionReport, canvas: Canvas = WIDE) -> Drawing:
    """Draw the shares of right, withheld and wrong verdicts against the number of faulty versions.

    One small figure for each kind of fault.

    Args:
        report: of a campaign.
        canvas: what to draw for.
    """
    kinds: dict[str, list[Injected]] = {}
    for row in report.rows:
        kinds.setdefault(row.kind, []).append(row)
    columns = 1 if canvas.narrow else min(COLUMNS, len(kinds))
    lines = -(-len(kinds) // columns)
    drawing = Drawing.blank(canvas, 70 + 170 * lines)
    grid = drawing.figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
    for place, axes in enumerate(grid.flat):
        if place >= len(kinds):
            axes.set_axis_off()
            continue
        kind, rows = list(kinds.items())[place]
        _stack(axes, rows, report.images)
        axes.set_title(kind, fontsize=canvas.font)
        if place % columns == 0:
            axes.set_ylabel("images")
        if place >= len(kinds) - columns:
            axes.set_xlabel("faulty versions")
            axes.tick_params(labelbottom=True)
    drawing.figure.legend(
        handles=_handles(), loc="outside upper left", ncols=3, frameon=False, handlelength=1.4
    )
    drawing.alt = _said(kinds, report)
    return drawing


def _stack(axes: Axes, rows: Sequence[Injected], images: int) -> None:
    """Draw a bar for each number of faulty versions."""
    numbers = np.array([len(row.faulty) for row in rows])
    below = np.zeros(len(rows))
    for outcome, (colour, alpha, hatch) in OUTCOMES.items():
        share = np.array([getattr(row, outcome) for row in rows]) / images
        axes.bar(numbers, share, 0.8, below, color=colour, alpha=alpha, hatch=hatch, linewidth=0)
        below += share
    axes.set_xticks(numbers[:: max(1, -(-len(numbers) // 8))])
    axes.set_ylim(0.0, 1.0)
    share_axis(axes, "y", ticks=3)


def _handles() -> list[Artist]:
    names = {"right": "right", "abstained": "no verdict", "wrong": "wrong"}
    return [
        Patch(label=names[outcome], color=colour, alpha=alpha, hatch=hatch, linewidth=0)
        for outcome, (colour, alpha, hatch) in OUTCOMES.items()
    ]


def _said(kinds: Mapping[str, Sequence[Injected]], report: InjectionReport) -> str:
    """Return what the figure shows, in words."""
    parts = []
    for kind, rows in kinds.items():
        worst = max(rows, key=lambda row: row.wrong)
        parts.append(
            f"{kind}, {percent(rows[0].right / report.images)} right with none and "
            f"{percent(rows[-1].right / report.images)} with {len(rows[-1].faulty)}, at the most "
            f"{percent(worst.wrong / report.images)} wrong (with {len(worst.faulty)})"
        )
    return (
        f"Bars of the verdicts of {report.voter} (quorum {report.quorum}) on {report.images} "
        f"images, by the number of faulty versions: {'; '.join(parts)}."
    )
