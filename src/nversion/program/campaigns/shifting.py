"""What disagreement is good for: votes on spoiled images, and on images of unknown classes.

For every voter: how much it gets right as images get worse, and what of it when it may abstain.
The threshold of the abstention is set on the clean images, where a wanted share of them keeps its
verdict, so that voters are compared at one price; then it is left alone (Hendrycks and Gimpel, "A
baseline for detecting misclassified and out-of-distribution examples in neural networks", ICLR
2017, for one network).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nversion.datasets.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from nversion.errors import InputError
from nversion.models import check_labels
from nversion.naming import did_you_mean
from nversion.program.abstention import MEASURES, confidence
from nversion.program.coverage import coverage_curve, separation
from nversion.program.model import Program
from nversion.program.verdict import Verdict, join
from nversion.program.voters import Voter
from nversion.progress import progress_bar

__all__ = ["Condition", "ShiftReport", "VotedOn", "measure_shift"]

PART = 1024
"""Images whose outputs, of all versions, are held at once."""

CLEAN = "clean"


@dataclasses.dataclass(frozen=True)
class Condition:
    """What was done to the images.

    Attributes:
        kind: "clean", a corruption, or "unknown" for images of classes that no version knows.
        severity: 1 to 5; 0 where there is none.
    """

    kind: str
    severity: int = 0


@dataclasses.dataclass(frozen=True)
class VotedOn:
    """What one voter decided under one condition.

    Attributes:
        voter: its name.
        condition: what was done to the images.
        images: how many.
        accuracy: the share of images whose verdict, without an abstention, is right; of unknown
            classes none can be.
        coverage: the share of images that keep a verdict at the threshold.
        accuracy_of_covered: the share of those verdicts that are right; None if there are none.
        area: under the curve of accuracy by coverage (:class:`nversion.program.CoverageCurve`).
        separation: the chance that a clean image is surer than one of these, ties counting half.
    """

    voter: str
    condition: Condition
    images: int
    accuracy: float
    coverage: float
    accuracy_of_covered: float | None
    area: float
    separation: float


@dataclasses.dataclass(frozen=True)
class ShiftReport:
    """What voters decided under all conditions.

    Attributes:
        by: the measure by which they abstain.
        wanted: the share of clean images that keeps a verdict, at the least.
        seed: of the corruptions.
        thresholds: of each voter, as the clean images have it.
        rows: by voter and condition.
    """

    by: str
    wanted: float
    seed: int
    thresholds: dict[str, float]
    rows: list[VotedOn]

    def of(self, voter: str, kind: str, severity: int = 0) -> VotedOn:
        """Return what one voter decided under one condition.

        Raises:
            InputError: it was not tried.
        """
        for row in self.rows:
            if (row.voter, row.condition) == (voter, Condition(kind, severity)):
                return row
        raise InputError(f"{voter} was not tried on {kind} of severity {severity}")

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        return dataclasses.asdict(self)


def measure_shift(
    networks: Sequence[nn.Module],
    voters: Mapping[str, Voter],
    images: Tensor,
    labels: Tensor,
    *,
    kinds: Sequence[str] = tuple(CORRUPTIONS),
    severities: Sequence[int] = SEVERITIES,
    unknown: Tensor | None = None,
    by: str = "margin",
    wanted: float = 0.95,
    seed: int = 0,
) -> ShiftReport:
    """Let networks vote on clean and spoiled images, and on images of unknown classes.

    The versions are asked once for each condition, whatever the number of voters.

    Args:
        networks: the versions, at least one.
        voters: by the name under which they are reported, at least one.
        images: clean ones, floating [count, channels, height, width] in [0, 1], at least one.
        labels: int64 [count].
        kinds: of corruptions (:func:`nversion.datasets.corrupt`).
        severities: 1 to 5.
        unknown: images of classes that no version knows, of the same shape; None for none.
        by: the measure by which verdicts are withheld: "agreement", "margin" or "entropy".
        wanted: the share of clean images that is to keep a verdict, in (0, 1].
        seed: of the corruptions.

    Raises:
        InputError: a malformed argument.
    """
    if by not in MEASURES:
        hint = did_you_mean(by, MEASURES)
        raise InputError(f"by must be one of {', '.join(MEASURES)}, not {by!r}{hint}")
    if not 0.0 < wanted <= 1.0:
        raise InputError(f"wanted must be a share in (0, 1], not {wanted!r}")
    if not voters or not len(images) or (unknown is not None and not len(unknown)):
        raise InputError("there must be voters and images, at least one of each")
    check_labels(labels, len(images))
    programs = {name: Program(networks, voter) for name, voter in voters.items()}
    conditions = [Condition(CLEAN)]
    conditions += [Condition(kind, severity) for kind in kinds for severity in severities]
    if unknown is not None:
        conditions.append(Condition("unknown"))
    rows: list[VotedOn] = []
    clean: dict[str, _Sureness] = {}
    with progress_bar("voting", len(conditions)) as advance:
        for condition in conditions:
            shown, truth = images, labels
            if condition.kind == "unknown" and unknown is not None:
                shown, truth = unknown, torch.full((len(unknown),), -1)
            elif condition.kind != CLEAN:
                shown = corrupt(images, condition.kind, condition.severity, seed=seed)
            for name, verdict in _verdicts(programs, shown).items():
                if condition.kind == CLEAN:
                    clean[name] = _Sureness.of(verdict, by, wanted)
                rows.append(_judged(name, condition, verdict, truth.cpu(), by, clean[name]))
            advance()
    sign = -1.0 if by == "entropy" else 1.0
    thresholds = {name: sign * one.threshold for name, one in clean.items()}
    return ShiftReport(by, wanted, seed, thresholds, rows)


@dataclasses.dataclass(frozen=True)
class _Sureness:
    """How sure a voter is of clean images, and from where on it keeps its verdict."""

    values: Tensor
    threshold: float

    @classmethod
    def of(cls, verdict: Verdict, by: str, wanted: float) -> _Sureness:
        values = _confidences(verdict, by)
        ordered = values.sort(descending=True).values
        last = math.ceil(wanted * len(ordered)) - 1
        return cls(values, float(ordered[last]))


def _confidences(verdict: Verdict, by: str) -> Tensor:
    """Return how sure the verdicts are, -inf where there is none."""
    sure = confidence(by, verdict.labels, verdict.probabilities, verdict.predictions)
    return sure.masked_fill(verdict.labels < 0, -math.inf)


def _verdicts(programs: Mapping[str, Program], images: Tensor) -> dict[str, Verdict]:
    """Return each program's verdict; they have the same versions, which are asked once."""
    first = next(iter(programs.values()))
    found: dict[str, list[Verdict]] = {name: [] for name in programs}
    for part in torch.split(images, PART):
        asked = first.asked(part)
        for name, program in programs.items():
            found[name].append(program.decide(asked))
    return {name: join(parts) for name, parts in found.items()}


def _judged(
    name: str, condition: Condition, verdict: Verdict, labels: Tensor, by: str, clean: _Sureness
) -> VotedOn:
    sure, right = _confidences(verdict, by), verdict.labels == labels
    right &= verdict.labels >= 0
    kept = (sure >= clean.threshold) & (verdict.labels >= 0)
    return VotedOn(
        name,
        condition,
        len(labels),
        float(right.double().mean()),
        float(kept.double().mean()),
        float(right[kept].double().mean()) if bool(kept.any()) else None,
        coverage_curve(verdict, labels, by).area,
        separation(clean.values, sure),
    )
