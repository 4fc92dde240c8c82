"""On how many images how many versions fail, against what independence predicts.

J. C. Knight and N. G. Leveson, "An Experimental Evaluation of the Assumption of Independence in
Multiversion Programming", IEEE TSE 12 (1986), counted K inputs on which two versions or more fail,
and compared them with what versions that fail independently would give: with each version's own
probability of failure, P0 that none fails and P1 that one does, K has the mean n P2 and the
variance n P2 (1 - P2), where P2 = 1 - P0 - P1.

D. E. Eckhardt and L. D. Lee, "A Theoretical Basis for the Analysis of Multiversion Software Subject
to Coincident Errors", IEEE TSE 11 (1985), explain it: inputs differ in difficulty, the probability
that a version fails on them. The probability that two versions of a population fail together is
the mean of its square, estimated without bias by the mean over pairs of different versions.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import stats

from nversion.errors import InputError
from nversion.measures.answers import Doubles, Integers
from nversion.reliability.beta_binomial import BetaBinomial, fit_beta_binomial
from nversion.reliability.independence import poisson_binomial
from nversion.reliability.subsets import majorities, pairs_together

__all__ = ["CoincidentFailures"]


@dataclasses.dataclass(frozen=True)
class CoincidentFailures:
    """How versions fail together; made by :func:`nversion.coincident_failures`.

    Attributes:
        histogram: int64 [versions + 1]; images on which 0, 1, ... versions fail.
        failures: int64 [versions]; images that each version fails on.
        together: int64 [versions, versions]; images that both fail on, or None where only counts
            are known.
        by_class: by label, the same on the images of that label; empty where labels were not given.
    """

    histogram: Integers
    failures: Integers
    together: Integers | None = None
    by_class: Mapping[int, CoincidentFailures] = dataclasses.field(default_factory=dict)

    @property
    def versions(self) -> int:
        """How many versions there are."""
        return len(self.failures)

    @property
    def images(self) -> int:
        """How many images there are."""
        return int(self.histogram.sum())

    @property
    def rates(self) -> Doubles:
        """Each version's share of images that it fails on, [versions]."""
        found: Doubles = self.failures / self.images
        return found

    @property
    def rate(self) -> float:
        """The mean share: the probability that a version, taken at random, fails on an image."""
        return int(self.failures.sum()) / (self.versions * self.images)

    @functools.cached_property
    def independent(self) -> Doubles:
        """The share of images on which 0, 1, ... fail if they fail independently, exactly."""
        return poisson_binomial(self.rates)

    @property
    def coincidences(self) -> int:
        """Images on which two versions or more fail."""
        return int(self.histogram[2:].sum())

    @property
    def expected_coincidences(self) -> float:
        """So many such images as independence predicts."""
        return self.images * float(self.independent[2:].sum())

    @property
    def knight_leveson_z(self) -> float:
        """By how many standard deviations coincidences exceed that; NaN if none can be.

        Where versions fail so often that two of them nearly always do, it says little; see
        `dispersion`.
        """
        return _standardised(self.coincidences, *self._moments())

    @property
    def knight_leveson_p(self) -> float:
        """The probability of as many coincidences or more, failures being independent.

        By the binomial distribution itself, which holds where so few are expected that z's normal
        distribution does not.
        """
        share = float(self.independent[2:].sum())
        return float(stats.binom.sf(self.coincidences - 1, self.images, min(share, 1.0)))

    @property
    def within_classes_z(self) -> float:
        """The same within classes: versions independent given the label, at its own rates.

        Coincidences that are only due to some classes being harder than others do not count.

        Raises:
            InputError: labels were not given.
        """
        if not self.by_class:
            raise InputError("within classes: give labels, coincident_failures(wrong, labels)")
        moments = [part._moments() for part in self.by_class.values()]
        mean, variance = (sum(values) for values in zip(*moments, strict=True))
        return _standardised(self.coincidences, mean, variance)

    @property
    def pairs(self) -> float:
        """Images on which two versions fail together, in the mean over all pairs."""
        self._check_pairs()
        return self.images * float(pairs_together(self.histogram / self.images))

    @property
    def mean_square_difficulty(self) -> float:
        """The plain mean over images of the square of the share of versions that fail.

        It is too large as an estimate for pairs of different versions; that is `pairs / images`.
        """
        share = np.arange(self.versions + 1) / self.versions
        return float(self.histogram @ share**2) / self.images

    @property
    def dispersion(self) -> float:
        """The variance of the number of failing versions, over what independence gives it.

        1 for independent versions, more where they fail together; NaN if none can vary.
        """
        failing = np.arange(self.versions + 1)
        mean = float(failing @ self.histogram) / self.images
        variance = float((failing - mean) ** 2 @ self.histogram) / self.images
        expected = float((self.rates * (1.0 - self.rates)).sum())
        return variance / expected if expected > 0.0 else float("nan")

    @property
    def correlation(self) -> float:
        """How failures of two versions correlate, by Eckhardt and Lee; NaN if none or all fail."""
        rate = self.rate
        if rate in (0.0, 1.0):
            return float("nan")
        return (self.pairs / self.images - rate**2) / (rate * (1.0 - rate))

    @property
    def effective_versions(self) -> float:
        """N / (1 + (N - 1) rho): as many independent versions give a mean of the same variance.

        More than N where failures avoid each other; infinite where they always even out.
        """
        below = 1.0 + (self.versions - 1) * self.correlation
        if below <= 1e-12:
            return float("inf")
        return self.versions / below

    def majority_failures(self, n: int, ties: str = "abstain") -> float:
        """Return the share of images that most of n versions fail on, in the mean over all n.

        Args:
            n: how many of the versions are taken, each choice as likely as any other.
            ties: of an even n, half may fail. "abstain": that is no failure; "fail": it is one.

        Raises:
            InputError: there are not n versions, or ties are something else.
        """
        if not 1 <= n <= self.versions:
            raise InputError(f"n must lie between 1 and the {self.versions} versions, not {n}")
        if ties not in ("abstain", "fail"):
            raise InputError(f"ties must be 'abstain' or 'fail', not {ties!r}")
        failed, tied = self._majorities
        return float(failed[n - 1] + (tied[n - 1] if ties == "fail" else 0.0))

    @functools.cached_property
    def _majorities(self) -> tuple[Doubles, Doubles]:
        return majorities(self.histogram / self.images)

    @functools.cached_property
    def beta_binomial(self) -> BetaBinomial | None:
        """The beta-binomial that fits best, and whether it fits; None if nothing can be fitted."""
        return fit_beta_binomial(self.histogram)

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values; what is undefined is None."""
        values: dict[str, Any] = {
            "versions": self.versions,
            "images": self.images,
            "failures": self.failures.tolist(),
            "histogram": self.histogram.tolist(),
            "independent": (self.images * self.independent).tolist(),
            "coincidences": self.coincidences,
            "expected_coincidences": self.expected_coincidences,
            "knight_leveson_z": _json(self.knight_leveson_z),
            "knight_leveson_p": self.knight_leveson_p,
            "within_classes_z": _json(self.within_classes_z) if self.by_class else None,
            "dispersion": _json(self.dispersion),
            "pairs": self.pairs,
            "correlation": _json(self.correlation),
            "effective_versions": _json(self.effective_versions),
            "majority_failures": [self.majority_failures(n + 1) for n in range(self.versions)],
            "beta_binomial": self.beta_binomial.to_json() if self.beta_binomial else None,
        }
        if self.by_class:
            values["by_class"] = {
                str(label): {
                    "images": part.images,
                    "rate": part.rate,
                    "coincidences": part.coincidences,
                    "expected_coincidences": part.expected_coincidences,
                    "knight_leveson_z": _json(part.knight_leveson_z),
                }
                for label, part in self.by_class.items()
            }
        return values

    def _moments(self) -> tuple[float, float]:
        """Return the mean and the variance of the coincidences under independence."""
        # The share of the others is a sum of its own: 1 - share would be rounding where it is tiny.
        share, others = float(self.independent[2:].sum()), float(self.independent[:2].sum())
        return self.images * share, self.images * share * others

    def _check_pairs(self) -> None:
        if self.versions < 2:
            raise InputError("pairs need two versions at least, not 1")


def _standardised(found: float, mean: float, variance: float) -> float:
    return (found - mean) / variance**0.5 if variance > 0.0 else float("nan")


def _json(value: float) -> float | None:
    return value if np.isfinite(value) else None
