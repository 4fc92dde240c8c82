"""The program in the results, and who is better than whom on the same images."""

from __future__ import annotations

from pydantic import Field

from nversion.study.sections.base import Named, Section
from nversion.study.sections.compared import Comparison, ShareOfImages
from nversion.study.sections.faults import PlantedFaults
from nversion.study.sections.whole import Whole

__all__ = [
    "AgainstBest",
    "BestVersionGain",
    "Comparisons",
    "GrowthBand",
    "OnAdversarialSet",
    "OnImages",
    "Program",
]


class BestVersionGain(Comparison, Named):
    """The program against the version that does best on images not made against itself.

    Attributes:
        p_picked: the p-value, allowing for the version's having been picked.
    """

    p_picked: float


class AgainstBest(Section):
    """The program against the version that does best on the whole set; older results hold less.

    Attributes:
        name: the version's.
        only_first: images that only the program has right.
        only_second: images that only the version has right.
        first: as in :class:`Comparison`, with all that follow.
        second: the version's accuracy.
        difference: first minus second.
        low: lower end of its interval.
        high: upper end.
        p_value: of the test.
        images: how many there are.
        clusters: how many test images they come from.
    """

    name: str | None = None
    only_first: int | None = None
    only_second: int | None = None
    first: float | None = None
    second: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    images: int | None = None
    clusters: int | None = None


class GrowthBand(Section):
    """The program's accuracy by its number of versions, over random orders of them.

    Attributes:
        orders: how many orders were drawn.
        mean: over them, for 1, 2, ... versions.
        low: lower end of the middle 95 %.
        high: upper end.
    """

    orders: int | None = None
    mean: list[float | None] = Field(default_factory=list)
    low: list[float | None] = Field(default_factory=list)
    high: list[float | None] = Field(default_factory=list)


class Program(Section):
    """What the program and its versions get right.

    Attributes:
        voter: how it decides.
        versions: the names of those that vote.
        test_accuracy: on the test images.
        accuracy_by_n: on the adversarial set, of the first 1, 2, ... versions.
        accuracy_by_n_orders: the same over random orders.
        mean_individual: the mean of the single versions.
        best_individual: the best of them, images made against it included.
        best_individual_name: its name.
        accuracy: on the adversarial set, of all versions; null without images.
        against_best: against the best single version on the whole set.
        accuracy_low: lower end of the accuracy's 95 % interval by test image.
        accuracy_high: upper end.
        whole: the program attacked itself; null if it was not.
        faults: the vote with faulty versions; null if it was not asked for, or there is one
            version; absent from older results.
    """

    voter: str | None = None
    versions: list[str] | None = None
    test_accuracy: float | None = None
    accuracy_by_n: list[float | None] = Field(default_factory=list)
    accuracy_by_n_orders: GrowthBand | None = None
    mean_individual: float | None = None
    best_individual: float | None = None
    best_individual_name: str | None = None
    accuracy: float | None = None
    against_best: AgainstBest | None = None
    accuracy_low: float | None = None
    accuracy_high: float | None = None
    whole: Whole | None = None
    faults: PlantedFaults | None = None


class OnImages(Section):
    """Program, best version, baseline and student on the same images.

    Attributes:
        images: how many there are.
        program_and_best_version: null for a program of one version.
        program_and_baseline: on all images.
        student_and_baseline: on all images.
    """

    images: int | None = None
    program_and_best_version: BestVersionGain | None = None
    program_and_baseline: Comparison | None = None
    student_and_baseline: Comparison | None = None


class OnAdversarialSet(Section):
    """The same on the adversarial set, which comes from fewer test images.

    Attributes:
        images: how many there are.
        source_images: how many test images they come from.
        shares: accuracies of "program", "baseline" and "student".
        program_and_best_individual: the best version on the whole set.
        program_and_best_version: the best on the images not made against itself.
        program_and_baseline: on all images.
        student_and_baseline: on all images.
    """

    images: int | None = None
    source_images: int | None = None
    shares: dict[str, ShareOfImages] = Field(default_factory=dict)
    program_and_best_individual: AgainstBest | None = None
    program_and_best_version: BestVersionGain | None = None
    program_and_baseline: Comparison | None = None
    student_and_baseline: Comparison | None = None


class Comparisons(Section):
    """Who is better than whom, by test image.

    Attributes:
        resamples: draws of the bootstrap and of the permutation test.
        fewest: test images below which nothing is said about chance.
        adversarial: on the adversarial set; null if it is empty.
        test: on the test images.
        frequency: adversarial frequency, the student's first; null if nothing was attacked.
    """

    resamples: int | None = None
    fewest: int | None = None
    adversarial: OnAdversarialSet | None = None
    test: OnImages | None = None
    frequency: Comparison | None = None
