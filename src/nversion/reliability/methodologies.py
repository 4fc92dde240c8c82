"""Two ways of making versions: whether what is hard for one is hard for the other.

B. Littlewood and D. R. Miller, "Conceptual Modeling of Coincident Failures in Multiversion
Software", IEEE TSE 15 (1989): with difficulty functions of two methodologies, a version of each
fails on a random input with probability E[theta_A theta_B] = E[theta_A] E[theta_B] + cov. Where
the covariance is negative, they fail together less often than independent versions would.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from nversion.errors import InputError
from nversion.measures import as_wrong
from nversion.measures.answers import ArrayLike

__all__ = ["Methodologies", "littlewood_miller"]


@dataclasses.dataclass(frozen=True)
class Methodologies:
    """How versions of two groups fail together.

    Attributes:
        first: the probability that a version of the first group fails.
        second: that one of the second does.
        together: that one of each, taken at random, both do.
        covariance: of the groups' difficulties, together - first * second.
        correlation: of the groups' difficulties; NaN where one does not vary.
        first_pairs: the probability that two different versions of the first group both fail; NaN
            for a group of one.
        second_pairs: the same for the second.
    """

    first: float
    second: float
    together: float
    covariance: float
    correlation: float
    first_pairs: float
    second_pairs: float

    @property
    def diverse(self) -> bool:
        """Whether two of different groups fail together less often than two of either group."""
        return self.together < min(self.first_pairs, self.second_pairs)


def littlewood_miller(first: ArrayLike, second: ArrayLike) -> Methodologies:
    """Return how versions of two groups fail together.

    Args:
        first: bool [versions, count]; where versions of the first group fail.
        second: bool [versions, count]; of the second, on the same images.

    Raises:
        InputError: malformed arguments, or another number of images.
    """
    one, other = as_wrong(first), as_wrong(second)
    if one.shape[1] != other.shape[1]:
        raise InputError(
            f"both groups must be of the same images, not of {one.shape[1]} and {other.shape[1]}"
        )
    hard, harder = one.mean(axis=0), other.mean(axis=0)
    together = float(hard @ harder) / len(hard)
    covariance = together - float(hard.mean()) * float(harder.mean())
    spread = float(hard.std() * harder.std())
    return Methodologies(
        first=float(hard.mean()),
        second=float(harder.mean()),
        together=together,
        covariance=covariance,
        correlation=covariance / spread if spread > 0.0 else float("nan"),
        first_pairs=_pairs(one),
        second_pairs=_pairs(other),
    )


def _pairs(wrong: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> float:
    versions = len(wrong)
    if versions < 2:
        return float("nan")
    failing = wrong.sum(axis=0).astype(np.float64)
    return float((failing * (failing - 1.0)).mean()) / (versions * (versions - 1.0))
