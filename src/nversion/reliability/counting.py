"""``nversion.coincident_failures``: from right and wrong, or from counts that were published."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy as np

from nversion.errors import InputError
from nversion.measures import as_wrong
from nversion.measures.answers import ArrayLike, Bools, Integers, as_array
from nversion.reliability.failures import CoincidentFailures

__all__ = ["coincident_failures"]


@final
class _Counting:
    """Counts coincident failures; called as a function."""

    def __call__(self, wrong: ArrayLike, labels: ArrayLike | None = None) -> CoincidentFailures:
        """Return how versions fail together.

        Args:
            wrong: bool [versions, count]; where a version fails on an image.
            labels: integers [count], if the same is wanted within classes.

        Raises:
            InputError: malformed arguments.
        """
        failed = as_wrong(wrong)
        if labels is None:
            return _count(failed)
        truth = as_array(labels, "labels")
        if truth.shape != (failed.shape[1],) or truth.dtype.kind not in "iu":
            raise InputError(
                f"labels must be integers [count], one for each of {failed.shape[1]} images, not "
                f"{truth.dtype} {list(truth.shape)}"
            )
        parts = {int(label): _count(failed[:, truth == label]) for label in np.unique(truth)}
        whole = _count(failed)
        return CoincidentFailures(whole.histogram, whole.failures, whole.together, parts)

    def from_counts(
        self, histogram: ArrayLike | Mapping[int, int], failures: ArrayLike
    ) -> CoincidentFailures:
        """Return the same from counts.

        Args:
            histogram: images on which 0, 1, ... versions fail, [versions + 1]; or by number.
            failures: images that each version fails on, [versions].

        Raises:
            InputError: they are not whole, negative, or contradict each other.
        """
        failed = _counts(failures, "failures")
        if isinstance(histogram, Mapping):
            histogram = _dense(histogram, len(failed))
        images = _counts(histogram, "histogram")
        if len(images) != len(failed) + 1:
            raise InputError(
                f"histogram must be [versions + 1], from 0 to {len(failed)} failing versions, not "
                f"{list(images.shape)}"
            )
        count = int(images.sum())
        if count == 0 or int(failed.max()) > count:
            raise InputError(f"failures reach {int(failed.max())} of {count} images")
        summed = int(np.arange(len(images)) @ images)
        if summed != int(failed.sum()):
            raise InputError(
                f"the histogram has {summed} failures, but the versions have {int(failed.sum())}"
            )
        return CoincidentFailures(images, failed)


coincident_failures = _Counting()
"""Count how versions fail together: `coincident_failures(wrong, labels=None)`, or
`coincident_failures.from_counts(histogram, failures)`."""


def _count(wrong: Bools) -> CoincidentFailures:
    versions = len(wrong)
    histogram = np.bincount(wrong.sum(axis=0), minlength=versions + 1).astype(np.int64)
    failed = wrong.any(axis=0)
    # Products of whole numbers below 2^53 are exact in float64.
    numbers = wrong[:, failed].astype(np.float64)
    together = (numbers @ numbers.T).astype(np.int64)
    return CoincidentFailures(histogram, np.diagonal(together).copy(), together)


def _dense(histogram: Mapping[int, int], versions: int) -> list[int]:
    dense = [0] * (versions + 1)
    for number, images in histogram.items():
        if not 0 <= number <= versions:
            raise InputError(f"histogram: {number} of {versions} versions cannot fail")
        dense[number] = images
    return dense


def _counts(values: Any, name: str) -> Integers:
    given = as_array(values, name)
    if given.ndim != 1 or len(given) == 0 or given.dtype.kind not in "iu" or given.min() < 0:
        raise InputError(f"{name} must be counts, whole numbers from 0 on, in one row")
    counts: Integers = given.astype(np.int64)
    return counts
