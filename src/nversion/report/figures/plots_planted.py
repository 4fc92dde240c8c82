"""The figure of a study's vote with faulty versions: right and wrong verdicts, by their number."""

from __future__ import annotations

from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes

from nversion.report.figures import palette
from nversion.report.figures.drawing import DASHED, DOTTED, Canvas, Drawing, share_axis
from nversion.report.text.faulty import KINDS
from nversion.report.values import percent
from nversion.study.sections import PlantedFault, PlantedFaults, Results

__all__ = ["faulty_versions"]

OUTCOMES = ("right", "wrong")


def faulty_versions(results: Results, canvas: Canvas) -> Drawing | None:
    """Draw right and wrong verdicts against the number of faulty versions, for each kind of fault.

    Bands are the 95 % intervals by test image.
    """
    found = results.program.faults
    if found is None or not found.curves or len(found.counts) < 2:
        return None
    kinds = list(dict.fromkeys(curve.kind for curve in found.curves))
    shape = (len(kinds), 2) if canvas.narrow else (2, len(kinds))
    drawing = Drawing.blank(canvas, 60 + 170 * shape[0])
    grid = drawing.figure.subplots(*shape, squeeze=False, sharex=True, sharey=True)
    styles = _styles(found, results.program.voter)
    handles: list[Artist] = []
    for column, kind in enumerate(kinds):
        for row, outcome in enumerate(OUTCOMES):
            axes = grid[column, row] if canvas.narrow else grid[row, column]
            curves = [curve for curve in found.curves if curve.kind == kind]
            drawn = _panel(axes, found.counts, curves, outcome, styles)
            handles = handles or drawn
            axes.set_title(_title(kind, outcome), fontsize=canvas.font, color=palette.INK)
    for axes in grid[-1]:
        axes.set_xlabel("faulty versions")
    for axes in grid[:, 0]:
        axes.set_ylabel("images")
    drawing.figure.legend(
        handles=handles, loc="outside upper left", ncols=1 if canvas.narrow else 4, frameon=False
    )
    drawing.alt = _said(found, kinds, results.program.voter)
    return drawing


def _title(kind: str, outcome: str) -> str:
    return f"{KINDS.get(kind, (kind, ''))[0]}: {outcome}"


def _panel(
    axes: Axes,
    counts: list[int],
    curves: list[PlantedFault],
    outcome: str,
    styles: dict[str, dict[str, Any]],
) -> list[Artist]:
    """Draw one outcome of one kind of fault, for all voters."""
    handles: list[Artist] = []
    for curve in reversed(curves):
        style = styles[curve.voter]
        low, high = getattr(curve, f"{outcome}_low"), getattr(curve, f"{outcome}_high")
        axes.fill_between(counts, low, high, color=style["color"], alpha=0.18, linewidth=0)
        (line,) = axes.plot(counts, getattr(curve, outcome), **style)
        handles.insert(0, line)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlim(0, counts[-1])
    axes.locator_params(axis="x", nbins=5, integer=True)
    share_axis(axes, "y", ticks=3)
    return handles


def _styles(found: PlantedFaults, own: str | None) -> dict[str, dict[str, Any]]:
    """Return how each voter's line is drawn, the study's own first."""
    looks = [(palette.PROGRAM, "-"), (palette.STUDENT, DASHED), (palette.BASELINE, DOTTED)]
    voters = list(dict.fromkeys(curve.voter for curve in found.curves))
    voters.sort(key=lambda voter: voter != own)
    return {
        voter: {
            "color": colour,
            "linestyle": line,
            "linewidth": 2.2 if place == 0 else 1.8,
            "label": f"{voter} (the study's)" if voter == own else voter,
        }
        for place, voter in enumerate(voters)
        for colour, line in [looks[place] if place < len(looks) else (palette.VERSIONS, "-")]
    }


def _said(found: PlantedFaults, kinds: list[str], own: str | None) -> str:
    """Return what the figure shows, in words."""
    parts = []
    for kind in kinds:
        curve = found.of(kind, own) or next(c for c in found.curves if c.kind == kind)
        most = max(curve.wrong)
        parts.append(
            f"{KINDS.get(kind, (kind, ''))[0]}, {percent(curve.right[-1])} right with "
            f"{found.counts[-1]} faulty and {percent(most)} wrong at the most (with "
            f"{found.counts[curve.wrong.index(most)]})"
        )
    start = found.curves[0]
    return (
        f"Lines of the shares of right and of wrong verdicts on {found.images} test images against "
        f"the number of faulty versions, a pair of panels for each kind of fault, a line for each "
        f"voter. {start.voter}: {percent(start.right[0])} right with none; {'; '.join(parts)}."
    )
