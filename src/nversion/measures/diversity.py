"""All measures of diversity of some versions on some images, with intervals on request.

Matrices have a row and a column for each version; numbers are of all versions together. Which
formula and which paper: :mod:`nversion.measures.pairwise` and :mod:`nversion.measures.ensemble`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from nversion.arguments import typed
from nversion.errors import InputError
from nversion.measures.answers import ArrayLike, Doubles, Integers, as_answers, as_array
from nversion.measures.ensemble import NUMBERS
from nversion.measures.pairwise import MATRICES, table_of
from nversion.measures.patterns import Patterns, Sampling, quantiles
from nversion.naming import did_you_mean

__all__ = ["Diversity", "diversity"]


@dataclasses.dataclass(frozen=True)
class Diversity:
    """How differently versions fail on some images.

    Attributes:
        versions: how many.
        images: how many.
        accuracies: float64 [versions]; the share that each gets right.
        abstentions: int64 [versions]; the images on which each named no class. They count as not
            right.
        q: float64 [versions, versions], Yule's Q; -1: never fail together, 1: always.
        correlation: of failures.
        disagreement: share of images on which exactly one of the two is right.
        double_fault: share of images on which both fail.
        kappa: Cohen's kappa of right and wrong.
        entropy: in [0, 1]; 0: all versions are right together or wrong together.
        kohavi_wolpert: the variance over versions of being right, in the mean over images.
        interrater_kappa: Fleiss' kappa of right and wrong; 0: as independent versions agree.
        difficulty: the variance over images of the share of versions that are right.
        generalised: in [0, 1]; 1: no two versions ever fail together.
        coincident_failure: in [0, 1]; 1: each failure is of one version alone.
        sampling: how the intervals were drawn.
    """

    versions: int
    images: int
    accuracies: Doubles
    abstentions: Integers
    q: Doubles
    correlation: Doubles
    disagreement: Doubles
    double_fault: Doubles
    kappa: Doubles
    entropy: float
    kohavi_wolpert: float
    interrater_kappa: float
    difficulty: float
    generalised: float
    coincident_failure: float
    sampling: Sampling
    _intervals: Mapping[str, tuple[float, float]]
    _pairs: Mapping[str, tuple[Doubles, Doubles]]

    def mean(self, name: str) -> float:
        """Return a measure's mean over the pairs of different versions; a number as it is.

        Pairs of which it is undefined are left out; NaN if that is all of them.

        Raises:
            InputError: there is no such measure.
        """
        _check(name, [*MATRICES, *NUMBERS])
        value = getattr(self, name)
        if name in NUMBERS:
            return float(value)
        return float(_mean(value[np.triu_indices(self.versions, 1)]))

    def interval(self, name: str) -> tuple[float, float]:
        """Return the bootstrap interval of :meth:`mean`.

        Raises:
            InputError: there is no such measure, or no resamples were asked for.
        """
        _check(name, [*MATRICES, *NUMBERS])
        self._check_sampled()
        return self._intervals[name]

    def pair_intervals(self, name: str) -> tuple[Doubles, Doubles]:
        """Return the lower and the upper ends for every pair, [versions, versions] each.

        The diagonal has no interval: NaN.

        Raises:
            InputError: there is no such matrix, or no resamples were asked for.
        """
        _check(name, list(MATRICES))
        self._check_sampled()
        return self._pairs[name]

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values; what is undefined is None."""
        values: dict[str, Any] = {
            "versions": self.versions,
            "images": self.images,
            "accuracies": self.accuracies.tolist(),
            "abstentions": self.abstentions.tolist(),
            "level": self.sampling.level if self.sampling.resamples else None,
            "resamples": self.sampling.resamples,
        }
        for name in [*MATRICES, *NUMBERS]:
            one: dict[str, Any] = {"mean": _json(self.mean(name))}
            if self.sampling.resamples:
                one["interval"] = [_json(end) for end in self.interval(name)]
            if name in MATRICES:
                matrix = getattr(self, name)
                one["matrix"] = [[_json(value) for value in row] for row in matrix.tolist()]
            values[name] = one
        return values

    def _check_sampled(self) -> None:
        if self.sampling.resamples == 0:
            raise InputError("no intervals were asked for; say diversity(..., resamples=1000)")


@typed
def diversity(
    outputs: ArrayLike,
    labels: ArrayLike,
    *,
    resamples: int = 0,
    level: float = 0.95,
    seed: int = 0,
    clusters: ArrayLike | None = None,
) -> Diversity:
    """Return how differently versions fail.

    Args:
        outputs: floating [versions, count, classes], or classes, integers [versions, count], where
            -1 is an abstention; tensors or arrays. Two versions at least.
        labels: integers [count].
        resamples: samples of the images for bootstrap intervals (1,000 are usual); 0 for none.
        level: the share of the samples that an interval holds.
        seed: of the samples.
        clusters: integers [count]; images of one cluster, such as all that attacks made of one
            test image, are drawn together. By default each image stands for itself.

    Raises:
        InputError: malformed outputs, labels or options, or one version only.
    """
    sampling = Sampling(resamples, level, seed)
    answers = as_answers(outputs, labels)
    wrong = answers.wrong
    versions, images = wrong.shape
    if versions < 2:
        raise InputError("diversity needs two versions at least, not 1")
    patterns = Patterns.of(wrong)
    together = patterns.both_wrong()
    fails = np.diagonal(together)
    table = table_of(images, fails[:, None], fails[None, :], together)
    histogram = patterns.histogram(patterns.counts[None].astype(np.float64))[0]
    intervals: dict[str, tuple[float, float]] = {}
    pairs: dict[str, tuple[Doubles, Doubles]] = {}
    if resamples:
        weights = _samples(patterns, sampling, clusters)
        intervals, pairs = _intervals(patterns, weights, level)
    measures: dict[str, Any] = {name: measure(*table) for name, measure in MATRICES.items()}
    measures |= {name: float(measure(histogram)) for name, measure in NUMBERS.items()}
    return Diversity(
        versions=versions,
        images=images,
        accuracies=1.0 - fails / images,
        abstentions=answers.abstained.sum(axis=1, dtype=np.int64),
        **measures,
        sampling=sampling,
        _intervals=intervals,
        _pairs=pairs,
    )


def _samples(patterns: Patterns, sampling: Sampling, clusters: ArrayLike | None) -> Doubles:
    """Return how often each pattern was drawn, [samples, patterns]."""
    if clusters is None:
        return sampling.draw(patterns.counts)
    given = as_array(clusters, "clusters")
    if given.shape != patterns.kinds.shape or given.dtype.kind not in "iu":
        raise InputError(
            f"clusters must be integers [count], one for each of {patterns.images} images, not "
            f"{given.dtype} {list(given.shape)}"
        )
    return sampling.draw_clusters(patterns.kinds, given)


def _intervals(
    patterns: Patterns, weights: Doubles, level: float
) -> tuple[dict[str, tuple[float, float]], dict[str, tuple[Doubles, Doubles]]]:
    """Return the intervals of all means and numbers, and of all pairs."""
    histograms = patterns.histogram(weights)
    found = {}
    for name, number in NUMBERS.items():
        low, high = quantiles(number(histograms), level)
        found[name] = (float(low), float(high))
    means, ends = _pair_intervals(patterns, weights, level)
    for name in MATRICES:
        low, high = quantiles(means[name], level)
        found[name] = (float(low), float(high))
    return found, ends


def _pair_intervals(
    patterns: Patterns, weights: Doubles, level: float
) -> tuple[dict[str, Doubles], dict[str, tuple[Doubles, Doubles]]]:
    """Return each matrix's mean over the pairs in every sample, and every pair's interval."""
    pairs = patterns.versions * (patterns.versions - 1) // 2
    images = weights.sum(axis=1)
    totals = {name: np.zeros((2, len(weights))) for name in MATRICES}
    ends = {name: np.empty((2, pairs)) for name in MATRICES}
    for rows, first, second, together in patterns.samples_of_pairs(weights):
        table = table_of(images, first, second, together)
        for name, measure in MATRICES.items():
            values = measure(*table)
            ends[name][:, rows] = quantiles(values, level)
            undefined = np.isnan(values)
            totals[name] += np.where(undefined, 0.0, values).sum(axis=0), (~undefined).sum(axis=0)
    return (
        {name: _quotient(total, defined) for name, (total, defined) in totals.items()},
        {
            name: (_square(low, patterns.versions), _square(high, patterns.versions))
            for name, (low, high) in ends.items()
        },
    )


def _mean(values: Doubles) -> Doubles:
    """Return the mean of what is defined; NaN where nothing is."""
    defined = ~np.isnan(values)
    return _quotient(np.where(defined, values, 0.0).sum(), defined.sum())


def _quotient(total: Doubles, defined: Doubles) -> Doubles:
    found: Doubles = np.where(defined == 0, np.nan, total / np.maximum(defined, 1))
    return found


def _square(values: Doubles, versions: int) -> Doubles:
    matrix = np.full((versions, versions), np.nan)
    first, second = np.triu_indices(versions, 1)
    matrix[first, second] = matrix[second, first] = values
    return matrix


def _check(name: str, known: list[str]) -> None:
    if name not in known:
        raise InputError(
            f"no measure is called {name!r}{did_you_mean(name, known)}; there are "
            f"{', '.join(known)}"
        )


def _json(value: float) -> float | None:
    return None if np.isnan(value) else value
