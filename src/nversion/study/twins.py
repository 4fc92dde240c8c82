"""Baseline and student in every row of table III: differences, intervals, corrected p-values."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from nversion.errors import StudyError
from nversion.evaluation.clustered import FEWEST, clustered_gain, holm
from nversion.randomness import numpy_generator
from nversion.study.sections import Comparison, RadiiPair, Results, TwinRow

__all__ = ["SIGNIFICANT", "compare_twins"]

SIGNIFICANT = 0.05
"""The level of all tests, after correction for their number."""


@dataclass(frozen=True)
class Measure:
    """A row of table III: what is measured, and what the student has over the baseline."""

    key: str
    name: str
    gain: Comparison
    larger_is_better: bool = True


def compare_twins(results: Results) -> list[TwinRow]:
    """Return the rows of table III that compare student and baseline.

    Args:
        results: the keys "study", "comparisons" and "certification" of a study's results.

    Raises:
        StudyError: student and baseline have radii of different images.
    """
    measures = list(_measures(results))
    enough = [place for place, one in enumerate(measures) if one.gain.clusters >= FEWEST]
    corrected = dict(
        zip(enough, holm([measures[place].gain.p_value for place in enough]), strict=True)
    )
    return [_row(measure, corrected.get(place)) for place, measure in enumerate(measures)]


def _measures(results: Results) -> Iterator[Measure]:
    # Results of older studies hold the radii only.
    test, adversarial = results.comparisons.test, results.comparisons.adversarial
    if test and test.student_and_baseline:
        yield Measure("test_accuracy", "test accuracy", test.student_and_baseline)
    known = results.certification
    seed = results.study.seed
    yield from _radii(known.norms, seed, "norms", "", "")
    random = ("norms_random_target", "_random_target", " against one random target")
    yield from _radii(known.norms_random_target, seed, *random)
    yield from _radii(known.norms_box, seed, "norms_box", "_box", " for valid images")
    if adversarial and (gain := adversarial.student_and_baseline):
        yield Measure("adversarial_accuracy", "accuracy on the adversarial set", gain)
    if frequency := results.comparisons.frequency:
        yield Measure("adversarial_frequency", "adversarial frequency", frequency, False)


def _radii(
    norms: Mapping[str, RadiiPair], seed: int | None, protocol: str, ending: str, words: str
) -> Iterator[Measure]:
    """Yield the rows of the radii of one protocol.

    Args:
        norms: the radii by norm.
        seed: the study's.
        protocol: its key in the results.
        ending: of the rows' keys.
        words: what the rows are called, after the norm.
    """
    for norm, pair in norms.items():
        if seed is None:
            raise StudyError("study.seed, which comparisons are drawn from, is not there")
        if len(pair.student.radii) != len(pair.baseline.radii):
            raise StudyError(f"certification.{protocol}.{norm}: radii of different images")
        # What is infinite has no difference; how many are stands with the radii.
        finite = [
            (student, baseline)
            for student, baseline in zip(pair.student.radii, pair.baseline.radii, strict=True)
            if student is not None and baseline is not None
        ]
        if not finite:
            continue
        student, baseline = zip(*finite, strict=True)
        some = "" if len(finite) == len(pair.student.radii) else ", where both are finite"
        draws = numpy_generator(seed, "twins", protocol, norm)
        gain = clustered_gain(student, baseline, range(len(student)), draws)
        yield Measure(
            f"certified_l{norm}{ending}",
            f"certified L{'∞' if norm == 'inf' else norm} radius{words}{some}",
            Comparison(**dataclasses.asdict(gain)),
        )


def _row(measure: Measure, corrected: float | None) -> TwinRow:
    gain = measure.gain
    verdict: Literal["better", "worse", "level", "too few"]
    if corrected is None:
        verdict = "too few"
    elif corrected >= SIGNIFICANT:
        verdict = "level"
    else:
        verdict = "better" if (gain.difference > 0) == measure.larger_is_better else "worse"
    return TwinRow(
        measure=measure.key,
        name=measure.name,
        student=gain.first,
        baseline=gain.second,
        difference=gain.difference,
        low=gain.low,
        high=gain.high,
        p_value=gain.p_value,
        p_holm=corrected,
        images=gain.images,
        source_images=gain.clusters,
        verdict=verdict,
    )
