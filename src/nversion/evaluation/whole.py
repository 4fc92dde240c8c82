"""How far a network or a program is from falling, image by image, and what that says of all.

The smallest change that any attack found on an image is an upper bound of its distance to a wrong
verdict. Over images that were drawn from the test split their median has the exact interval of the
order statistics (Conover, "Practical Nonparametric Statistics", 3rd edition, section 3.2), whatever
the distances' distribution; the share of images that hold at a radius has Wilson's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from scipy import stats

from nversion.adversarial import wilson_interval
from nversion.errors import InputError

__all__ = ["KNOWN_RADII", "HoldingShare", "Median", "holding", "median_distance"]

KNOWN_RADII: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {"2": (0.5, 1.0, 1.5, 2.0), "inf": (0.1, 0.2, 0.3)}
)
"""Radii at which accuracy under attack on MNIST is usually given, by norm."""

LEVEL = 0.95


@dataclass(frozen=True)
class Median:
    """A median with its 95 % interval.

    Attributes:
        value: the median; infinite if half of the images or more withstood all attacks.
        low: lower end; 0 if the images are too few for an end.
        high: upper end; infinite if they are too few.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class HoldingShare:
    """The share of images that no attack changed within a radius, with its 95 % interval.

    Attributes:
        radius: of the change.
        value: the share; at most so many are robust.
        low: lower end.
        high: upper end.
    """

    radius: float
    value: float
    low: float
    high: float


def median_distance(distances: npt.ArrayLike) -> Median:
    """Return the median of distances, with the interval of their order statistics.

    Args:
        distances: one for each image, 0 or more; infinite where no attack succeeded.

    Raises:
        InputError: there are none, or one is negative or no number.
    """
    values = _checked(distances)
    count = len(values)
    with np.errstate(invalid="ignore"):  # The mean of two infinite ones is infinite.
        middle = values[(count - 1) // 2], values[count // 2]
    value = middle[0] if middle[0] == middle[1] else (middle[0] + middle[1]) / 2
    # The largest rank r with P(fewer than r of so many below the median) <= 2.5 %.
    rank = int(stats.binom.ppf((1 - LEVEL) / 2, count, 0.5))
    if rank < 1:
        return Median(float(value), 0.0, math.inf)
    return Median(float(value), float(values[rank - 1]), float(values[count - rank]))


def holding(distances: npt.ArrayLike, radii: Sequence[float]) -> list[HoldingShare]:
    """Return the share of images that hold at each radius.

    Args:
        distances: as for :func:`median_distance`; an image that falls at the radius itself does not
            hold.
        radii: in the norm of the distances.

    Raises:
        InputError: as for :func:`median_distance`.
    """
    values = _checked(distances)
    found = []
    for radius in radii:
        held = int((values > radius).sum())
        low, high = wilson_interval(held, len(values))
        found.append(HoldingShare(float(radius), held / len(values), low, high))
    return found


def _checked(distances: npt.ArrayLike) -> npt.NDArray[np.float64]:
    values = np.sort(np.asarray(distances, dtype=np.float64))
    if values.ndim != 1 or not len(values):
        raise InputError(f"distances must be [count], one image at least, not {values.shape}")
    if np.isnan(values).any() or values[0] < 0:
        raise InputError("distances must be 0 or more")
    return values
