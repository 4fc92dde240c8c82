"""What the study of 2019 reported, to show beside our own numbers on MNIST.

Source: C. Hildebrandt, A. Kulkarni and T. Williams, "Improving the Robustness of Convolution
Neural Networks using N-Version Programming", University of Virginia, 2019: figure 2, tables II
and III, and section III. The numbers are given as printed there. They come from other networks,
other images and another library than ours, so they are for orientation and not for comparison.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from nversion.report.values import ordinal, percent
from nversion.study.sections import Results

__all__ = ["ATTACK_SUCCESSES", "STUDY_2019", "Study2019", "figure_note", "reference_for"]


@dataclass(frozen=True)
class Study2019:
    """The numbers of the 2019 study; shares are fractions in [0, 1], radii in units of [0, 1]."""

    lowest_test_accuracy: float
    highest_test_accuracy: float
    effectiveness: Mapping[str, float]
    mean_effectiveness: float
    mean_individual: float
    best_individual: float
    program: float
    program_versions: int
    baseline: Mapping[str, float]
    student: Mapping[str, float]
    student_rank: int
    rank_of: int

    def without_radii(self) -> Study2019:
        """Return the numbers without the certified radii of baseline and student."""

        def kept(numbers: Mapping[str, float]) -> Mapping[str, float]:
            return {key: value for key, value in numbers.items() if "certified" not in key}

        return dataclasses.replace(self, baseline=kept(self.baseline), student=kept(self.student))


ATTACK_SUCCESSES: Mapping[str, int] = MappingProxyType(
    {
        "gradient": 939,
        "gradient-sign": 1272,
        "deepfool": 1281,
        "adef": 1240,
        "saliency-map": 1254,
        "carlini-wagner": 1300,
        "newtonfool": 1297,
        "random-pgd": 1300,
        "lbfgs": 1300,
    }
)
"""Table II: successes of each attack in 1,300 tries."""

STUDY_2019 = Study2019(
    lowest_test_accuracy=0.92,
    highest_test_accuracy=0.99,
    effectiveness=MappingProxyType(
        {
            "gradient": 0.7323,
            "gradient-sign": 0.9784,
            "deepfool": 0.9853,
            "adef": 0.9534,
            "saliency-map": 0.9646,
            "carlini-wagner": 1.0,
            "newtonfool": 0.9977,
            "random-pgd": 1.0,
            "lbfgs": 1.0,
        }
    ),
    mean_effectiveness=0.955,
    mean_individual=0.8977,
    best_individual=0.9658,
    program=0.9686,
    program_versions=100,
    baseline=MappingProxyType(
        {
            "test_accuracy": 0.9916,
            "certified_l1": 0.1526,
            "certified_l2": 0.0743,
            "adversarial_accuracy": 0.9604,
            "adversarial_frequency": 0.9433,
        }
    ),
    student=MappingProxyType(
        {
            "test_accuracy": 0.9868,
            "certified_l1": 0.1609,
            "certified_l2": 0.0809,
            "adversarial_accuracy": 0.9535,
            "adversarial_frequency": 0.98,
        }
    ),
    student_rank=4,
    rank_of=101,
)
"""The numbers as printed. The gradient attack's 73.23 % belongs to 939 of 1,300, which is 72.23 %;
the slip is theirs and is kept, with a note in the table."""


def reference_for(results: Results) -> Study2019 | None:
    """Return the 2019 study's numbers if these results are about its dataset, MNIST."""
    return STUDY_2019 if results.study.dataset == "mnist" else None


def figure_note(results: Results, key: str) -> str | None:
    """Return what the 2019 study reported on a figure's matter, on its own dataset only."""
    then = reference_for(results)
    if then is None:
        return None
    notes = {
        "figure-2-test-accuracy": f"all {then.program_versions} versions between "
        f"{percent(then.lowest_test_accuracy, 0)} and {percent(then.highest_test_accuracy, 0)}.",
        "figure-3-attacks": "ten attacks on one digit; slsqp was rejected by eye.",
        "figure-4-adversarial-accuracy": "lower on adversarial images for all "
        f"{then.program_versions} versions.",
        "figure-4b-correlation": "no strong correlation; no coefficient was reported.",
        "figure-5-program": f"program of {then.program_versions} {percent(then.program)}, best "
        f"single version {percent(then.best_individual)}, mean {percent(then.mean_individual)}.",
        "figure-6-student": f"student {percent(then.student['adversarial_accuracy'])}, baseline "
        f"{percent(then.baseline['adversarial_accuracy'])}; the student would have been the "
        f"{ordinal(then.student_rank)} most robust of {then.rank_of}.",
    }
    note = notes.get(key)
    number = key.removeprefix("figure-").partition("-")[0]
    there = f"figure {number} there" if number.isdigit() else "in its text"
    return None if note is None else f"{there}: {note}"
