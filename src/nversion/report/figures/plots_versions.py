"""Figures of the single versions: test accuracy, test against adversarial accuracy, the box plot.

They follow figures 2, 4 and 6 of the study of 2019. A version is a grey mark, a circle if it is
convolutional and a square if it is dense; where both accuracies are shown, the one on test images
is hollow.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes

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
    swatch,
    version_axis,
)
from nversion.report.values import percent, plural
from nversion.study.sections import Results, VersionRow

__all__ = ["adversarial_box", "correlation", "test_accuracy", "test_and_adversarial"]

_KINDS = (("convolutional", "o"), ("dense", "s"))
_GOLDEN = 0.6180339887498949  # Multiples of it, modulo 1, spread any number of points evenly.

_PROTAGONISTS = (
    ("program", palette.PROGRAM, "D", "-"),
    ("student", palette.STUDENT, "^", "-"),
    ("baseline", palette.BASELINE, "v", DASHED),
)


def test_accuracy(results: Results, canvas: Canvas) -> Drawing | None:
    """Draw the test accuracy of each version, in the study's order, and the program's as a line."""
    shown = [
        (place, version, version.test_accuracy)
        for place, version in results.trained
        if version.test_accuracy is not None
    ]
    if not shown:
        return None
    drawing = Drawing.blank(canvas, 260 if canvas.narrow else 310)
    axes = drawing.figure.add_subplot()
    total = len(results.versions)
    values = [value for _, _, value in shown]
    handles = _marks_by_kind(
        drawing,
        axes,
        [(place, value, version) for place, version, value in shown],
        canvas.marker(total),
        lambda version: percent(version.test_accuracy),
    )
    median = statistics.median(values)
    handles.append(
        axes.axhline(median, color=palette.VERSIONS, linestyle=DOTTED, label="their median")
    )
    program = results.program.test_accuracy
    if program is not None:
        line = axes.axhline(program, color=palette.PROGRAM, linewidth=2, label="program")
        handles.append(line)
        values.append(program)
    axes.set_ylim(*limits(values, top=1.0005))
    axes.set_ylabel("test accuracy")
    share_axis(axes, "y")
    version_axis(axes, total)
    legend(axes, handles, canvas)
    drawing.alt = (
        f"Test accuracy of {plural(len(shown), 'version')}: lowest "
        f"{percent(min(value for *_, value in shown))}, median {percent(median)}, highest "
        f"{percent(max(value for *_, value in shown))}."
    )
    return drawing


def test_and_adversarial(results: Results, canvas: Canvas) -> Drawing | None:
    """Draw, for each version, its accuracy on test images and on adversarial images."""
    pairs = _pairs(results)
    if not pairs:
        return None
    drawing = Drawing.blank(canvas, 300 if canvas.narrow else 350)
    axes = drawing.figure.add_subplot()
    total = len(results.versions)
    places = [place for place, *_ in pairs]
    test, adversarial = [pair[2] for pair in pairs], [pair[3] for pair in pairs]
    axes.vlines(places, adversarial, test, color=palette.VERSIONS, linewidth=1.2, alpha=0.55)
    tips = [_both(version, t, a) for _, version, t, a in pairs]
    size = canvas.marker(total)
    drawing.name_marks(dots(axes, places, test, size=size, hollow=True), tips)
    drawing.name_marks(dots(axes, places, adversarial, size=size), tips)
    axes.set_ylim(*limits([*test, *adversarial], least=0.02, top=1.005))
    axes.set_ylabel("accuracy")
    share_axis(axes, "y")
    version_axis(axes, total)
    handles = [swatch("on test images", hollow=True), swatch("on adversarial images")]
    legend(axes, handles, canvas, narrow=1)
    drawing.alt = (
        f"Two accuracies for each of {plural(len(pairs), 'version')}: on test images "
        f"{percent(min(test))} to {percent(max(test))}, on adversarial images "
        f"{percent(min(adversarial))} to {percent(max(adversarial))}."
    )
    return drawing


def correlation(results: Results, canvas: Canvas) -> Drawing | None:
    """Draw adversarial against test accuracy: versions, program, student and baseline."""
    pairs = _pairs(results)
    if not pairs:
        return None
    drawing = Drawing.blank(canvas, 340 if canvas.narrow else 400)
    axes = drawing.figure.add_subplot()
    axes.grid(visible=True, axis="both")
    tips = {id(version): _both(version, t, a) for _, version, t, a in pairs}
    handles = _marks_by_kind(
        drawing,
        axes,
        [(t, a, version) for _, version, t, a in pairs],
        6.0 if len(pairs) > 40 else 7.5,
        lambda version: tips[id(version)].partition(": ")[2],
    )
    spots = [(t, a) for _, _, t, a in pairs]
    for name, colour, marker, _ in _PROTAGONISTS:
        test, adversarial = _of_protagonist(results, name)
        if test is None or adversarial is None:
            continue
        spots.append((test, adversarial))
        mark = dots(axes, [test], [adversarial], size=9.5, colour=colour, marker=marker)
        mark.set_zorder(4)
        drawing.name_marks(
            mark, [f"{name}: test {percent(test)}, adversarial {percent(adversarial)}"]
        )
        handles.append(swatch(name, colour, marker=marker))
    axes.set_xlim(*limits([test for test, _ in spots], top=1.0005))
    axes.set_ylim(*limits([adversarial for _, adversarial in spots], least=0.02, top=1.005))
    axes.set_xlabel("test accuracy")
    axes.set_ylabel("adversarial accuracy")
    share_axis(axes, "x", 4 if canvas.narrow else 7)
    share_axis(axes, "y")
    legend(axes, handles, canvas)
    drawing.alt = (
        f"Scatter plot of {plural(len(pairs), 'version')}: test accuracy across, adversarial "
        "accuracy upwards, with the program, the student and the baseline where measured."
    )
    return drawing


def adversarial_box(results: Results, canvas: Canvas) -> Drawing | None:
    """Draw the versions' adversarial accuracy as a box plot, with the protagonists as lines."""
    shown = [
        (place, version, version.adversarial_accuracy)
        for place, version in results.trained
        if version.adversarial_accuracy is not None
    ]
    if not shown:
        return None
    values = [value for _, _, value in shown]
    drawing = Drawing.blank(canvas, 250 if canvas.narrow else 270)
    axes = drawing.figure.add_subplot()
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x")
    if len(values) > 1:
        _box(axes, values)
    heights = [-0.62 + 0.34 * ((_GOLDEN * place) % 1.0 - 0.5) for place, _, _ in shown]
    marks = dots(axes, values, heights, size=5.5 if len(values) > 30 else 7.5)
    drawing.name_marks(marks, [f"{_name(version)}: {percent(v)}" for _, version, v in shown])
    found = [
        (name, colour, style, value)
        for name, colour, _, style in _PROTAGONISTS
        if (value := _of_protagonist(results, name)[1]) is not None
    ]
    low, high = limits([*values, *(value for *_, value in found)], least=0.02, top=1.003)
    # All labels stand on one side, and the line nearest to that side is the shortest: so no line
    # runs through another one's label.
    left = statistics.fmean([value for *_, value in found] or [0.0]) > (low + high) / 2
    found.sort(key=lambda item: item[-1], reverse=left)
    for row, (name, colour, style, value) in enumerate(found):
        top = 0.5 + 0.3 * (len(found) - row)
        axes.plot([value, value], [-0.85, top], color=colour, linestyle=style, linewidth=2)
        axes.annotate(
            f"{name} {percent(value)}",
            (value, top),
            xytext=(-6 if left else 6, 0),
            textcoords="offset points",
            ha="right" if left else "left",
            va="top",
            color=colour,
        )
    axes.set_xlim(low, high)
    axes.set_ylim(-0.9, 0.6 + 0.3 * len(found))
    axes.set_yticks([])
    axes.set_xlabel("adversarial accuracy")
    share_axis(axes, "x", 4 if canvas.narrow else 7)
    named = "".join(f" {name.capitalize()} {percent(value)}." for name, _, _, value in found)
    drawing.alt = (
        f"Box plot of the adversarial accuracy of {plural(len(values), 'version')}: lowest "
        f"{percent(min(values))}, median {percent(statistics.median(values))}, highest "
        f"{percent(max(values))}.{named}"
    )
    return drawing


def _box(axes: Axes, values: Sequence[float]) -> None:
    """Draw the quartiles as a box and the extremes as whiskers; every point is shown below."""
    grey = {"color": palette.VERSIONS, "linewidth": 1.4}
    axes.boxplot(
        values,
        orientation="horizontal",
        positions=[0.0],
        widths=0.5,
        whis=(0, 100),
        patch_artist=True,
        manage_ticks=False,
        boxprops={"facecolor": palette.GRID, "edgecolor": palette.VERSIONS, "linewidth": 1.4},
        medianprops={"color": palette.INK, "linewidth": 2},
        whiskerprops=grey,
        capprops=grey,
    )


def _marks_by_kind(
    drawing: Drawing,
    axes: Axes,
    spots: Sequence[tuple[float, float, VersionRow]],
    size: float,
    describe: Callable[[VersionRow], str],
) -> list[Artist]:
    """Draw one mark a version, shaped by its kind, and return the legend's entries."""
    handles: list[Artist] = []
    for kind, marker in _KINDS:
        chosen = [spot for spot in spots if _kind(spot[2]) == kind]
        if not chosen:
            continue
        x, y = [spot[0] for spot in chosen], [spot[1] for spot in chosen]
        marks = dots(axes, x, y, size=size, marker=marker)
        drawing.name_marks(marks, [f"{_name(v)}: {describe(v)}" for _, _, v in chosen])
        handles.append(swatch(f"{kind} version", marker=marker))
    return handles


def _of_protagonist(results: Results, name: str) -> tuple[float | None, float | None]:
    """Return the accuracies of program, student or baseline on test and adversarial images."""
    if name == "program":
        return results.program.test_accuracy, results.program.accuracy
    twins = results.distillation
    network = twins.student if name == "student" else twins.baseline
    return network.test_accuracy, network.adversarial_accuracy


def _pairs(results: Results) -> list[tuple[int, VersionRow, float, float]]:
    return [
        (place, version, version.test_accuracy, version.adversarial_accuracy)
        for place, version in results.trained
        if version.test_accuracy is not None and version.adversarial_accuracy is not None
    ]


def _kind(version: VersionRow) -> str:
    return "dense" if version.kind == "dense" else "convolutional"


def _name(version: VersionRow) -> str:
    return version.name or "unnamed"


def _both(version: VersionRow, test: float, adversarial: float) -> str:
    return f"{_name(version)}: test {percent(test)}, adversarial {percent(adversarial)}"
