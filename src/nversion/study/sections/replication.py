"""A replication in the results: many pairs of networks, and what tells them apart."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError

from nversion.errors import ArtefactError
from nversion.files import read_object
from nversion.reading import describe_validation_error
from nversion.replication.settings import ReplicationFolder
from nversion.study.sections.base import Named, Section

__all__ = [
    "NetworkCost",
    "Replicated",
    "ReplicatedContrast",
    "ReplicatedMean",
]


class ReplicatedMean(Section):
    """One arm's mean in one row.

    Attributes:
        mean: over its networks.
        low: lower end of its 95 % BCa interval.
        high: upper end.
        deviation: standard deviation between networks; null of a single one.
        networks: how many there are.
    """

    mean: float
    low: float
    high: float
    deviation: float | None = None
    networks: int


class ReplicatedContrast(Section):
    """Two arms in one row, by the pairs that both have.

    Attributes:
        row: what is compared.
        first: name of the one arm.
        second: name of the other.
        pairs: how many there are.
        difference: mean of first minus second.
        low: lower end of its 95 % BCa interval.
        high: upper end.
        above: share of pairs in which the first is above, ties counting half.
        above_low: lower end of that share's 95 % Wilson interval.
        above_high: upper end.
        effect: the difference over its standard deviation; null where that is 0.
        p_value: of the sign-flip permutation test.
        p_holm: corrected over the rows; null where the pairs are too few.
        verdict: of the first: "better", "worse", "level" or "too few".
    """

    row: str
    first: str
    second: str
    pairs: int
    difference: float
    low: float
    high: float
    above: float
    above_low: float
    above_high: float
    effect: float | None = None
    p_value: float
    p_holm: float | None = None
    verdict: str


class NetworkCost(Named):
    """What it takes to ask a network, or several.

    Attributes:
        parameters: of all networks together.
        multiply_adds: for one image.
        one_seconds: processor seconds of one thread for one image, the median of several calls.
        batch_seconds: for a batch of a hundred, likewise.
    """

    parameters: int
    multiply_adds: int
    one_seconds: float
    batch_seconds: float


class Replicated(Section):
    """Students and baselines, trained again and again.

    Attributes:
        settings: what was trained and measured.
        versions: names of the versions that taught.
        networks: every network's rows, by arm and pair.
        means: by arm and row.
        contrasts: every other arm against the baseline, and students against the controls.
        sentences: what follows from the tests.
        diverged: networks that did not learn, with what was said; they are left out.
        failures: networks that failed otherwise.
        costs: of program, student, baseline and best version.
    """

    settings: dict[str, Any] = Field(default_factory=dict)
    versions: list[str] = Field(default_factory=list)
    networks: dict[str, dict[str, dict[str, float]]] = Field(default_factory=dict)
    means: dict[str, dict[str, ReplicatedMean]] = Field(default_factory=dict)
    contrasts: list[ReplicatedContrast] = Field(default_factory=list)
    sentences: list[str] = Field(default_factory=list)
    diverged: list[str] = Field(default_factory=list)
    failures: list[str] = Field(default_factory=list)
    costs: list[NetworkCost] = Field(default_factory=list)

    @classmethod
    def made_of(cls, values: Mapping[str, Any], costs: Mapping[str, Any], source: Path) -> Self:
        """Return the section that a replication's JSON values make.

        Raises:
            ArtefactError: a value is of another type than it must have.
        """
        try:
            return cls.model_validate({**values, **costs})
        except ValidationError as problem:
            raise ArtefactError(describe_validation_error(str(source), problem, cls)) from problem

    @classmethod
    def found(cls, folder: ReplicationFolder) -> Self | None:
        """Return what a replication's folder holds; None where it holds none.

        Raises:
            ArtefactError: a file is damaged.
        """
        if not folder.summary.is_file():
            return None
        costs = read_object(folder.costs) if folder.costs.is_file() else {}
        return cls.made_of(read_object(folder.summary), costs, folder.summary)

    def differences(self, contrast: ReplicatedContrast) -> list[tuple[str, float]]:
        """Return the differences within pairs that a contrast is about, by their repeats."""
        ours, theirs = (self.networks.get(arm, {}) for arm in (contrast.first, contrast.second))
        return [
            (repeat, ours[repeat][contrast.row] - theirs[repeat][contrast.row])
            for repeat in sorted(
                ours.keys() & theirs.keys(), key=lambda repeat: (len(repeat), repeat)
            )
            if contrast.row in ours[repeat] and contrast.row in theirs[repeat]
        ]
