"""The program attacked itself, in the results, beside its best versions, baseline and student."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nversion.study.sections.base import Named, Section
from nversion.study.sections.compared import Comparison

__all__ = [
    "Holding",
    "Whole",
    "WholeBudget",
    "WholeCheck",
    "WholeDistances",
    "WholeGain",
    "WholeSubject",
]


class Holding(Section):
    """The share of images on which no attack found a change within a radius.

    Attributes:
        radius: of the change.
        value: the share.
        low: lower end of its 95 % Wilson interval.
        high: upper end.
    """

    radius: float
    value: float
    low: float
    high: float


class WholeDistances(Section):
    """The smallest changes that fool one subject, in one norm.

    Attributes:
        median: over all images; null if half of them or more withstood.
        low: lower end of its 95 % interval, by order statistics.
        high: upper end; null if there is none.
        distances: image by image; 0 where the subject was wrong before any attack, null where no
            attack succeeded.
        wrong_median: the same for wrong verdicts alone, abstentions not counted; null where the
            vote never abstains, or half of the images or more withstood.
        holding: at the usual radii.
        found_by: how many images each attack was nearest on.
        forwards: images sent through all members, by all attacks together.
        backwards: images whose gradient was taken.
        seconds: that the attacks took on one core.
    """

    median: float | None = None
    low: float | None = None
    high: float | None = None
    distances: list[float | None] = Field(default_factory=list)
    wrong_median: float | None = None
    holding: list[Holding] = Field(default_factory=list)
    found_by: dict[str, int] = Field(default_factory=dict)
    forwards: int | None = None
    backwards: int | None = None
    seconds: float | None = None


class WholeSubject(Named):
    """What was attacked as a whole.

    Attributes:
        kind: "program", "version", "baseline" or "student".
        versions: how many networks it has.
        norms: what was found, by norm.
    """

    kind: Literal["program", "version", "baseline", "student"]
    versions: int
    norms: dict[str, WholeDistances] = Field(default_factory=dict)


class WholeGain(Comparison, Named):
    """Distances of the whole program against another subject's, on the same images.

    The name is that of the other. An image that withstood counts as the furthest change there is.

    Attributes:
        kind: of the other.
        norm: of the distances.
        p_holm: corrected for the number of comparisons.
        verdict: what the test says of the program: "better", "worse", "level" or "too few".
    """

    kind: Literal["program", "version", "baseline", "student"]
    norm: str
    p_holm: float | None = None
    verdict: Literal["better", "worse", "level", "too few"]


class WholeBudget(Section):
    """Where the distance of the program of all versions goes, in one norm; medians over images.

    Attributes:
        predicted: the distance at which the linearised mean logit falls; null if it is not known.
        measured: the smallest that attacks found on the same images.
        best_member: that of the version that is alone the furthest, linearised.
        equal_members: what it would be if all versions were like the best, with their directions.
        cosine: the mean pairwise cosine of the versions' gradients.
        cosine_for_twice: at which equal versions would stand twice as far as the best.
        lost_to_alignment: share of the loss (in logarithms) that aligned gradients explain.
        lost_to_inequality: the share that unequal versions explain.
        predicted_distances: image by image; null where the label has no lead.
        best_member_distances: likewise.
    """

    predicted: float | None = None
    measured: float | None = None
    best_member: float | None = None
    equal_members: float | None = None
    cosine: float | None = None
    cosine_for_twice: float | None = None
    lost_to_alignment: float | None = None
    lost_to_inequality: float | None = None
    predicted_distances: list[float | None] = Field(default_factory=list)
    best_member_distances: list[float | None] = Field(default_factory=list)


class WholeCheck(Named):
    """A check of whether attacks on the program can be believed.

    Attributes:
        passed: null where it does not apply.
        says: what was found.
    """

    passed: bool | None = None
    says: str | None = None


class Whole(Section):
    """The program attacked itself.

    Attributes:
        images: how many were attacked, drawn from the test images.
        test_indices: which.
        voter: of the program.
        l2_median: of the program of all versions; null if half of the images or more withstood.
        linf_median: likewise.
        subjects: programs of the first 1, 3, ... versions, the best versions, baseline, student.
        gains: the program of all versions against the best version, and against the baseline.
        budget: where the distance of the program of all versions goes, by norm.
        checks: of the attacks on the program.
        checked_versions: how many versions vote in the program that was checked.
        checked_images: on how many images.
    """

    images: int | None = None
    test_indices: list[int] = Field(default_factory=list)
    voter: str | None = None
    l2_median: float | None = None
    linf_median: float | None = None
    subjects: list[WholeSubject] = Field(default_factory=list)
    gains: list[WholeGain] = Field(default_factory=list)
    budget: dict[str, WholeBudget] = Field(default_factory=dict)
    checks: list[WholeCheck] = Field(default_factory=list)
    checked_versions: int | None = None
    checked_images: int | None = None
