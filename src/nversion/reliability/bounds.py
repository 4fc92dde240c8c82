"""What a vote's failures lie between, if only each version's own failures are known.

Of odd L versions that are right with probability p in the mean, majority is right between
(p L - l) / (l + 1) and p L / (l + 1), l = floor(L / 2), within [0, 1]: the patterns of failure and
of success of Kuncheva, Whitaker, Shipp and Duin, "Limits on the Majority Vote Accuracy in
Classifier Fusion", Pattern Analysis and Applications 6 (2003).

P. Popov, L. Strigini, J. May and S. Kuball, "Estimating Bounds on the Reliability of Diverse
Systems", IEEE TSE 29 (2003): with failure probabilities by part of the inputs, two versions fail
together at most by the smaller of the two in each part, and the parts' bounds add up to a tighter
one than the whole gives. Here the parts are the classes.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from nversion.errors import InputError
from nversion.measures import as_wrong
from nversion.measures.answers import ArrayLike, Bools, Doubles, Integers, as_array

__all__ = ["FailureBounds", "class_bounds", "majority_bounds", "popov_strigini"]


@dataclasses.dataclass(frozen=True)
class FailureBounds:
    """Bounds of how likely versions fail together.

    Attributes:
        lower: float64; of each pair [versions, versions], or of the vote, a number [].
        upper: likewise.
    """

    lower: Doubles
    upper: Doubles


def majority_bounds(accuracy: float, versions: int) -> tuple[float, float]:
    """Return the least and the greatest accuracy of a majority of an odd number of versions.

    Args:
        accuracy: the versions' mean, in [0, 1].
        versions: how many, odd.

    Raises:
        InputError: an even number of them, or no accuracy.
    """
    if versions < 1 or versions % 2 == 0:
        raise InputError(f"versions must be odd, not {versions}: half of them are no majority")
    if not 0.0 <= accuracy <= 1.0:
        raise InputError(f"accuracy must lie in [0, 1], not {accuracy}")
    half = versions // 2
    least = (accuracy * versions - half) / (half + 1)
    most = accuracy * versions / (half + 1)
    return float(np.clip(least, 0.0, 1.0)), float(np.clip(most, 0.0, 1.0))


def popov_strigini(wrong: ArrayLike, labels: ArrayLike) -> FailureBounds:
    """Return bounds of the probability that two versions fail together, by their rates by class.

    Args:
        wrong: bool [versions, count].
        labels: integers [count].

    Raises:
        InputError: malformed arguments.
    """
    weights, rates = _by_class(as_wrong(wrong), labels)
    first, second = rates[:, :, None], rates[:, None, :]
    upper = np.einsum("c,cij->ij", weights, np.minimum(first, second))
    lower = np.einsum("c,cij->ij", weights, np.maximum(first + second - 1.0, 0.0))
    return FailureBounds(lower, upper)


def class_bounds(wrong: ArrayLike, labels: ArrayLike) -> FailureBounds:
    """Return bounds of the probability that a majority fails, by the versions' rates by class.

    Args:
        wrong: bool [versions, count], of an odd number of versions.
        labels: integers [count].

    Raises:
        InputError: malformed arguments, or an even number of versions.
    """
    failed = as_wrong(wrong)
    weights, rates = _by_class(failed, labels)
    bounds = [majority_bounds(float(1.0 - rate.mean()), len(failed)) for rate in rates]
    least, most = (np.array(ends) for ends in zip(*bounds, strict=True))
    return FailureBounds(np.array(weights @ (1.0 - most)), np.array(weights @ (1.0 - least)))


def _by_class(wrong: Bools, labels: ArrayLike) -> tuple[Doubles, Doubles]:
    """Return classes' shares of the images, and versions' rates in them [classes, versions]."""
    truth = as_array(labels, "labels")
    if truth.shape != (wrong.shape[1],) or truth.dtype.kind not in "iu":
        raise InputError(
            f"labels must be integers [count], one for each of {wrong.shape[1]} images"
        )
    found, places, counts = np.unique(truth, return_inverse=True, return_counts=True)
    members: Integers = (places[None] == np.arange(len(found))[:, None]).astype(np.int64)
    rates = (members @ wrong.T.astype(np.float64)) / counts[:, None]
    return counts / wrong.shape[1], rates
