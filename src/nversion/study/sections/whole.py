"""The program attacked itself, in the results, beside its best versions, baseline and student."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nversion.study.sections.base import Named, Section
from nversion.study.sections.compared import Comparison

__all__ = ["Holding", "Whole", "WholeDistances", "WholeGain", "WholeSubject"]


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
    """

    images: int | None = None
    test_indices: list[int] = Field(default_factory=list)
    voter: str | None = None
    l2_median: float | None = None
    linf_median: float | None = None
    subjects: list[WholeSubject] = Field(default_factory=list)
    gains: list[WholeGain] = Field(default_factory=list)
