"""Accuracy against coverage: what a program gets right of the images that it is surest of.

El-Yaniv and Wiener, "On the foundations of noise-free selective classification", Journal of Machine
Learning Research 11, 2010; the area over the coverages is one less the AURC of Geifman, Uziel and
El-Yaniv, "Bias-reduced uncertainty estimation for deep neural classifiers", ICLR 2019.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor

from nversion.errors import InputError
from nversion.models import check_labels
from nversion.naming import did_you_mean
from nversion.program.abstention import MEASURES, confidence
from nversion.program.verdict import Verdict

__all__ = ["CoverageCurve", "accuracy_coverage", "coverage_curve", "separation"]


@dataclasses.dataclass(frozen=True)
class CoverageCurve:
    """What is right of the images that are covered, for every threshold that makes a difference.

    Images of equal confidence are covered together, so that a curve has one point for each value
    of the confidence, the largest first.

    Attributes:
        by: the measure of confidence.
        thresholds: an abstention with this threshold covers these images.
        coverage: the share of images that get a verdict.
        accuracy: the share of those whose verdict is right.
        area: the mean, over 1, 2, ... all images, of the accuracy on the surest ones: exact, where
            those of equal confidence count in the mean over all their orders. Images that the
            voter itself abstains on come last, and count as wrong.
    """

    by: str
    thresholds: list[float]
    coverage: list[float]
    accuracy: list[float]
    area: float


def coverage_curve(verdict: Verdict, labels: Tensor, by: str = "margin") -> CoverageCurve:
    """Return the curve of a verdict, found without an abstention of its own.

    Args:
        verdict: of a program or of stored outputs.
        labels: the true classes, int64 [count], at least one; -1 where none of the program's
            classes is the true one.
        by: "agreement", "margin" or "entropy".

    Raises:
        InputError: malformed labels, none at all, an unknown measure, or withheld verdicts.
    """
    if by not in MEASURES:
        hint = did_you_mean(by, MEASURES)
        raise InputError(f"by must be one of {', '.join(MEASURES)}, not {by!r}{hint}")
    check_labels(labels.clamp(min=0), len(verdict), verdict.probabilities.shape[1])
    if bool(verdict.withheld.any()):
        raise InputError("some verdicts were withheld; vote without an abstention first")
    sure = confidence(by, verdict.labels, verdict.probabilities, verdict.predictions)
    decided = verdict.labels >= 0
    curve = accuracy_coverage(sure, decided & (verdict.labels == labels.cpu()), decided)
    signed = [-value for value in curve.thresholds] if by == "entropy" else curve.thresholds
    return dataclasses.replace(curve, by=by, thresholds=signed)


def accuracy_coverage(
    confidences: Tensor, right: Tensor, decided: Tensor | None = None
) -> CoverageCurve:
    """Return the curve of any classifier with a confidence.

    Args:
        confidences: larger for surer, floating [count], at least one; no NaN.
        right: bool [count].
        decided: bool [count], where there is a verdict at all; everywhere by default.

    Raises:
        InputError: shapes that differ, no images, or NaN.
    """
    decided = torch.ones_like(right) if decided is None else decided
    if not confidences.shape == right.shape == decided.shape or confidences.ndim != 1:
        raise InputError("confidences, right and decided must be of one shape, [count]")
    if len(right) == 0:
        raise InputError("there must be images, at least one")
    if bool(confidences.isnan().any()):
        raise InputError("confidences hold NaN")
    found, places = np.unique(confidences[decided].double().cpu().numpy(), return_inverse=True)
    values, groups = torch.from_numpy(found), torch.from_numpy(places)
    sizes = torch.bincount(groups, minlength=len(values)).flip(0)
    hits = torch.bincount(groups[right[decided]], minlength=len(values)).flip(0)
    covered, correct = sizes.cumsum(0), hits.cumsum(0)
    count = len(right)
    # Within a group the expected number of right ones grows evenly.
    steps = (hits.double() / sizes).repeat_interleave(sizes)
    undecided = torch.zeros(count - len(steps), dtype=torch.float64)
    expected = torch.cat([steps, undecided]).cumsum(0)
    area = (expected / torch.arange(1, count + 1)).mean()
    return CoverageCurve(
        "confidence",
        values.flip(0).tolist(),
        (covered.double() / count).tolist(),
        (correct.double() / covered).tolist(),
        float(area),
    )


def separation(known: Tensor, unknown: Tensor) -> float:
    """Return the chance that a known image is surer than an unknown one, ties counting half.

    That is the area under the receiver operating characteristic (Hanley and McNeil, Radiology
    143(1), 1982).

    Args:
        known: confidences, floating [images], at least one.
        unknown: likewise, of images of other classes.

    Raises:
        InputError: no images of one kind.
    """
    if len(known) == 0 or len(unknown) == 0:
        raise InputError("there must be images of both kinds, at least one each")
    ordered = unknown.double().sort().values
    below = torch.searchsorted(ordered, known.double(), right=False)
    up_to = torch.searchsorted(ordered, known.double(), right=True)
    return float((below + up_to).double().sum() / (2 * len(known) * len(unknown)))
