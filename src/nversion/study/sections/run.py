"""The run in the results: what was run, its questions, and the example to show."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from nversion.study.sections.base import Section

__all__ = [
    "Example",
    "ExampleAttack",
    "Failure",
    "Question",
    "StudyFacts",
]


class Failure(Section):
    """A unit of work that failed.

    Attributes:
        unit: its name.
        error: why.
    """

    unit: str | None = None
    error: str | None = None


class StudyFacts(Section):
    """What was run, with what, where, and how long it took.

    Attributes:
        name: the study's.
        dataset: the dataset's name.
        train_images: how many images there are to learn from.
        test_images: how many there are to test on.
        shape: channels, height and width of an image.
        class_names: what the classes are called.
        seed: of all randomness.
        versions: how many versions were trained.
        recipe: what they were trained by.
        voter: how the program decides.
        commit: of the code; null outside a checkout of it.
        nversion: its version.
        torch: PyTorch's version.
        python: Python's version.
        device: "cpu", or what else the work ran on.
        workers: how many took part.
        wall_seconds: by stage, with their "total".
        discarded_seconds: of work that the results do not consist of.
        failures: units that failed.
        config: the whole resolved configuration.
    """

    name: str | None = None
    dataset: str | None = None
    train_images: int | None = None
    test_images: int | None = None
    shape: list[int] | None = None
    class_names: list[str] | None = None
    seed: int | None = None
    versions: int | None = None
    recipe: str | None = None
    voter: str | None = None
    commit: str | None = None
    nversion: str | None = None
    torch: str | None = None
    python: str | None = None
    device: str | None = None
    workers: int | None = None
    wall_seconds: dict[str, float] = Field(default_factory=dict)
    discarded_seconds: float | None = None
    failures: list[Failure] = Field(default_factory=list)
    config: dict[str, Any] | None = None


class Question(Section):
    """One of the study's questions.

    Attributes:
        question: the question.
        answer: the answer, made from the numbers.
        rule: by which it was made; null in older results.
        rests_on: the keys of the results that it rests on.
    """

    question: str | None = None
    answer: str | None = None
    rule: str | None = None
    rests_on: list[str] = Field(default_factory=list)


class ExampleAttack(Section):
    """What one attack made of the example.

    Attributes:
        name: the attack's.
        success: whether it succeeded.
        prediction: what the version takes its image for.
        l0: changed pixels; null without success, as all that follow.
        l1: sum of absolute changes.
        l2: Euclidean distance.
        linf: largest absolute change.
        ssim: structural similarity to the original.
        in_adversarial_set: whether the rule of perceptibility keeps the attack.
        reason: why it does not.
        image: a PNG file in base64.
        difference: a PNG file in base64: 128 is no change, 127 steps are the scale.
        difference_scale: what those steps are.
    """

    name: str | None = None
    success: bool | None = None
    prediction: int | None = None
    l0: float | None = None
    l1: float | None = None
    l2: float | None = None
    linf: float | None = None
    ssim: float | None = None
    in_adversarial_set: bool = True
    reason: str | None = None
    image: str | None = None
    difference: str | None = None
    difference_scale: float | None = None


class Example(Section):
    """One test image under all attacks.

    Attributes:
        version: that was attacked.
        test_index: which test image it is.
        label: its class.
        original: a PNG file in base64.
        attacks: what they made of it.
    """

    version: str | None = None
    test_index: int | None = None
    label: int | None = None
    original: str | None = None
    attacks: list[ExampleAttack] = Field(default_factory=list)
