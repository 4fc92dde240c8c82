"""Evidence as one value with a type: who claims what of a study, and what it rests on.

Properties are called as in ISO/IEC 24029-2:2023 (clause 5: stability, sensitivity, relevance,
reachability), approaches as in ISO/IEC TR 24029-1:2021 (statistical, formal, empirical). What a
study says nothing of is among the limits.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from nversion.study.sections import Section

__all__ = [
    "FORMAT",
    "Environment",
    "Evidence",
    "Interval",
    "Limit",
    "Metric",
    "NetworkEvidence",
    "PerImage",
    "ProgramEvidence",
    "StudyEvidence",
    "ThreatModel",
]

FORMAT: Literal["nversion-evidence/1"] = "nversion-evidence/1"
"""The form of the file; the number grows where a reader of an older one would go wrong."""


class StudyEvidence(Section):
    """Which study the evidence is of, and which data it used.

    Attributes:
        name: the study's.
        results_sha256: of the file results.json.
        settings_sha256: of the settings that matter to the results; null where they are not known.
        settings: the whole resolved configuration, without where it ran.
        seed: of all randomness.
        dataset: the dataset's name.
        dataset_digest: SHA-256 of its images, labels and split; null where no record of a version
            is at hand.
        train_images: how many there are to learn from.
        test_images: how many there are to test on.
        shape: channels, height and width of an image.
        class_names: what the classes are called.
    """

    name: str
    results_sha256: str
    settings_sha256: str | None = None
    settings: dict[str, Any] | None = None
    seed: int | None = None
    dataset: str | None = None
    dataset_digest: str | None = None
    train_images: int | None = None
    test_images: int | None = None
    shape: list[int] | None = None
    class_names: list[str] | None = None


class NetworkEvidence(Section):
    """One network: a version, the baseline or the student.

    Attributes:
        name: unique in the study.
        role: what it is for.
        status: "trained" or "failed".
        architecture: its text.
        parameters: how many it has.
        weights_sha256: of the file with its weights, hashed now; null where it is not at hand.
        seed: of its training; null where its record is not at hand.
        recipe: every value of its training; null likewise.
        libraries: versions of what computed it.
    """

    name: str
    role: Literal["version", "baseline", "student"]
    status: str | None = None
    architecture: str | None = None
    parameters: int | None = None
    weights_sha256: str | None = None
    seed: int | None = None
    recipe: dict[str, Any] | None = None
    libraries: dict[str, str] = Field(default_factory=dict)


class ProgramEvidence(Section):
    """The program: who votes, and how.

    Attributes:
        versions: the names of those that vote.
        voter: how it decides.
        tie_rule: what becomes of an exact tie; null for a voter that is not installed.
        abstention_rule: when no class is named.
        fault_bound: what faulty versions can do to a verdict.
    """

    versions: list[str] = Field(default_factory=list)
    voter: str | None = None
    tie_rule: str | None = None
    abstention_rule: str | None = None
    fault_bound: str | None = None


class ThreatModel(Section):
    """What an attacker may do, and know.

    Attributes:
        id: by which metrics name it.
        norm: of the change: "l0", "l1", "l2" or "linf"; null for changes of any kind.
        radius: the largest change; null where the smallest one was looked for.
        lowest: pixel value that a changed image may have at least; null if any.
        highest: at most; null if any.
        knowledge: what the attacker knows of what is attacked.
        goal: what counts as a success.
    """

    id: str
    norm: str | None = None
    radius: float | None = None
    lowest: float | None = 0.0
    highest: float | None = 1.0
    knowledge: str
    goal: str = "any class but the label"


class Interval(Section):
    """Where a value lies.

    Attributes:
        low: lower end; null if it has none.
        high: upper end; null if it has none.
        level: how often such intervals hold the value.
        method: by which it was found.
    """

    low: float | None = None
    high: float | None = None
    level: float = 0.95
    method: str


class Metric(Section):
    """One number, with what it rests on.

    Attributes:
        key: of results.json that holds it, dotted, as `nversion gate` takes it; null for a number
            that was made from several.
        name: what it is, in words.
        subject: what it is of: "program", "baseline", "student", or a version's name.
        property: "stability" as in ISO/IEC 24029-2, "performance" on images that nobody changed, or
            "diversity" of failures.
        approach: "statistical", "empirical" (attacks, which bound from one side) or "formal"
            (proofs), as in ISO/IEC TR 24029-1.
        value: null where it has none, such as a median where most images withstood.
        unit: "share" in [0, 1], "distance" in pixels of [0, 1], "correlation" or "count".
        reading: how it bounds what it stands for.
        interval: null where none was computed.
        images: how many it was measured on.
        test_images: how many different test images these come from.
        method: the attacks or the certificates behind it.
        threat: the id of a threat model; null on images that nobody changed.
    """

    key: str | None
    name: str
    subject: str
    property: Literal["performance", "stability", "diversity"]
    approach: Literal["statistical", "empirical", "formal"]
    value: float | None = None
    unit: Literal["share", "distance", "correlation", "count"]
    reading: Literal["estimate", "lower bound", "upper bound"] = "estimate"
    interval: Interval | None = None
    images: int | None = None
    test_images: int | None = None
    method: str
    threat: str | None = None


class PerImage(Section):
    """Results image by image.

    Attributes:
        subject: as in :class:`Metric`.
        quantity: "certified radius" or "adversarial distance".
        norm: of the numbers: "l1", "l2" or "linf".
        method: the attacks or the certificates behind them.
        threat: the id of a threat model.
        test_indices: which test images, in the order of the numbers.
        numbers: one for each image; what null and 0 stand for is said next.
        null_is: what null stands for.
        zero_is: what 0 stands for.
    """

    subject: str
    quantity: Literal["certified radius", "adversarial distance"]
    norm: str
    method: str
    threat: str
    test_indices: list[int]
    numbers: list[float | None]
    null_is: str
    zero_is: str


class Limit(Section):
    """What the evidence does not cover.

    Attributes:
        what: was not evaluated, or in part only.
        status: "not evaluated" or "in part".
        reason: what there is instead, or what would bring it.
    """

    what: str
    status: Literal["not evaluated", "in part"]
    reason: str


class Environment(Section):
    """Where the study ran, and with what.

    Attributes:
        nversion: its version.
        commit: of the code; null outside a checkout of it. "+" is for changes beside it.
        python: Python's version.
        torch: PyTorch's version.
        device: what networks computed on.
        workers: how many took part.
        seconds: wall-clock time of the work that the results consist of.
    """

    nversion: str | None = None
    commit: str | None = None
    python: str | None = None
    torch: str | None = None
    device: str | None = None
    workers: int | None = None
    seconds: float | None = None


class Evidence(Section):
    """What a study showed, for others to rely on or to doubt.

    Attributes:
        format: "nversion-evidence/1".
        made: when, in UTC, as in 2026-01-31T12:00:00Z.
        made_by: nversion and its version.
        study: which one, and its data.
        networks: versions, baseline and student.
        program: who votes, and how.
        threat_models: those that metrics name.
        metrics: every number that stands for a property.
        per_image: results image by image.
        limits: what is not covered.
        environment: where the study ran.
        failures: units of work that failed.
    """

    format: Literal["nversion-evidence/1"] = FORMAT
    made: str
    made_by: str
    study: StudyEvidence
    networks: list[NetworkEvidence]
    program: ProgramEvidence
    threat_models: list[ThreatModel]
    metrics: list[Metric]
    per_image: list[PerImage]
    limits: list[Limit]
    environment: Environment
    failures: list[str] = Field(default_factory=list)
