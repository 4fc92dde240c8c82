"""Versions and attacks in the results: tables, the adversarial set, and transfer."""

from __future__ import annotations

from pydantic import Field

from nversion.study.sections.base import Section

__all__ = [
    "AdversarialSetFacts",
    "AttackRow",
    "TransferMatrix",
    "UnderAttackRow",
    "VersionOrigin",
    "VersionRow",
]


class VersionOrigin(Section):
    """The file that a version is from.

    Attributes:
        file: its name, without the folders above it.
        format: such as "onnx".
        sha256: of it; of a folder, of the file that holds its weights.
        doubts: what was odd about it, each in a sentence.
    """

    file: str | None = None
    format: str | None = None
    sha256: str | None = None
    doubts: list[str] = Field(default_factory=list)


class VersionRow(Section):
    """One version, whether it was trained, loaded or failed.

    Attributes:
        name: the version's.
        architecture: its text.
        kind: "convolutional" or "dense".
        parameters: how many it has.
        status: "trained", "loaded" or "failed".
        error: why it failed.
        train_accuracy: on the training images.
        test_accuracy: on the test images.
        precision: of its training.
        seconds: of its training.
        adversarial_accuracy: on the adversarial set.
        adversarial_accuracy_own: on the images made against it.
        adversarial_accuracy_others: on the images made against others.
        origin: the file that it is from; null of one that was trained here.
    """

    name: str | None = None
    architecture: str | None = None
    kind: str | None = None
    parameters: int | None = None
    status: str | None = None
    error: str | None = None
    train_accuracy: float | None = None
    test_accuracy: float | None = None
    precision: str | None = None
    seconds: float | None = None
    adversarial_accuracy: float | None = None
    adversarial_accuracy_own: float | None = None
    adversarial_accuracy_others: float | None = None
    origin: VersionOrigin | None = None

    @property
    def failed(self) -> bool:
        """Whether it could not be trained, or loaded."""
        return self.status == "failed"


class AttackRow(Section):
    """One attack over all versions: a row of table II.

    Attributes:
        name: the attack's.
        norm: the distance that it makes small.
        tried: images attacked that were right before.
        succeeded: those that it made adversarial.
        already_misclassified: images that were wrong before.
        effectiveness: succeeded / tried; null if none was tried.
        test_images: different test images among those tried.
        effectiveness_low: lower end of the 95 % interval by test image.
        effectiveness_high: its upper end.
        seconds: all versions together.
        in_adversarial_set: whether the rule of perceptibility keeps it.
        reason: why it does not.
        median_l0: changed pixels, the median over the successes; so the next.
        median_l1: sum of absolute changes.
        median_l2: Euclidean distance.
        median_linf: largest absolute change.
        median_rms: root mean square change per pixel.
        median_ssim: structural similarity to the original.
    """

    name: str | None = None
    norm: str | None = None
    tried: int | None = None
    succeeded: int | None = None
    already_misclassified: int | None = None
    effectiveness: float | None = None
    test_images: int | None = None
    effectiveness_low: float | None = None
    effectiveness_high: float | None = None
    seconds: float | None = None
    in_adversarial_set: bool | None = None
    reason: str | None = None
    median_l0: float | None = None
    median_l1: float | None = None
    median_l2: float | None = None
    median_linf: float | None = None
    median_rms: float | None = None
    median_ssim: float | None = None


class AdversarialSetFacts(Section):
    """The adversarial set.

    Attributes:
        size: how many images it has.
        source_images: from how many test images.
        per_attack: images by attack.
        per_version: images by the version that they were made against.
        storable: whether all pixels are whole 255ths.
        perceptibility_rule: which attacks are in it, in words.
    """

    size: int | None = None
    source_images: int | None = None
    per_attack: dict[str, int] = Field(default_factory=dict)
    per_version: dict[str, int] = Field(default_factory=dict)
    storable: bool | None = None
    perceptibility_rule: str | None = None


class UnderAttackRow(Section):
    """Accuracy under attack at a usual radius: the share on which no attack found a change.

    Attributes:
        norm: "linf" or "l2".
        radius: the largest change.
        value: the share, as in :class:`ShareOfImages`, with all the others.
        low: lower end of its interval.
        high: upper end.
        images: how many were attacked.
        clusters: how many test images they are.
    """

    norm: str
    radius: float
    value: float
    low: float
    high: float
    images: int
    clusters: int


class TransferMatrix(Section):
    """Each version's accuracy on the images that were made against each other one.

    Attributes:
        sources: versions that images were made against.
        targets: versions that they were tested on.
        accuracy: ``[sources][targets]``, null where there is no image.
    """

    sources: list[str] = Field(default_factory=list)
    targets: list[str] = Field(default_factory=list)
    accuracy: list[list[float | None]] = Field(default_factory=list)
