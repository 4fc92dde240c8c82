"""Baseline and student in the results, and the certified radii."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nversion.study.sections.base import Named, Section

__all__ = [
    "AttackedDistances",
    "AttackedPair",
    "BestRadii",
    "Certification",
    "CertifiedVotes",
    "Distillation",
    "Network",
    "RadiiPair",
    "RadiiSummary",
    "TwinRow",
    "VoteRadii",
]


class Network(Section):
    """What was measured of the baseline or the student.

    Attributes:
        train_accuracy: on the training images.
        test_accuracy: on the test images.
        adversarial_accuracy: on the adversarial set.
        adversarial_frequency: share of attack runs that succeed.
        adversarial_frequency_low: lower end of its 95 % interval by test image.
        adversarial_frequency_high: upper end.
        attack_runs: how many there were.
        attacked_images: on how many test images.
        attacks: adversarial frequency by attack.
        seconds: of the training.
        certified_l1: the mean of the finite certified radii in L1.
        certified_l2: in L2.
        certified_linf: in L∞.
    """

    train_accuracy: float | None = None
    test_accuracy: float | None = None
    adversarial_accuracy: float | None = None
    adversarial_frequency: float | None = None
    adversarial_frequency_low: float | None = None
    adversarial_frequency_high: float | None = None
    attack_runs: int | None = None
    attacked_images: int | None = None
    attacks: dict[str, float | None] = Field(default_factory=dict)
    seconds: float | None = None
    certified_l1: float | None = None
    certified_l2: float | None = None
    certified_linf: float | None = None


class TwinRow(Section):
    """Baseline and student in one row of table III.

    Attributes:
        measure: the row's key, such as "certified_l2".
        name: the measure in words.
        student: the student's.
        baseline: the baseline's.
        difference: student minus baseline.
        low: lower end of the difference's 95 % interval, by test image.
        high: upper end.
        p_value: of the permutation test by test image.
        p_holm: corrected for the number of rows; null where there are too few images.
        images: how many there are.
        source_images: how many test images they come from.
        verdict: of the student: "better", "worse", "level" or "too few".
    """

    measure: str
    name: str
    student: float
    baseline: float
    difference: float
    low: float
    high: float
    p_value: float
    p_holm: float | None
    images: int
    source_images: int
    verdict: Literal["better", "worse", "level", "too few"]


class Distillation(Section):
    """Student and baseline: how they were made, and how they compare.

    Attributes:
        architecture: the text of both.
        recipe: what both were trained by.
        objective: of the student's training.
        baseline: trained on the labels.
        student: trained on the program's outputs.
        student_rank: its place among the versions by adversarial accuracy.
        student_rank_tied: how many versions share it.
        rank_of: how many were ranked.
        comparison: the rows of table III; null in older results.
    """

    architecture: str | None = None
    recipe: str | None = None
    objective: str | None = None
    baseline: Network = Network()
    student: Network = Network()
    student_rank: int | None = None
    student_rank_tied: int | None = None
    rank_of: int | None = None
    comparison: list[TwinRow] | None = None


class RadiiSummary(Section):
    """Certified radii of one network.

    Attributes:
        mean: of the finite ones; 0 counts where the image is misclassified.
        median: of the finite ones.
        infinite: how many are infinite.
        radii: image by image, null where infinite.
        mean_where_right: against one random target: misclassified images left out.
        untargeted_mean: against one random target: the untargeted mean on the same images.
    """

    mean: float | None = None
    median: float | None = None
    infinite: int | None = None
    radii: list[float | None] = Field(default_factory=list)
    mean_where_right: float | None = None
    untargeted_mean: float | None = None


class RadiiPair(Section):
    """Certified radii of baseline and student.

    Attributes:
        baseline: its radii.
        student: its radii.
    """

    baseline: RadiiSummary = RadiiSummary()
    student: RadiiSummary = RadiiSummary()


class BestRadii(RadiiSummary, Named):
    """The radii of the version with the largest mean."""


class VoteRadii(Section):
    """The vote's certified radii beside its versions'.

    Attributes:
        program: the vote's.
        best_version: those of the version with the largest mean.
        median_version_mean: the median of the versions' means.
        version_means: each version's mean of the finite radii.
        version_infinite: how many of each version's are infinite.
        share_above_best: images on which the vote is certified further than the best version.
        share_above_median: images on which it is certified further than the median version.
    """

    program: RadiiSummary = RadiiSummary()
    best_version: BestRadii = BestRadii()
    median_version_mean: float | None = None
    version_means: list[float | None] = Field(default_factory=list)
    version_infinite: list[int] = Field(default_factory=list)
    share_above_best: float | None = None
    share_above_median: float | None = None


class CertifiedVotes(Section):
    """How far the program's vote is certified.

    Attributes:
        voter: how it decides.
        domain: "ball", or "box" where changed images keep to valid pixels.
        images: how many were certified.
        versions: the names of those that vote.
        versions_of: how many the study has.
        norms: radii by norm: "1", "2" or "inf".
    """

    voter: str | None = None
    domain: str | None = None
    images: int | None = None
    versions: list[str] | None = None
    versions_of: int | None = None
    norms: dict[str, VoteRadii] = Field(default_factory=dict)


class AttackedDistances(Section):
    """The smallest changes that attacks found on the certified images of one network, in one norm.

    Attributes:
        median: over all images; null if half of them or more withstood.
        distances: image by image; 0 where the image is misclassified, null where no attack
            succeeded.
        gap: the median over images of the distance over the certified radius, in the plain ball
            if that was certified, else among valid images; those without either are left out.
        nearer: images on which an attack is nearer than the certificate: 0, or one of the two is
            wrong.
        passes: through the network, forwards and backwards, for an attacked image.
    """

    median: float | None = None
    distances: list[float | None] = Field(default_factory=list)
    gap: float | None = None
    nearer: int = 0
    passes: float | None = None


class AttackedPair(Section):
    """Smallest changes found of baseline and student.

    Attributes:
        baseline: on the baseline.
        student: on the student.
    """

    baseline: AttackedDistances = AttackedDistances()
    student: AttackedDistances = AttackedDistances()


class Certification(Section):
    """Certified radii.

    Attributes:
        method: of the bounds.
        images: how many were certified.
        norms: in the plain ball, by norm: "1", "2" or "inf".
        norms_box: for valid images only.
        norms_random_target: against one random target.
        random_target_images: how many of those.
        attacked: the smallest changes that attacks found on the same images, by norm; valid images
            all of them.
        attack_passes: that the attacks were allowed for an image; null if there were none.
        program: the certified vote.
    """

    method: str | None = None
    images: int | None = None
    norms: dict[str, RadiiPair] = Field(default_factory=dict)
    norms_box: dict[str, RadiiPair] = Field(default_factory=dict)
    norms_random_target: dict[str, RadiiPair] = Field(default_factory=dict)
    random_target_images: int | None = None
    attacked: dict[str, AttackedPair] = Field(default_factory=dict)
    attack_passes: int | None = None
    program: CertifiedVotes | None = None
