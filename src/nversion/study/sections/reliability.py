"""How the versions fail together, in the results, and which of them would be enough."""

from __future__ import annotations

from pydantic import Field

from nversion.study.sections.base import Named, Section

__all__ = [
    "BetaBinomialFit",
    "ChosenVersions",
    "Coincidences",
    "FailuresTogether",
    "MeasuredValue",
    "OrdersOfVersions",
    "Reliability",
    "Selection",
    "VoteGrowth",
    "VoterCurve",
]


class MeasuredValue(Section):
    """A measure with its 95 % interval.

    Attributes:
        value: of it; null where it is undefined.
        low: lower end; null where it is not known.
        high: upper end.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None


class BetaBinomialFit(Section):
    """The beta-binomial model of coincident failures, if it fits: one that is rejected is left out.

    Attributes:
        alpha: first parameter of the difficulty's distribution.
        beta: second one.
        chi_squared: of the fit.
        degrees_of_freedom: of it.
        p_value: of the fit.
        coincidences: images that it gives two failing versions or more.
    """

    alpha: float
    beta: float
    chi_squared: float
    degrees_of_freedom: int
    p_value: float
    coincidences: float


class Coincidences(Section):
    """On how many images how many versions fail, beside what independence predicts.

    Attributes:
        histogram: images on which 0, 1, ... versions fail.
        by_version: images that each version fails on, in the program's order.
        independent: as many as versions that fail independently, each at its own rate, would give.
        coincidences: images on which two versions or more fail.
        expected_coincidences: as many as independence predicts.
        z: of Knight and Leveson's test (1986); null where there is nothing to test, and on the
            adversarial set, which is made of failures.
        p_value: of the same, by the binomial distribution.
        within_classes_z: the same for versions that are independent given the class.
        dispersion: the variance of the number of failing versions over what independence gives.
        correlation: of two versions' failures, by Eckhardt and Lee (1985).
        effective_versions: as many independent ones are worth the same; null without limit.
        beta_binomial: the usual model; null where it is rejected, or cannot be tested.
        beta_binomial_p: the p-value of its fit; null where it cannot be tested.
    """

    histogram: list[int] = Field(default_factory=list)
    by_version: list[int] = Field(default_factory=list)
    independent: list[float] = Field(default_factory=list)
    coincidences: int | None = None
    expected_coincidences: float | None = None
    z: float | None = None
    p_value: float | None = None
    within_classes_z: float | None = None
    dispersion: float | None = None
    correlation: float | None = None
    effective_versions: float | None = None
    beta_binomial: BetaBinomialFit | None = None
    beta_binomial_p: float | None = None


class VoteGrowth(Section):
    """How often a vote of n versions is right, for n = 1, 2, ...

    Attributes:
        predicted: of n versions taken at random: the exact mean over all choices.
        low: lower end of its 95 % interval over images; empty on the adversarial set.
        high: upper end.
        measured: of the first n versions, in the given order.
        orders: how many random orders were tried.
        orders_low: lower end of the middle 95 % of them; empty where none were.
        orders_high: upper end.
    """

    predicted: list[float] = Field(default_factory=list)
    low: list[float] = Field(default_factory=list)
    high: list[float] = Field(default_factory=list)
    measured: list[float] = Field(default_factory=list)
    orders: int | None = None
    orders_low: list[float] = Field(default_factory=list)
    orders_high: list[float] = Field(default_factory=list)


class VoterCurve(Section):
    """What a voter gets right of the images that it is surest of.

    Attributes:
        voter: its name.
        right: the share of all images with the right verdict.
        decided: the share with any verdict.
        area: under the curve: the mean accuracy over all coverages; undecided images count as
            wrong.
        coverage: shares of images that are covered, by margin, the surest first; thinned out.
        accuracy: the share of those whose verdict is right.
    """

    voter: str
    right: float
    decided: float
    area: float
    coverage: list[float] = Field(default_factory=list)
    accuracy: list[float] = Field(default_factory=list)


class FailuresTogether(Section):
    """How the versions fail together on one kind of images.

    Attributes:
        images: how many there are.
        measures: of diversity, by name; of pairs the means over pairs. Intervals are by test image.
        correlation: of failures, of each pair: a row for each version but the last, with those
            after it; empty for more than a hundred versions. null is undefined. All five matrices
            are in the file program/diversity-test.safetensors (or -adversarial).
        failures: coincident failures.
        majority: a vote in which more than half must agree.
        plurality: a vote in which the most votes win, a tie being no verdict; null for more than
            1,000 versions.
        voters: accuracy by coverage, for every voter; the one with the largest area first.
    """

    images: int | None = None
    measures: dict[str, MeasuredValue] = Field(default_factory=dict)
    correlation: list[list[float | None]] = Field(default_factory=list)
    failures: Coincidences = Coincidences()
    majority: VoteGrowth = VoteGrowth()
    plurality: VoteGrowth | None = None
    voters: list[VoterCurve] = Field(default_factory=list)


class ChosenVersions(Named):
    """A program that was chosen on training images by one criterion, and judged on others.

    Attributes:
        name: of the criterion: "accuracy", "coincident-failures" or "white-box"; "all" if none.
        members: the versions, in the order in which they were taken.
        train_accuracy: of their vote on the images that they were chosen on.
        test_accuracy: of their vote on the test images.
        adversarial_accuracy: on the adversarial set; null if it is empty.
        distance: the mean distance of the nearest error that their linearised mean predicts for an
            attacker who knows them, on training images; null where it was not computed.
    """

    members: list[str] = Field(default_factory=list)
    train_accuracy: float | None = None
    test_accuracy: float | None = None
    adversarial_accuracy: float | None = None
    distance: float | None = None


class OrdersOfVersions(Section):
    """The program's accuracy by its number of versions, in orders that say something.

    Attributes:
        best_first: the best first, by each version's own accuracy on the other kind of images.
        chosen: as they were chosen on training images, by the accuracy of the vote.
    """

    best_first: list[float] = Field(default_factory=list)
    chosen: list[float] = Field(default_factory=list)


class Selection(Section):
    """Which versions would be enough, chosen on training images.

    Attributes:
        images: training images that were chosen on. The versions have learnt from them.
        white_box_images: of these, those whose gradients were asked for.
        mean_accuracy: of the versions on these images, which shows how far they are learnt by
            heart.
        full: the program of all versions, in the same numbers.
        chosen: the smallest program that matches it, by each criterion: the first versions in the
            order of a greedy search whose vote is as accurate on these images.
        sized: by each criterion as many versions: ten, or half of them if there are fewer than
            twenty.
        test: the program's accuracy on the test images, in two orders.
        adversarial: on the adversarial set; null if it is empty.
    """

    images: int | None = None
    white_box_images: int | None = None
    mean_accuracy: float | None = None
    full: ChosenVersions = ChosenVersions()
    chosen: list[ChosenVersions] = Field(default_factory=list)
    sized: list[ChosenVersions] = Field(default_factory=list)
    test: OrdersOfVersions = OrdersOfVersions()
    adversarial: OrdersOfVersions | None = None


class Reliability(Section):
    """How the versions fail together, and which of them would be enough.

    Attributes:
        test: on the test images; null for a study of one version.
        adversarial: on the adversarial set; null if it is empty.
        selection: null where it was not asked for.
    """

    test: FailuresTogether | None = None
    adversarial: FailuresTogether | None = None
    selection: Selection | None = None
