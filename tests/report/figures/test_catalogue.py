from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nversion.report import figures
from nversion.report.figures import FIGURES, draw
from nversion.report.figures.drawing import NARROW, WIDE, Canvas
from nversion.study.sections import Results


def points(axes: Axes, colour: str | None = None) -> set[tuple[float, float]]:
    """Return every mark of the axes as (x, y), of one colour if it is given."""
    return {
        (float(x), float(y))
        for line in axes.lines
        if line.get_linestyle() == "None"
        and (colour is None or line.get_markerfacecolor() == colour)
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    }


def test_all_figures_exist_and_are_plain_matplotlib(example: Callable[..., dict[str, Any]]) -> None:
    found = figures(Results.of(example(10)))
    assert list(found) == list(FIGURES)
    assert all(isinstance(figure, Figure) for figure in found.values())


def test_figures_leave_no_setting_behind(example: Callable[..., dict[str, Any]]) -> None:
    before = dict(matplotlib.rcParams)
    figures(Results.of(example(3)))
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("count", [2, 10, 100])
def test_marks_are_the_versions_own_numbers(
    example: Callable[..., dict[str, Any]], count: int
) -> None:
    results = example(count, failed=1)
    good = [(n, v) for n, v in enumerate(results["versions"], 1) if v["status"] == "trained"]
    found = figures(Results.of(results))
    (axes,) = found["figure-2-test-accuracy"].axes
    assert points(axes) == {(n, v["test_accuracy"]) for n, v in good}
    (axes,) = found["figure-4-adversarial-accuracy"].axes
    assert points(axes) == {(n, v["test_accuracy"]) for n, v in good} | {
        (n, v["adversarial_accuracy"]) for n, v in good
    }
    (axes,) = found["figure-4b-correlation"].axes
    assert points(axes) >= {(v["test_accuracy"], v["adversarial_accuracy"]) for _, v in good}
    (axes,) = found["figure-6-student"].axes
    assert {x for x, _ in points(axes)} == {v["adversarial_accuracy"] for _, v in good}


def test_program_figure_has_line_band_and_one_bar_a_version(
    example: Callable[..., dict[str, Any]],
) -> None:
    results = example(10)
    (axes,) = figures(Results.of(results))["figure-5-program"].axes
    program = results["program"]
    lines = {line.get_label(): line for line in axes.lines}
    given = lines["program, versions in the given order"]
    assert list(given.get_ydata()) == program["accuracy_by_n"]
    assert list(given.get_xdata()) == list(range(1, 11))
    orders = program["accuracy_by_n_orders"]
    assert list(lines["mean over 1,000 random orders"].get_ydata()) == orders["mean"]
    (bars,) = axes.containers
    tops = [bar.get_y() + bar.get_height() for bar in bars]
    by_name = {v["name"]: v["adversarial_accuracy"] for v in results["versions"]}
    assert tops == pytest.approx([by_name[name] for name in program["versions"]])
    # The bars' cut axis is said on the axis itself.
    assert axes.get_ylim()[0] > 0
    assert "axis from" in axes.get_ylabel()


def test_bars_start_at_zero_unless_all_are_long(example: Callable[..., dict[str, Any]]) -> None:
    results = example(4)
    results["versions"][0]["adversarial_accuracy"] = 0.2
    (axes,) = figures(Results.of(results))["figure-5-program"].axes
    assert axes.get_ylim()[0] == 0
    assert axes.get_ylabel() == "adversarial accuracy"


def test_a_program_that_is_always_wrong_is_still_drawn(
    example: Callable[..., dict[str, Any]],
) -> None:
    results = example(3)
    results["program"]["accuracy_by_n"] = [0.0, 0.0, 0.0]
    (axes,) = figures(Results.of(results))["figure-5-program"].axes
    line = next(line for line in axes.lines if str(line.get_label()).startswith("program"))
    assert list(line.get_ydata()) == [0.0, 0.0, 0.0]


def test_certified_accuracy_is_the_share_of_radii_at_least_as_large(
    example: Callable[..., dict[str, Any]],
) -> None:
    results = example(2)
    results["certification"]["attacked"] = {}
    results["certification"]["norms"] = {
        "2": {"student": {"radii": [0.3, 0.0, 0.1, 0.2]}, "baseline": {"radii": [0.0, 0.0]}}
    }
    (axes,) = figures(Results.of(results))["figure-8-certified"].axes
    lines = {line.get_label(): line for line in axes.lines}
    student = lines["student"]
    assert student.get_drawstyle() == "steps-pre"
    steps = [(round(x, 2), y) for x, y in np.asarray(student.get_xydata())]
    # Three of four images have a certificate; at 0.1 all three reach it, past it two, ...
    assert steps == [(0, 0.75), (0.1, 0.75), (0.2, 0.5), (0.3, 0.25), (0.3, 0.0)]
    assert list(lines["baseline"].get_ydata()) == [0.0]


def test_what_attacks_leave_stands_beside_what_is_certified(
    example: Callable[..., dict[str, Any]],
) -> None:
    results = example(2)
    results["certification"]["norms"] = {
        "1": {"student": {"radii": [0.3, 0.0, 0.1, 0.2]}, "baseline": {"radii": [0.1, 0.2]}}
    }
    results["certification"]["attacked"] = {
        "1": {"student": {"distances": [4.0, 0.0, 2.0, None]}, "baseline": {"distances": []}}
    }
    (axes,) = figures(Results.of(results))["figure-8-certified"].axes
    assert axes.get_xscale() == "log"
    lines = {line.get_label(): line for line in axes.lines}
    assert list(lines) == ["student", "baseline", "student, attacked"]
    attacked = [(round(x, 2), y) for x, y in np.asarray(lines["student, attacked"].get_xydata())]
    # Three images are right; at 2 the first falls, past 4 the second, and one withstands.
    assert attacked == [(0.07, 0.75), (2, 0.75), (4, 0.5), (4, 0.25), (4.4, 0.25)]
    certified = [(round(x, 2), y) for x, y in np.asarray(lines["student"].get_xydata())]
    assert certified[0] == (0.07, 0.75)


def test_infinite_radii_keep_the_certified_accuracy_up(
    example: Callable[..., dict[str, Any]],
) -> None:
    results = example(2)
    results["certification"]["attacked"] = {}
    results["certification"]["norms"] = {
        "2": {"student": {"radii": [0.3, None, 0.1, 0.0]}, "baseline": {"radii": [None, None]}}
    }
    drawing = figures(Results.of(results))["figure-8-certified"]
    (axes,) = drawing.axes
    lines = {line.get_label(): line for line in axes.lines}
    steps = [(round(x, 2), y) for x, y in np.asarray(lines["student"].get_xydata())]
    assert steps == [(0, 0.75), (0.1, 0.75), (0.3, 0.5), (0.3, 0.25), (0.3, 0.25)]
    assert [tuple(step) for step in lines["baseline"].get_xydata()] == [(0.0, 1.0), (0.3, 1.0)]


def test_transfer_shows_the_matrix_and_scales_to_the_other_versions(
    example: Callable[..., dict[str, Any]],
) -> None:
    results = example(5)
    axes = figures(Results.of(results))["figure-7-transfer"].axes[0]
    (image,) = axes.images
    assert np.allclose(image.get_array(), results["transfer"]["accuracy"])
    others = np.array(results["transfer"]["accuracy"])[~np.eye(5, dtype=bool)]
    assert 0 < others.min() - image.norm.vmin < 0.1 + 1e-9
    texts = [text.get_text() for text in axes.texts]
    assert texts[1] == f"{100 * results['transfer']['accuracy'][0][1]:.0f}"


@pytest.mark.parametrize("canvas", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("count", [1, 10, 100])
def test_nothing_that_is_written_lies_outside_the_figure_or_on_other_ticks(
    example: Callable[..., dict[str, Any]], canvas: Canvas, count: int
) -> None:
    results = example(count)
    for key in FIGURES:
        drawing = draw(Results.of(results), key, canvas)
        if drawing is None:
            assert key == "figure-7-transfer" or int(key.split("-")[1]) >= 10
            assert count == 1
            continue
        assert drawing.alt.endswith(".")
        figure = drawing.figure
        figure.draw_without_rendering()
        width, height = figure.canvas.get_width_height()
        for axes in figure.axes:
            legend = axes.get_legend()
            texts = [*axes.texts, *(legend.get_texts() if legend else []), axes.xaxis.label]
            for text in filter(lambda text: text.get_text(), [*texts, axes.yaxis.label]):
                box = text.get_window_extent()
                assert box.x0 >= -1, (key, text)
                assert box.y0 >= -1, (key, text)
                assert box.x1 <= width + 1, (key, text)
                assert box.y1 <= height + 1, (key, text)
            ticks = [t.get_window_extent() for t in axes.get_xticklabels() if t.get_text()]
            inside = [box for box in ticks if box.x0 >= -1 and box.x1 <= width + 1]
            inside.sort(key=lambda box: box.x0)
            for left, right in itertools.pairwise(inside):
                assert left.x1 <= right.x0 + 1, (key, "tick labels overlap")


def test_student_figure_labels_do_not_cross_lines(example: Callable[..., dict[str, Any]]) -> None:
    results = example(10)
    results["distillation"]["student"]["adversarial_accuracy"] = 0.951
    results["distillation"]["baseline"]["adversarial_accuracy"] = 0.955
    figure = draw(Results.of(results), "figure-6-student", NARROW).figure
    figure.draw_without_rendering()
    (axes,) = figure.axes
    lines = [
        line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_linewidth() == 2
    ]
    uprights = [axes.transData.transform(line.get_xydata()) for line in lines]
    uprights = [ends for ends in uprights if ends[0][0] == ends[1][0]]
    for text in axes.texts:
        # The annotation's own box, without the point that it belongs to.
        box = super(type(text), text).get_window_extent()
        for (x, bottom), (_, top) in uprights:
            crosses = box.x0 < x < box.x1 and bottom < box.y1 and top > box.y0
            assert not crosses, text.get_text()
