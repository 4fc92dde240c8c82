"""All that a study found, as one value with a type: what ``results.json`` holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError

import nversion
from nversion.errors import ArtefactError
from nversion.reading import cleaned, describe_validation_error
from nversion.study.sections.attacks import (
    AdversarialSetFacts,
    AttackRow,
    TransferMatrix,
    UnderAttackRow,
    VersionRow,
)
from nversion.study.sections.base import Section
from nversion.study.sections.classes import ClassAnswers
from nversion.study.sections.networks import Certification, Distillation
from nversion.study.sections.program import Comparisons, Program
from nversion.study.sections.reliability import Reliability
from nversion.study.sections.replication import Replicated
from nversion.study.sections.run import Example, Question, StudyFacts

__all__ = ["Results"]


class Results(Section):
    """All that a study found: what ``results.json`` holds.

    Attributes:
        study: what was run, with what, where, and how long it took.
        versions: a row for each.
        attacks: the rows of table II.
        adversarial_set: its size, and what it is made of.
        under_attack: accuracy under attack at the usual radii; absent from older results.
        transfer: each version on the images made against each other one.
        program: what the program and its versions get right.
        reliability: how the versions fail together; absent from older results.
        comparisons: who is better than whom; absent from older results.
        by_class: answers to the test images class by class; absent from older results.
        distillation: student and baseline.
        certification: certified radii.
        replication: students and baselines again and again; absent or null where there are none.
        questions: the study's questions, with their answers.
        example: one image under all attacks; null if no attack succeeded.
    """

    study: StudyFacts = StudyFacts()
    versions: list[VersionRow] = Field(default_factory=list)
    attacks: list[AttackRow] = Field(default_factory=list)
    adversarial_set: AdversarialSetFacts = AdversarialSetFacts()
    under_attack: list[UnderAttackRow] = Field(default_factory=list)
    transfer: TransferMatrix = TransferMatrix()
    program: Program = Program()
    reliability: Reliability = Reliability()
    comparisons: Comparisons = Comparisons()
    by_class: list[ClassAnswers] = Field(default_factory=list)
    distillation: Distillation = Distillation()
    certification: Certification = Certification()
    replication: Replicated | None = None
    questions: list[Question] = Field(default_factory=list)
    example: Example | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any], source: str | Path = "the results") -> Self:
        """Return the results that JSON values hold, any text in them made fit to be written.

        Args:
            values: such as a file of results holds.
            source: where they are from, for the message.

        Raises:
            ArtefactError: they are no mapping, or a value is of another type than it must have.
        """
        if not isinstance(values, Mapping):
            raise ArtefactError(f"{source}: must be a JSON object, not a {type(values).__name__}")
        known = cleaned(values)
        try:
            return cls.model_validate(known)
        except ValidationError as problem:
            told = describe_validation_error(str(source), problem, cls)
            raise ArtefactError(f"{told}\n{source}: {_made_by(known)}") from problem

    @property
    def trained(self) -> list[tuple[int, VersionRow]]:
        """The versions that were trained or loaded, each with its place in the list, from 1."""
        listed = enumerate(self.versions, start=1)
        return [(place, version) for place, version in listed if not version.failed]

    @property
    def compared(self) -> bool:
        """Whether they hold comparisons by test image; those of older versions do not."""
        return "comparisons" in self.model_fields_set


def _made_by(values: Mapping[str, Any]) -> str:
    """Return what made results that cannot be read, and what to do about it."""
    study = values.get("study")
    version = study.get("nversion") if isinstance(study, Mapping) else None
    made = (
        f"made by nversion {version}" if isinstance(version, str) else "nobody knows by what made"
    )
    return (
        f"{made}, and not in the form that nversion {nversion.__version__} reads, its own or that "
        "of an older version which lacks some keys; run the study again, or mend the file"
    )
