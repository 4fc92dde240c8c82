"""The figure of attacks on the program itself: which share of images holds up to a radius."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from nversion.report.figures import palette
from nversion.report.figures.drawing import DASHED, DOTTED, Canvas, Drawing, legend, share_axis
from nversion.report.text.whole import grown, main_subjects, median_words
from nversion.report.values import norm_name
from nversion.study.sections import Results, WholeSubject

__all__ = ["holding_accuracy"]


def holding_accuracy(results: Results, canvas: Canvas) -> Drawing | None:
    """Draw the share of images that no attack on the subject itself changed, as radii grow."""
    whole = results.program.whole
    if whole is None or not whole.subjects:
        return None
    norms = [norm for norm in ("2", "inf") if norm in whole.subjects[0].norms]
    if not norms:
        return None
    height = 330 * len(norms) if canvas.narrow else 400
    drawing = Drawing.blank(canvas, height)
    shape = (len(norms), 1) if canvas.narrow else (1, len(norms))
    panels = drawing.figure.subplots(*shape, squeeze=False).flatten()
    said = []
    for axes, norm in zip(panels, norms, strict=True):
        handles = _panel(axes, whole.subjects, norm)
        axes.set_xlabel(f"size of the change in {norm_name(norm)}, pixel range [0, 1]")
        axes.set_ylabel("images that hold")
        legend(axes, handles, canvas, wide=2, narrow=2)
        said += [
            f"{subject.name} in {norm_name(norm)} {median_words(subject.norms[norm])}"
            for subject in main_subjects(whole)
        ]
    drawing.alt = (
        "Share of images on which no attack on the network or program itself found a change up to "
        f"a radius, falling as the radius grows. Medians: {', '.join(said)}."
    )
    return drawing


def _panel(axes: Axes, subjects: Sequence[WholeSubject], norm: str) -> list[Line2D]:
    """Draw all subjects in one norm."""
    known = [d for one in subjects for d in one.norms[norm].distances if d is not None]
    end = max(known, default=1.0) * 1.05
    handles: list[Line2D] = []
    sizes = grown(subjects)
    for subject in subjects:
        style = _style(subject, sizes)
        x, y = _falling(subject.norms[norm].distances, end)
        (line,) = axes.plot(x, y, drawstyle="steps-post", **style)
        if subject.kind != "program" or subject.versions in (sizes[0], sizes[-1]):
            handles.append(line)
    handles = _versions_as_one(handles, subjects)
    axes.set_ylim(0, 1.02)
    axes.set_xlim(0, end)
    axes.grid(visible=True, axis="both")
    axes.locator_params(axis="x", nbins=5)
    share_axis(axes, "y")
    return handles


def _versions_as_one(handles: Sequence[Line2D], subjects: Sequence[WholeSubject]) -> list[Line2D]:
    """Return what a legend shows: one entry for all versions, whose lines are drawn alike."""
    drawn = [f"version {one.name}" for one in subjects if one.kind == "version"]
    if len(drawn) < 2:
        return list(handles)
    shared = Line2D([], [], color=palette.VERSIONS, linewidth=1.8, label="single versions")
    first = next(place for place, one in enumerate(handles) if one.get_label() in drawn)
    rest = [one for one in handles if one.get_label() not in drawn]
    return [*rest[:first], shared, *rest[first:]]


def _style(subject: WholeSubject, sizes: Sequence[int]) -> dict[str, Any]:
    """Return how a subject's line is drawn; smaller programs are the fainter, the smaller."""
    if subject.kind == "program":
        rank = sizes.index(subject.versions) + 1
        whole = subject.versions == sizes[-1]
        return {
            "color": palette.PROGRAM,
            "linewidth": 2.6 if whole else 1.2,
            "alpha": 1.0 if whole else 0.25 + 0.5 * rank / len(sizes),
            "label": subject.name,
            "zorder": 4 if whole else 2,
        }
    colours = {
        "version": (palette.VERSIONS, "-"),
        "baseline": (palette.BASELINE, DASHED),
        "student": (palette.STUDENT, DOTTED),
    }
    colour, dashes = colours[subject.kind]
    return {
        "color": colour,
        "linestyle": dashes,
        "linewidth": 1.8,
        "label": f"version {subject.name}" if subject.kind == "version" else str(subject.name),
        "zorder": 3,
    }


def _falling(distances: Sequence[float | None], end: float) -> tuple[list[float], list[float]]:
    """Return the steps of the share that holds beyond r, as r grows from 0 to `end`."""
    found = sorted(math.inf if one is None else one for one in distances)
    count = len(found)
    x, y = [0.0], [sum(one > 0 for one in found) / count]
    for place, one in enumerate(found):
        if 0 < one < math.inf:
            x.append(one)
            y.append((count - place - 1) / count)
    return [*x, end], [*y, y[-1]]
