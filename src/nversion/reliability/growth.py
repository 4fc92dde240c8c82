"""How right a vote of n versions is to be expected, for every n, n of them taken at random.

Of a majority, from the histogram of failures (:mod:`nversion.reliability.subsets`); of a plurality,
from each image's votes by class (:mod:`nversion.reliability.plurality`). Both are exact means over
all choices of n versions; the intervals are for other images, by a bootstrap, not for other
versions.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from nversion.errors import InputError
from nversion.measures import as_answers, as_wrong
from nversion.measures.answers import ArrayLike, Doubles, Integers
from nversion.measures.patterns import Sampling, quantiles
from nversion.reliability.plurality import VotePatterns, right_of_plurality
from nversion.reliability.subsets import majorities

__all__ = ["Growth", "majority_growth", "plurality_growth"]


@dataclasses.dataclass(frozen=True)
class Growth:
    """The expected accuracy of a vote of 1, 2, ... N versions.

    Attributes:
        right: float64 [N]; the share of images with the right verdict.
        low: float64 [N], the lower ends of intervals; None where none were asked for.
        high: float64 [N], the upper ends.
    """

    right: Doubles
    low: Doubles | None = None
    high: Doubles | None = None

    def enough(self, tolerance: float = 0.0, *, odd: bool = True) -> int:
        """Return the least n from which on no vote is less accurate than all N by more than that.

        Args:
            tolerance: a share of images, such as 0.001.
            odd: whether n must be odd; even numbers may tie.
        """
        allowed = [
            n for n in range(1, len(self.right) + 1) if not odd or n % 2 or n == len(self.right)
        ]
        wanted = float(self.right[-1]) - tolerance - 1e-12
        enough = len(self.right)
        for n in reversed(allowed):
            if self.right[n - 1] < wanted:
                break
            enough = n
        return enough

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "right": self.right.tolist(),
            "low": None if self.low is None else self.low.tolist(),
            "high": None if self.high is None else self.high.tolist(),
        }


def majority_growth(
    wrong: ArrayLike, *, resamples: int = 0, level: float = 0.95, seed: int = 0
) -> Growth:
    """Return how often more than half of n versions are right, for every n.

    Args:
        wrong: bool [versions, count], or images by their number of failing versions, integers
            [versions + 1].
        resamples: samples of the images for intervals; 0 for none.
        level: the share of the samples that an interval holds.
        seed: of the samples.

    Raises:
        InputError: malformed arguments.
    """
    sampling = Sampling(resamples, level, seed)
    given = np.asarray(wrong)
    if given.ndim == 1 and given.dtype.kind in "iu" and len(given) > 1 and given.sum() > 0:
        histogram: Integers = given.astype(np.int64)
    else:
        failed = as_wrong(wrong)
        histogram = np.bincount(failed.sum(axis=0), minlength=len(failed) + 1).astype(np.int64)
    images = int(histogram.sum())
    right = _majority_right(histogram / images)
    if not resamples:
        return Growth(right)
    samples = _majority_right(sampling.draw(histogram) / images)
    return Growth(right, *quantiles(samples.T, level))


def plurality_growth(
    outputs: ArrayLike,
    labels: ArrayLike,
    *,
    ties: str = "abstain",
    resamples: int = 0,
    level: float = 0.95,
    seed: int = 0,
) -> Growth:
    """Return how often the class with the most votes of n versions is right, for every n.

    Args:
        outputs: floating [versions, count, classes], or classes, integers [versions, count].
        labels: integers [count].
        ties: "abstain": several classes with the most votes are no verdict; "lowest": the lowest
            of them is.
        resamples: samples of the images for intervals; 0 for none.
        level: the share of the samples that an interval holds.
        seed: of the samples.

    Raises:
        InputError: malformed arguments.
    """
    sampling = Sampling(resamples, level, seed)
    if ties not in ("abstain", "lowest"):
        raise InputError(f"ties must be 'abstain' or 'lowest', not {ties!r}")
    answers = as_answers(outputs, labels)
    patterns = VotePatterns.of(answers.predictions, answers.labels, ties == "lowest")
    each = right_of_plurality(patterns)
    counts = patterns.counts
    images = int(counts.sum())
    right = np.clip(counts @ each / images, 0.0, 1.0)
    if not resamples:
        return Growth(right)
    samples = np.clip(sampling.draw(counts) @ each / images, 0.0, 1.0)
    return Growth(right, *quantiles(samples.T, level))


def _majority_right(shares: Doubles) -> Doubles:
    failed, tied = majorities(shares)
    found: Doubles = np.clip(1.0 - failed - tied, 0.0, 1.0)
    return found
