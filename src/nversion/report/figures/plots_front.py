"""The one figure for a front page: what a vote is worth against either attacker, as it grows.

The first panel has images made for single members, by an attacker who does not know of the vote;
the others how far an attacker has to go who knows every member and attacks the vote itself. The
programs are those of the first N versions in both. An accuracy alone would flatter a program: most
images made for one network fool no vote, and that says little of images made for the vote.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator, StrMethodFormatter

from nversion.report.figures import palette
from nversion.report.figures.drawing import DASHED, DOTTED, Canvas, Drawing, limits, share_axis
from nversion.report.text.whole import grown, main_subjects, median_words
from nversion.report.values import norm_name, percent
from nversion.study.sections import Results, Whole, WholeSubject

__all__ = ["both_attackers"]

_RIVALS: Mapping[str, tuple[str, Any, str]] = {
    "version": (palette.VERSIONS, "-", "best single version"),
    "baseline": (palette.BASELINE, DASHED, "baseline, trained alone"),
    "student": (palette.STUDENT, DOTTED, "student, taught by the vote"),
}
"""How the rivals of the program are drawn, and what the legend calls them."""


def both_attackers(results: Results, canvas: Canvas) -> Drawing | None:
    """Draw the program by its number of versions: accuracy, and distances when it is the target."""
    curve = [(n, value) for n, value in enumerate(results.program.accuracy_by_n, 1) if value]
    whole = results.program.whole
    norms = _norms(whole)
    if not curve and not norms:
        return None
    drawing = Drawing.blank(canvas, 330)
    panels = iter(drawing.figure.subplots(1, bool(curve) + len(norms), squeeze=False).flatten())
    sizes = sorted({1, *(grown(whole.subjects) if whole else ()), *(n for n, _ in curve[-1:])})
    said, drawn = [], set[str]()
    if curve:
        drawn |= _accuracy(next(panels), results, curve, sizes)
        said.append(
            f"On images made for its members the program's accuracy goes from "
            f"{percent(curve[0][1])} with {curve[0][0]} to {percent(curve[-1][1])} with "
            f"{curve[-1][0]} versions."
        )
    for axes, norm in zip(panels, norms, strict=True):
        assert whole is not None  # Else it had no norms.
        drawn |= _distances(axes, whole, norm, sizes)
        named = [*main_subjects(whole), *_best(whole, norm)]
        medians = [f"{one.name} {median_words(one.norms[norm])}" for one in named]
        said.append(
            f"Attacked itself, median smallest change in {norm_name(norm)}: {', '.join(medians)}."
        )
    _legend(drawing, drawn)
    drawing.alt = " ".join(said)
    return drawing


def _norms(whole: Whole | None) -> list[str]:
    if whole is None or not whole.subjects:
        return []
    return [norm for norm in ("2", "inf") if norm in whole.subjects[0].norms]


def _best(whole: Whole, norm: str) -> Iterator[WholeSubject]:
    """Yield the single version that the program is compared with in a norm, if there is one."""
    for gain in whole.gains:
        if gain.kind == "version" and gain.norm == norm:
            yield from (
                one for one in whole.subjects if (one.name, one.kind) == (gain.name, "version")
            )


def _accuracy(
    axes: Axes, results: Results, curve: Sequence[tuple[int, float]], sizes: Sequence[int]
) -> set[str]:
    """Draw accuracies on the adversarial set; return the rivals that are in it."""
    orders = results.program.accuracy_by_n_orders
    band = (
        [
            (n, low, high)
            for n, (low, high) in enumerate(zip(orders.low, orders.high, strict=True), 1)
            if low is not None and high is not None
        ]
        if orders
        else []
    )
    if band:
        places, lows, highs = zip(*band, strict=True)
        axes.fill_between(places, lows, highs, color=palette.PROGRAM, alpha=0.16, linewidth=0)
    axes.plot(*zip(*curve, strict=True), color=palette.PROGRAM, linewidth=2.4, zorder=4)
    twins = results.distillation
    rivals = {
        "baseline": twins.baseline.adversarial_accuracy,
        "student": twins.student.adversarial_accuracy,
    }
    known = {kind: value for kind, value in rivals.items() if value is not None}
    for kind, value in known.items():
        _level(axes, kind, value)
    shown = [value for _, value in curve] + [low for _, low, _ in band] + list(known.values())
    low, high = limits(shown, least=0.04, top=1.005)
    axes.set_ylim(low, high)
    share_axis(axes, "y")
    axes.set_title("Made for its members:\naccuracy on these images")
    _numbers_axis(axes, sizes)
    return set(known)


def _distances(axes: Axes, whole: Whole, norm: str, sizes: Sequence[int]) -> set[str]:
    """Draw median distances with their intervals; return the rivals that are in it."""
    programs = [one for one in whole.subjects if one.kind == "program"]
    found = sorted((one.versions, one.norms[norm]) for one in programs if one.norms[norm].median)
    points = [(n, one.median or 0.0) for n, one in found]
    tops = [one.high for _, one in found if one.high is not None]
    rivals = [*main_subjects(whole), *_best(whole, norm)]
    known = {
        one.kind: median
        for one in rivals
        if one.kind in _RIVALS and (median := one.norms[norm].median) is not None
    }
    end = 1.1 * max([*tops, *(y for _, y in points), *known.values()], default=1.0)
    for n, one in found:
        ends = (one.low or 0.0, end if one.high is None else one.high)
        axes.plot((n, n), ends, color=palette.PROGRAM, linewidth=5, alpha=0.22, zorder=2)
    if points:
        axes.plot(
            *zip(*points, strict=True),
            color=palette.PROGRAM,
            linewidth=2.4,
            marker="o",
            markersize=6.5,
            markeredgecolor=palette.PAPER,
            zorder=4,
        )
    for kind, value in known.items():
        _level(axes, kind, value)
    axes.set_ylim(0, end)
    axes.set_title(f"Attacked itself: median\nsmallest change in {norm_name(norm)}")
    _numbers_axis(axes, sizes)
    return set(known)


def _level(axes: Axes, kind: str, value: float) -> None:
    colour, dashes, _ = _RIVALS[kind]
    axes.axhline(value, color=colour, linestyle=dashes, linewidth=1.8, zorder=3)


def _numbers_axis(axes: Axes, sizes: Sequence[int]) -> None:
    """Label the x axis with numbers of versions, on a scale of ratios."""
    axes.set_xscale("log")
    axes.set_xlim(0.87, 1.15 * max(sizes[-1], 2))
    axes.xaxis.set_major_locator(FixedLocator(_apart(sizes)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("versions in the program")


def _apart(sizes: Sequence[int]) -> list[float]:
    """Return the sizes to write: the largest, and of the others those that leave room for it."""
    if len(sizes) < 3:
        sizes = sorted({*sizes, *(n for n in (3, 10, 30, 100, 300) if n < sizes[-1])})
    kept = [float(sizes[-1])]
    for size in reversed(sizes[:-1]):
        if kept[-1] / size > 1.4:
            kept.append(float(size))
    return kept[::-1]


def _legend(drawing: Drawing, drawn: set[str]) -> None:
    """Put one legend above all panels."""
    program = Line2D([], [], color=palette.PROGRAM, linewidth=2.4, label="program, voting")
    handles = [program]
    for kind, (colour, dashes, label) in _RIVALS.items():
        if kind in drawn:
            handles.append(
                Line2D([], [], color=colour, linestyle=dashes, linewidth=1.8, label=label)
            )
    drawing.figure.legend(handles=handles, loc="outside upper center", ncols=4, borderaxespad=0.8)
