"""The beta-binomial model of coincident failures, and whether it fits.

An image's difficulty (the probability that a version fails on it) is drawn from a beta
distribution, so that the number of versions that fail is beta-binomial (Nicola and Goyal, "Modeling
of Correlated Failures and Community Error Recovery in Multiversion Software", IEEE TSE 1990). It is
fitted by maximum likelihood and tested by Pearson's chi-squared over numbers of failures, those
with less than five expected images taken together. Real versions often do not fit: a few images
fail many versions, and most none. A fit that is rejected, or that there is too little to test,
predicts nothing here.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from scipy import optimize, special, stats

from nversion.errors import InputError
from nversion.measures.answers import Doubles, Integers
from nversion.reliability.subsets import majorities, pairs_together

__all__ = ["BetaBinomial", "fit_beta_binomial"]

LEAST_EXPECTED = 5.0
"""Images expected in a cell of the chi-squared test, the usual rule."""

SIGNIFICANCE = 0.05

LARGEST_LOG = 25.0
"""Bound of the mean's logit and of the total's logarithm; beyond, a binomial is reached."""


@dataclasses.dataclass(frozen=True)
class BetaBinomial:
    """A fitted beta-binomial.

    Attributes:
        alpha: first parameter of the beta distribution of the difficulty.
        beta: second one.
        versions: how many.
        images: how many.
        statistic: Pearson's chi-squared; NaN where there is nothing to test.
        freedom: its degrees of freedom.
        p_value: of the fit; NaN where there is nothing to test.
    """

    alpha: float
    beta: float
    versions: int
    images: int
    statistic: float
    freedom: int
    p_value: float

    @property
    def rejected(self) -> bool:
        """Whether the test rejects the fit (at 5 %)."""
        return self.p_value < SIGNIFICANCE

    @property
    def usable(self) -> bool:
        """Whether it was tested, and not rejected."""
        return self.p_value >= SIGNIFICANCE

    @property
    def shares(self) -> Doubles:
        """The share of images that it gives 0, 1, ... failing versions, whether it fits or not."""
        return _shares(self.versions, self.alpha, self.beta)

    @property
    def coincidences(self) -> float:
        """The images it gives two failing versions or more, whether it fits or not."""
        return self.images * float(self.shares[2:].sum())

    def majority_failures(self, n: int) -> float:
        """Return the share of images that more than half of n versions fail on, n as large as any.

        Raises:
            InputError: the fit was rejected or not tested, or n is less than 1.
        """
        if not self.usable:
            why = (
                f"is rejected (p = {self.p_value:.2g})"
                if self.rejected
                else "has too few different numbers of failures to be tested"
            )
            raise InputError(f"the beta-binomial {why}; use the failures that were measured")
        if n < 1:
            raise InputError(f"n must be at least 1, not {n}")
        return float(majorities(_shares(n, self.alpha, self.beta))[0][-1])

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        tested = self.freedom > 0
        return {
            "alpha": self.alpha,
            "beta": self.beta,
            "chi_squared": self.statistic if tested else None,
            "degrees_of_freedom": self.freedom,
            "p_value": self.p_value if tested else None,
            "rejected": self.rejected,
            "usable": self.usable,
            "coincidences": self.coincidences,
        }


def fit_beta_binomial(histogram: Integers) -> BetaBinomial | None:
    """Return the fit to images by their number of failing versions, [versions + 1].

    None where nothing can be fitted: no version ever fails, or all always do, or there is one.
    """
    versions, images = len(histogram) - 1, int(histogram.sum())
    failing = np.arange(versions + 1)
    mean = float(failing @ histogram) / (versions * images)
    if versions < 2 or mean in (0.0, 1.0):
        return None
    seen = np.nonzero(histogram)[0]
    weights = histogram[seen] / images

    def loss(place: Doubles) -> float:
        return -float(weights @ _log_shares(versions, *_parameters(place))[seen])

    start = [float(special.logit(mean)), float(np.log(_total(histogram / images, mean)))]
    # Two numbers, a smooth valley that may be very flat: simplices need no gradient there.
    found = optimize.minimize(
        loss,
        start,
        method="Nelder-Mead",
        bounds=[(-LARGEST_LOG, LARGEST_LOG)] * 2,
        options={"xatol": 1e-7, "fatol": 1e-12, "maxiter": 400},
    )
    alpha, beta = _parameters(found.x)
    statistic, freedom = _fit(histogram, images * _shares(versions, alpha, beta))
    p_value = float(stats.chi2.sf(statistic, freedom)) if freedom > 0 else float("nan")
    return BetaBinomial(alpha, beta, versions, images, statistic, freedom, p_value)


def _fit(histogram: Integers, expected: Doubles) -> tuple[float, int]:
    """Return chi-squared over cells of enough expected images, and its degrees of freedom.

    Numbers of failures are taken together from the largest down, where few images are.
    """
    cells: list[tuple[float, float]] = []
    found = promised = 0.0
    for images, wanted in zip(histogram[::-1].tolist(), expected[::-1].tolist(), strict=True):
        found, promised = found + images, promised + wanted
        if promised >= LEAST_EXPECTED:
            cells.append((found, promised))
            found = promised = 0.0
    if cells and promised:
        last = cells.pop()
        cells.append((last[0] + found, last[1] + promised))
    freedom = len(cells) - 3
    if freedom < 1:
        return float("nan"), 0
    return sum((seen - wanted) ** 2 / wanted for seen, wanted in cells), freedom


def _parameters(place: Doubles) -> tuple[float, float]:
    """Return alpha and beta of a mean's logit and a total's logarithm."""
    mean, total = float(special.expit(place[0])), float(np.exp(place[1]))
    return total * mean, total * (1.0 - mean)


def _total(shares: Doubles, mean: float) -> float:
    """Return alpha + beta by the method of moments, from which the fit starts."""
    correlation = (float(pairs_together(shares)) - mean**2) / (mean * (1.0 - mean))
    return 1.0 / float(np.clip(correlation, 1e-6, 0.999)) - 1.0


def _log_shares(versions: int, alpha: float, beta: float) -> Doubles:
    """Return log(C(N, k) B(k + alpha, N - k + beta) / B(alpha, beta)), k = 0 to N.

    By sums of logarithms of alpha + i and the like, in which nothing cancels.
    """
    steps = np.arange(versions)
    failing = np.concatenate([[0.0], np.log(alpha + steps).cumsum()])
    right = np.concatenate([[0.0], np.log(beta + steps).cumsum()])
    ways = np.concatenate([[0.0], np.log((versions - steps) / (steps + 1.0)).cumsum()])
    found: Doubles = ways + failing + right[::-1] - np.log(alpha + beta + steps).sum()
    return found


def _shares(versions: int, alpha: float, beta: float) -> Doubles:
    logs = _log_shares(versions, alpha, beta)
    shares = np.exp(logs - logs.max())
    found: Doubles = shares / shares.sum()
    return found
