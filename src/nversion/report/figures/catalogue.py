"""The report's figures: which there are, and how to draw them.

The keys of figures 2 to 6 carry the numbers that they have in the study of 2019, where figure 1 is
a diagram; the others are ours. On the page they are numbered in its order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from matplotlib.figure import Figure

from nversion.report.figures import (
    plots_certified,
    plots_example,
    plots_failures,
    plots_planted,
    plots_program,
    plots_replication,
    plots_versions,
    plots_whole,
)
from nversion.report.figures.drawing import WIDE, Canvas, Drawing, house_style
from nversion.study.sections import Results

__all__ = ["FIGURES", "Entry", "draw", "figures"]


@dataclass(frozen=True)
class Entry:
    """One figure of the report: the number in its key, its title, and the function that draws it.

    The function returns None where the results lack what the figure shows.
    """

    number: str
    title: str
    plot: Callable[[Results, Canvas], Drawing | None]


FIGURES: Mapping[str, Entry] = {
    "figure-2-test-accuracy": Entry(
        "Figure 2", "Test accuracy of each version", plots_versions.test_accuracy
    ),
    "figure-3-attacks": Entry("Figure 3", "All attacks on one image", plots_example.attack_gallery),
    "figure-4-adversarial-accuracy": Entry(
        "Figure 4",
        "Test and adversarial accuracy of each version",
        plots_versions.test_and_adversarial,
    ),
    "figure-4b-correlation": Entry(
        "Figure 4b", "Adversarial accuracy against test accuracy", plots_versions.correlation
    ),
    "figure-5-program": Entry(
        "Figure 5", "The program as it grows, over its single versions", plots_program.accuracy_by_n
    ),
    "figure-6-student": Entry(
        "Figure 6", "The student among the versions", plots_versions.adversarial_box
    ),
    "figure-7-transfer": Entry(
        "Figure 7", "Transfer of adversarial images between versions", plots_program.transfer
    ),
    "figure-8-certified": Entry(
        "Figure 8", "Certified accuracy by radius", plots_certified.certified_accuracy
    ),
    "figure-9-whole": Entry(
        "Figure 9",
        "The program and its versions, attacked themselves",
        plots_whole.holding_accuracy,
    ),
    "figure-10-pairs": Entry(
        "Figure 10", "How failures of two versions go together", plots_failures.pairs
    ),
    "figure-11-coincident": Entry(
        "Figure 11",
        "Versions that fail on the same test image, and independent ones",
        plots_failures.coincident_failures,
    ),
    "figure-12-growth": Entry(
        "Figure 12", "A plurality of n versions, predicted and measured", plots_failures.growth
    ),
    "figure-13-coverage": Entry(
        "Figure 13", "Accuracy by coverage, for every voter", plots_failures.coverage
    ),
    "figure-14-faults": Entry(
        "Figure 14", "The vote as versions become faulty", plots_planted.faulty_versions
    ),
    "figure-15-replication": Entry(
        "Figure 15",
        "Students and baselines again and again, pair by pair",
        plots_replication.replicated_pairs,
    ),
}
"""By the name of the figure's files."""


def draw(results: Results, key: str, canvas: Canvas = WIDE) -> Drawing | None:
    """Draw one figure of results for a canvas; None where they lack what it shows."""
    with house_style(canvas.font):
        return FIGURES[key].plot(results, canvas)


def figures(results: Results) -> dict[str, Figure]:
    """Return every figure that the results support, by the name of its files.

    The figures are matplotlib's, drawn without pyplot; save them inside
    :func:`nversion.report.figures.drawing.house_style` to get the same bytes each time.
    """
    drawings = {key: draw(results, key) for key in FIGURES}
    return {key: drawing.figure for key, drawing in drawings.items() if drawing is not None}
