"""Images on which the same versions fail, taken together, and random samples of the images.

What is measured of right and wrong depends only on how many images have each pattern of failing
versions. Most images share one (no version fails), so that counting patterns makes the measures,
and above all their bootstrap (Efron 1979: images drawn with replacement), a few matrix products.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from nversion.errors import InputError
from nversion.measures.answers import Bools, Doubles, Integers
from nversion.randomness import numpy_generator

__all__ = ["Patterns", "Sampling", "quantiles"]

BLOCK = 256
"""Pairs of versions that are treated at once: what is made of them stays in the cache."""


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How a bootstrap over images is drawn.

    Attributes:
        resamples: samples of as many images as there are; 0 for none.
        level: the share of them that an interval holds, in (0, 1).
        seed: one seed, the same samples.
    """

    resamples: int = 0
    level: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if self.resamples < 0 or self.resamples == 1:
            raise InputError(f"resamples must be 0, or 2 and more, not {self.resamples}")
        if not 0.0 < self.level < 1.0:
            raise InputError(f"level must lie between 0 and 1, not {self.level}")

    def draw(self, counts: Integers) -> Doubles:
        """Return how often each kind of image was drawn, [resamples, kinds]."""
        images = int(counts.sum())
        randomness = numpy_generator("bootstrap", self.seed)
        drawn = randomness.multinomial(images, counts / images, size=self.resamples)
        return drawn.astype(np.float64)

    def draw_clusters(self, kinds: Integers, clusters: Integers) -> Doubles:
        """Return the same where images that belong together are drawn together.

        Args:
            kinds: of each image, from 0, [count].
            clusters: which cluster each image belongs to, [count]; as many as there are are drawn.
        """
        found, places = np.unique(clusters, return_inverse=True)
        randomness = numpy_generator("clustered bootstrap", self.seed)
        equal = np.full(len(found), 1.0 / len(found))
        drawn = randomness.multinomial(len(found), equal, size=self.resamples)
        shape = (len(found), int(kinds.max()) + 1)
        held = sparse.csr_array((np.ones(len(kinds)), (places, kinds)), shape=shape)
        weights: Doubles = np.asarray((held.T @ drawn.T.astype(np.float64)).T)
        return weights


@dataclasses.dataclass(frozen=True)
class Patterns:
    """The different patterns of failing versions.

    Attributes:
        wrong: bool [patterns, versions], each row once.
        counts: int64 [patterns]; how many images have each.
        kinds: int64 [count]; the pattern of each image.
    """

    wrong: Bools
    counts: Integers
    kinds: Integers

    @classmethod
    def of(cls, wrong: Bools) -> Patterns:
        """Return the patterns of bool [versions, count]."""
        packed = np.packbits(wrong.T, axis=1)
        rows = np.ascontiguousarray(packed).view(np.dtype((np.void, packed.shape[1])))[:, 0]
        _, first, kinds, counts = np.unique(
            rows, return_index=True, return_inverse=True, return_counts=True
        )
        return cls(wrong.T[first], counts.astype(np.int64), kinds.astype(np.int64))

    @property
    def versions(self) -> int:
        """How many versions there are."""
        return int(self.wrong.shape[1])

    @property
    def images(self) -> int:
        """How many images there are."""
        return int(self.counts.sum())

    @property
    def failing(self) -> Integers:
        """How many versions fail in each pattern, int64 [patterns]."""
        failing: Integers = self.wrong.sum(axis=1, dtype=np.int64)
        return failing

    def histogram(self, weights: Doubles) -> Doubles:
        """Return how many images 0, 1, ... versions fail on, [samples, versions + 1].

        Args:
            weights: how often each pattern counts, [samples, patterns].
        """
        columns = np.zeros((len(self.counts), self.versions + 1))
        columns[np.arange(len(self.counts)), self.failing] = 1.0
        counted: Doubles = weights @ columns
        return counted

    def both_wrong(self) -> Doubles:
        """Return on how many images each pair fails together, [versions, versions]."""
        wrong = self.wrong.astype(np.float64)
        together: Doubles = (wrong * self.counts[:, None]).T @ wrong
        return together

    def samples_of_pairs(
        self, weights: Doubles
    ) -> Iterator[tuple[slice, Doubles, Doubles, Doubles]]:
        """Yield failures of pairs of different versions in samples, some pairs at a time.

        Args:
            weights: [samples, patterns].

        Yields:
            Which pairs, of those in the order of `np.triu_indices(versions, 1)`; on how many images
            the first version of each fails, the second, and both, each [pairs, samples].
        """
        singles = np.ascontiguousarray((weights @ self.wrong.astype(np.float64)).T)
        first, second = np.triu_indices(self.versions, 1)
        # Counts below 2^24 are exact in float32; beyond, float64 is.
        kind: Any = np.float32 if weights.sum(axis=1).max() < 2**24 else np.float64
        several = self.failing > 1
        wrong = np.ascontiguousarray(self.wrong[several].T)
        drawn = np.ascontiguousarray(weights[:, several].T, dtype=kind)
        for start in range(0, len(first), BLOCK):
            rows = slice(start, min(start + BLOCK, len(first)))
            both: npt.NDArray[Any] = (wrong[first[rows]] & wrong[second[rows]]).astype(kind) @ drawn
            yield rows, singles[first[rows]], singles[second[rows]], both.astype(np.float64)


def quantiles(samples: Doubles, level: float) -> tuple[Doubles, Doubles]:
    """Return the ends of the middle `level` of samples [..., samples], without those that are NaN.

    Where all are NaN, so are both ends.
    """
    ends = [(1.0 - level) / 2.0, (1.0 + level) / 2.0]
    low, high = np.atleast_1d(*np.quantile(samples, ends, axis=-1))
    for place in zip(*np.nonzero(np.atleast_1d(np.isnan(samples).any(axis=-1))), strict=True):
        row = samples.reshape(*low.shape, -1)[place]
        if not np.isnan(row).all():
            low[place], high[place] = np.quantile(row[~np.isnan(row)], ends)
    return low.reshape(samples.shape[:-1]), high.reshape(samples.shape[:-1])
