"""Baseline and student in every row of table III: differences, intervals, corrected p-values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nversion.evaluation.clustered import FEWEST, Gain, clustered_gain, holm
from nversion.randomness import numpy_generator

__all__ = ["SIGNIFICANT", "compare_twins"]

SIGNIFICANT = 0.05
"""The level of all tests, after correction for their number."""

_PROTOCOLS = (
    ("norms", "", ""),
    ("norms_random_target", "_random_target", " against one random target"),
    ("norms_box", "_box", " for valid images"),
)
"""Where the radii of each protocol are, and what its rows are called."""


@dataclass(frozen=True)
class Measure:
    """A row of table III: what is measured, and what the student has over the baseline."""

    key: str
    name: str
    gain: Gain
    larger_is_better: bool = True


def compare_twins(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of table III that compare student and baseline, as JSON values.

    Args:
        results: the keys "study", "comparisons" and "certification" of a study's results.

    Returns:
        For each row ``measure`` (its key), ``name``, ``student``, ``baseline``, ``difference``,
        ``low``, ``high``, ``p_value``, ``p_holm`` (corrected for the number of rows; None below
        :data:`~nversion.evaluation.clustered.FEWEST` images), ``images``, ``source_images`` and
        ``verdict``: "better" or "worse" for the student, "level" (cannot be told) or "too few".
    """
    measures = list(_measures(results))
    enough = [place for place, one in enumerate(measures) if one.gain.clusters >= FEWEST]
    corrected = dict(
        zip(enough, holm([measures[place].gain.p_value for place in enough]), strict=True)
    )
    return [_row(measure, corrected.get(place)) for place, measure in enumerate(measures)]


def _measures(results: Mapping[str, Any]) -> Iterator[Measure]:
    # Results of older studies hold the radii only.
    compared = results.get("comparisons", {})
    if "test" in compared:
        gain = _gain(compared["test"]["student_and_baseline"])
        yield Measure("test_accuracy", "test accuracy", gain)
    for protocol, ending, words in _PROTOCOLS:
        for norm, roles in results["certification"].get(protocol, {}).items():
            pairs = [roles[role]["radii"] for role in ("student", "baseline")]
            # What is infinite has no difference; how many are stands with the radii.
            finite = [pair for pair in zip(*pairs, strict=True) if None not in pair]
            if not finite:
                continue
            student, baseline = zip(*finite, strict=True)
            some = "" if len(finite) == len(pairs[0]) else ", where both are finite"
            draws = numpy_generator(results["study"]["seed"], "twins", protocol, norm)
            yield Measure(
                f"certified_l{norm}{ending}",
                f"certified L{'∞' if norm == 'inf' else norm} radius{words}{some}",
                clustered_gain(student, baseline, range(len(student)), draws),
            )
    if compared.get("adversarial"):
        gain = _gain(compared["adversarial"]["student_and_baseline"])
        yield Measure("adversarial_accuracy", "accuracy on the adversarial set", gain)
    if compared.get("frequency"):
        gain = _gain(compared["frequency"])
        yield Measure("adversarial_frequency", "adversarial frequency", gain, False)


def _gain(values: Mapping[str, Any]) -> Gain:
    return Gain(**values)


def _row(measure: Measure, corrected: float | None) -> dict[str, Any]:
    gain = measure.gain
    if corrected is None:
        verdict = "too few"
    elif corrected >= SIGNIFICANT:
        verdict = "level"
    else:
        verdict = "better" if (gain.difference > 0) == measure.larger_is_better else "worse"
    return {
        "measure": measure.key,
        "name": measure.name,
        "student": gain.first,
        "baseline": gain.second,
        "difference": gain.difference,
        "low": gain.low,
        "high": gain.high,
        "p_value": gain.p_value,
        "p_holm": corrected,
        "images": gain.images,
        "source_images": gain.clusters,
        "verdict": verdict,
    }
