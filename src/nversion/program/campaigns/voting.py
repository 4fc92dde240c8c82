"""How often a program of several versions is right, beside each of them."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nversion.errors import InputError
from nversion.models import check_labels
from nversion.program.abstention import Abstention
from nversion.program.coverage import CoverageCurve, coverage_curve
from nversion.program.isolation import Isolation
from nversion.program.model import Program
from nversion.program.verdict import Verdict, join
from nversion.program.voters import Voter
from nversion.progress import progress_bar

__all__ = ["VoteCount", "count_votes"]

PART = 1024
"""Images whose outputs, of all versions, are held at once."""


@dataclasses.dataclass(frozen=True)
class VoteCount:
    """What a program decided on images whose classes are known, beside its versions.

    Attributes:
        voter: how they voted.
        verdict: image by image.
        labels: the true classes, int64 [count], at least one.
        versions: the share of images that each version by itself has right, by name.
        weights: of the versions, the largest 1; None for equal ones.
        curve: accuracy by coverage, by the measure of the abstention, or else by margin.
    """

    voter: Voter
    verdict: Verdict
    labels: Tensor
    versions: Mapping[str, float]
    weights: list[float] | None
    curve: CoverageCurve

    @property
    def k(self) -> int | None:
        """The votes that the voter was told to ask for; None if it was not, or asks for none."""
        k: int | None = self.voter.options().get("k")
        return k

    @property
    def right(self) -> int:
        """How many verdicts are the true class."""
        return int((self.verdict.labels == self.labels).sum())

    @property
    def accuracy(self) -> float:
        """The share of images whose verdict is the true class."""
        return self.right / len(self.labels)

    @property
    def abstentions(self) -> int:
        """How many images get no verdict."""
        return int((self.verdict.labels < 0).sum())

    @property
    def coverage(self) -> float:
        """The share of images that get a verdict."""
        return 1 - self.abstentions / len(self.labels)

    @property
    def accuracy_of_covered(self) -> float | None:
        """The share of verdicts that are the true class; None if there is no verdict."""
        covered = len(self.labels) - self.abstentions
        return self.right / covered if covered else None

    @property
    def wrong(self) -> int:
        """How many verdicts are another class than the true one."""
        return len(self.labels) - self.right - self.abstentions

    @property
    def agreement(self) -> float:
        """The share of versions whose own class is the verdict, in the mean over the images."""
        return float(self.verdict.agreement.double().mean())

    @property
    def unanimous(self) -> float:
        """The share of images on which every version's class is the verdict."""
        return float((self.verdict.agreement >= 1).double().mean())

    @property
    def mean_individual(self) -> float:
        """The mean of the versions' accuracies."""
        return sum(self.versions.values()) / len(self.versions)

    @property
    def best_individual(self) -> float:
        """The largest of the versions' accuracies."""
        return max(self.versions.values())

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as JSON values."""
        return {
            "images": len(self.labels),
            "voter": self.voter.name,
            "k": self.k,
            "accuracy": self.accuracy,
            "abstentions": self.abstentions,
            "coverage": self.coverage,
            "accuracy_of_covered": self.accuracy_of_covered,
            "area": self.curve.area,
            "confidence": self.curve.by,
            "rules": dataclasses.asdict(self.verdict.rules),
            "tied": int(self.verdict.tied.sum()),
            "faults": [
                {
                    "version": list(self.versions)[fault.version],
                    "kind": fault.kind,
                    "reason": fault.reason,
                    "images": int(fault.images.sum()),
                }
                for fault in self.verdict.faults
            ],
            "weights": self.weights,
            "wrong": self.wrong,
            "agreement": self.agreement,
            "unanimous": self.unanimous,
            "mean_individual": self.mean_individual,
            "best_individual": self.best_individual,
            "versions": [
                {"name": name, "accuracy": value} for name, value in self.versions.items()
            ],
        }


def count_votes(
    networks: Mapping[str, nn.Module],
    voter: Voter,
    images: Tensor,
    labels: Tensor,
    *,
    weights: Sequence[float] | Tensor | None = None,
    abstain: Abstention | None = None,
    quorum: int | None = None,
    isolate: Isolation | str | None = None,
    probes: tuple[Tensor, Tensor] | None = None,
) -> VoteCount:
    """Let networks vote on images, and count how often they and each of them are right.

    Args:
        networks: the versions by name, at least one.
        voter: how they vote.
        images: floating [count, channels, height, width] in [0, 1], at least one.
        labels: the true classes, int64 [count].
        weights: one positive number per version; equal ones by default.
        abstain: when a verdict is withheld; never by default.
        quorum: how many versions must have a voice; a strict majority by default.
        isolate: "processes" for one process for each version.
        probes: images of several classes, and their classes, by which constant versions are found
            beforehand; without them none is.

    Raises:
        InputError: malformed images, none at all, or a voter that the versions do not fit.
    """
    if not len(images):
        raise InputError("there must be images to vote on, at least one")
    check_labels(labels, len(images))
    program = Program(list(networks.values()), voter, weights, abstain, quorum, isolate)
    with contextlib.closing(program):
        verdict, undivided = _voted(program, images, probes)
    right = (verdict.predictions == labels.cpu()).double().mean(dim=1).tolist()
    shares = None if program.weights is None else program.weights.tolist()
    curve = coverage_curve(undivided, labels, abstain.by if abstain else "margin")
    return VoteCount(
        voter, verdict, labels.cpu(), dict(zip(networks, right, strict=True)), shares, curve
    )


def _voted(
    program: Program, images: Tensor, probes: tuple[Tensor, Tensor] | None
) -> tuple[Verdict, Verdict]:
    """Return the verdicts with the program's abstention, and without it."""
    if probes is not None:
        program.screen(*probes)
    verdicts, plain = [], []
    parts = torch.split(images, PART)
    with progress_bar("voting", len(parts)) as advance:
        for part in parts:
            asked = program.asked(part)
            plain.append(program.decide(asked, withhold=False))
            verdicts.append(program.decide(asked))
            advance()
    return join(verdicts), join(plain)
