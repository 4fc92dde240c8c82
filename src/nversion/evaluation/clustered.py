"""Intervals and tests for images that come in clusters, free of networks.

An adversarial set of 1,300 images may stem from 100 test images: what several attacks made of one
original, against several versions, stands and falls together. So the originals are what was
sampled, and they, not the images, are drawn again by the bootstrap (Davison and Hinkley, "Bootstrap
Methods and their Application", 1997, section 3.8; Field and Welsh, Journal of the Royal Statistical
Society B 69, 2007) and change sides in the permutation test (Fisher 1935; Good, "Permutation,
Parametric and Bootstrap Tests of Hypotheses", 2005). Clusters of one image give the ordinary
bootstrap and the exact test of McNemar.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import stats

from nversion.adversarial import wilson_of_share
from nversion.errors import InputError

__all__ = ["FEWEST", "RESAMPLES", "Gain", "Share", "clustered_gain", "clustered_share", "holm"]

Floats: TypeAlias = npt.NDArray[np.float64]

RESAMPLES = 9_999
"""Draws of the bootstrap, and exchanges of the permutation test where there are more."""

FEWEST = 30
"""On fewer originals than this nothing is said about chance: there are too few to tell."""

LEVEL = 0.95

_VALUES_AT_ONCE = 2**21  # 16 MB of float64 in memory, however many clusters there are.


@dataclass(frozen=True)
class Share:
    """A share of images with its 95 % interval.

    Attributes:
        value: the share, in [0, 1].
        low: lower end of the interval.
        high: upper end.
        images: how many there are.
        clusters: how many originals they come from.
    """

    value: float
    low: float
    high: float
    images: int
    clusters: int


@dataclass(frozen=True)
class Gain:
    """What one has over another on the same images.

    Attributes:
        first: the mean of the one.
        second: the mean of the other.
        difference: first minus second.
        low: lower end of the difference's 95 % interval.
        high: upper end.
        p_value: two-sided, of the permutation test; 1 where the two never differ.
        images: how many there are.
        clusters: how many originals they come from.
    """

    first: float
    second: float
    difference: float
    low: float
    high: float
    p_value: float
    images: int
    clusters: int


def clustered_share(
    right: npt.ArrayLike, clusters: npt.ArrayLike, generator: np.random.Generator
) -> Share:
    """Return the share of images that are right, with its interval by the cluster bootstrap.

    Where all clusters have the same share the bootstrap has nothing to vary; the interval is then
    Wilson's of as many tries as there are clusters.

    Args:
        right: bool [count], or shares in [0, 1].
        clusters: int [count], which original each image comes from; any numbers.
        generator: draws the clusters.

    Raises:
        InputError: lengths or values are malformed, or there are no images.
    """
    values, which = _checked(clusters, right)
    totals, sizes = _totals(values[0], which), _totals(np.ones(len(which)), which)
    share = float(totals.sum() / sizes.sum())
    if np.ptp(totals / sizes) == 0:
        low, high = wilson_of_share(share, len(sizes), LEVEL)
    else:
        low, high = _bootstrap(totals, sizes, generator)
    return Share(share, low, high, len(which), len(sizes))


def clustered_gain(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    clusters: npt.ArrayLike,
    generator: np.random.Generator,
) -> Gain:
    """Return what the first has over the second, with interval and p-value by cluster.

    The interval is the percentile interval of the cluster bootstrap. The p-value is that of the
    permutation test in which first and second change places in whole clusters: all ways if there
    are at most `RESAMPLES`, else so many at random.

    Args:
        first: bool or finite float [count], one value for each image.
        second: the other's, on the same images.
        clusters: int [count], which original each image comes from; any numbers.
        generator: draws the clusters and the exchanges.

    Raises:
        InputError: lengths or values are malformed, or there are no images.
    """
    (ours, theirs), which = _checked(clusters, first, second)
    sizes = _totals(np.ones(len(which)), which)
    a, b = _totals(ours, which), _totals(theirs, which)
    differences = a - b
    difference = float(differences.sum() / sizes.sum())
    low = high = difference
    if np.ptp(differences / sizes) > 0:
        low, high = _bootstrap(differences, sizes, generator)
    return Gain(
        float(ours.mean()),
        float(theirs.mean()),
        difference,
        low,
        high,
        _exchanged(a, b, generator),
        len(which),
        len(sizes),
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number, in the same order.

    Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
    Statistics 6, 1979: the chance that any true hypothesis is rejected stays below the level.

    Raises:
        InputError: a p-value is not in [0, 1].
    """
    given = np.asarray(p_values, dtype=np.float64)
    if not np.all((given >= 0) & (given <= 1)):
        raise InputError(f"p-values must lie in [0, 1], not {list(p_values)}")
    order = np.argsort(given, kind="stable")
    stepped = given[order] * np.arange(len(given), 0, -1)
    corrected = np.empty_like(given)
    corrected[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return [float(value) for value in corrected]


def _bootstrap(
    totals: Floats, sizes: Floats, generator: np.random.Generator
) -> tuple[float, float]:
    """Return the percentile interval of sum(totals) / sum(sizes) over drawn clusters."""

    def ratio(total: Floats, size: Floats, axis: int) -> Any:
        return total.sum(axis=axis) / size.sum(axis=axis)

    found = stats.bootstrap(
        (totals, sizes),
        ratio,
        paired=True,
        vectorized=True,
        method="percentile",
        confidence_level=LEVEL,
        n_resamples=RESAMPLES,
        batch=max(_VALUES_AT_ONCE // len(totals), 1),
        rng=generator,
    ).confidence_interval
    return float(found.low), float(found.high)


def _exchanged(first: Floats, second: Floats, generator: np.random.Generator) -> float:
    """Return the permutation test's p-value for the sums of whole clusters."""
    differ = first != second  # The others change nothing by changing places.
    count = int(differ.sum())
    if count == 0:
        return 1.0
    if count == 1:  # Two ways, equally far from 0; SciPy wants two pairs at least.
        return 1.0

    def difference(one: Floats, other: Floats, axis: int) -> Any:
        return (one - other).sum(axis=axis)

    found = stats.permutation_test(
        (first[differ], second[differ]),
        difference,
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=max(_VALUES_AT_ONCE // count, 1),
        rng=generator,
    )
    return float(found.pvalue)


def _totals(values: Floats, which: npt.NDArray[np.int64]) -> Floats:
    return np.bincount(which, weights=values).astype(np.float64)


def _checked(
    clusters: npt.ArrayLike, *columns: npt.ArrayLike
) -> tuple[list[Floats], npt.NDArray[np.int64]]:
    """Return the columns as floats, and the clusters numbered from 0."""
    values = [np.asarray(column, dtype=np.float64) for column in columns]
    numbers = np.asarray(clusters)
    shapes = [list(value.shape) for value in (*values, numbers)]
    if numbers.ndim != 1 or any(shape != shapes[0] for shape in shapes):
        raise InputError(
            f"values and clusters must be [count] of one length, not of the shapes {shapes}"
        )
    if numbers.dtype.kind not in "iu":
        raise InputError(f"clusters must be whole numbers, not {numbers.dtype}")
    if len(numbers) == 0:
        raise InputError("there are no images to count")
    if not all(np.isfinite(value).all() for value in values):
        raise InputError("values must be finite")
    return values, np.unique(numbers, return_inverse=True)[1]
