"""Certified radii of one network or vote, summed up: and of a vote beside its versions'.

Infinite radii are counted apart, as :mod:`nversion.certification.infinite` has it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nversion.certification.infinite import (
    count_infinite,
    finite_radii,
    mean_radius,
    radii_as_json,
)
from nversion.program.certificates.comparison import RadiusComparison

__all__ = ["CertifiedRadii", "MedianVersion", "NormRadii"]


@dataclasses.dataclass(frozen=True)
class CertifiedRadii:
    """The radii of one network, or of one program's vote, in one norm.

    Attributes:
        radii: float32 [count], at least one; infinite where no change changes the class.
        seconds: that one thread took for all of them.
        at: radii at which the certified share is given.
    """

    radii: Tensor
    seconds: float
    at: tuple[float, ...]

    @property
    def mean(self) -> float | None:
        """The mean of the finite radii; None if there are none."""
        return mean_radius(self.radii)

    @property
    def median(self) -> float | None:
        """The median of the finite radii; None if there are none."""
        finite = finite_radii(self.radii)
        return float(finite.quantile(0.5)) if len(finite) else None

    @property
    def infinite(self) -> int:
        """How many radii are infinite."""
        return count_infinite(self.radii)

    @property
    def shares(self) -> tuple[float, ...]:
        """The shares of images that are certified at each of the radii `at`."""
        return tuple(float((self.radii >= radius).double().mean()) for radius in self.at)

    @property
    def seconds_per_image(self) -> float:
        """Seconds of one thread that an image took, in the mean."""
        return self.seconds / len(self.radii)

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON values; infinite radii are null."""
        return {**_summary_as_json(self), "radii": radii_as_json(self.radii)}


@dataclasses.dataclass(frozen=True)
class MedianVersion:
    """The medians over several versions of what sums up the radii of each.

    Attributes:
        mean: of the versions' means; None if none has one.
        median: of the versions' medians; None if none has one.
        infinite: of how many radii are infinite.
        at: radii at which the certified share is given.
        shares: of the certified shares at each of these.
        seconds_per_image: of the seconds of one thread.
    """

    mean: float | None
    median: float | None
    infinite: float | None
    at: tuple[float, ...]
    shares: tuple[float | None, ...]
    seconds_per_image: float | None

    @classmethod
    def of(cls, versions: Sequence[CertifiedRadii]) -> MedianVersion:
        """Return the medians over versions, at least one, whose shares are at the same radii."""
        comparison = RadiusComparison(
            versions[0].radii, torch.stack([version.radii for version in versions])
        )
        return cls(
            mean=comparison.median_mean,
            median=_middle([version.median for version in versions]),
            infinite=_middle([version.infinite for version in versions]),
            at=versions[0].at,
            shares=tuple(
                _middle(own) for own in zip(*(one.shares for one in versions), strict=True)
            ),
            seconds_per_image=_middle([version.seconds_per_image for version in versions]),
        )

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        return _summary_as_json(self)


@dataclasses.dataclass(frozen=True)
class NormRadii:
    """What was certified in one norm.

    Attributes:
        radii: of the network, or of the program's vote.
        versions: of the program's versions by name, on the same images; empty where none was asked
            for.
    """

    radii: CertifiedRadii
    versions: Mapping[str, CertifiedRadii] = dataclasses.field(default_factory=dict)

    @property
    def comparison(self) -> RadiusComparison:
        """The vote's radii beside its versions', of which there must be some."""
        return RadiusComparison(
            self.radii.radii, torch.stack([one.radii for one in self.versions.values()])
        )

    @property
    def best_version(self) -> str:
        """The name of the version with the largest mean radius."""
        return list(self.versions)[self.comparison.best_version]

    @property
    def median_version(self) -> MedianVersion:
        """The medians over the versions."""
        return MedianVersion.of(list(self.versions.values()))

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        if not self.versions:
            return self.radii.to_json()
        comparison = self.comparison
        return {
            **self.radii.to_json(),
            "versions": {name: one.to_json() for name, one in self.versions.items()},
            "comparison": {
                "best_version": self.best_version,
                "best_mean": comparison.best_mean,
                "share_above_best": comparison.share_above_best,
                "share_above_median": comparison.share_above_median,
                "median_version": self.median_version.to_json(),
            },
        }


def _middle(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def _summary_as_json(summary: CertifiedRadii | MedianVersion) -> dict[str, Any]:
    return {
        "mean": summary.mean,
        "median": summary.median,
        "infinite": summary.infinite,
        "certified": [
            {"radius": radius, "share": share}
            for radius, share in zip(summary.at, summary.shares, strict=True)
        ],
        "seconds_per_image": summary.seconds_per_image,
    }
