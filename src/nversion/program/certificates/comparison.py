"""Whether voting buys robustness: a program's certified radii beside its versions' own."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from nversion.certification import certify
from nversion.certification.infinite import count_infinite, mean_radius, middle_radii
from nversion.program.certificates.certified import certify_program
from nversion.program.model import Program

__all__ = ["RadiusComparison", "compare_with_versions"]


@dataclasses.dataclass(frozen=True)
class RadiusComparison:
    """Certified radii of a program and of its versions, on the same images.

    Attributes:
        program: float32 [count]; infinite where no change changes the verdict.
        versions: float32 [versions, count], likewise.
    """

    program: Tensor
    versions: Tensor

    @property
    def mean(self) -> float | None:
        """The mean of the program's finite radii; None if there are none."""
        return mean_radius(self.program)

    @property
    def version_means(self) -> list[float | None]:
        """The mean of each version's finite radii; None where there are none."""
        return [mean_radius(radii) for radii in self.versions]

    @property
    def version_infinite(self) -> list[int]:
        """How many of each version's radii are infinite."""
        return [count_infinite(radii) for radii in self.versions]

    @property
    def best_version(self) -> int:
        """The place of the version with the largest mean radius, the first of equals.

        Infinite radii count first, as they would in the mean: more of them are better, and of as
        many the mean of the others decides.
        """
        ranked = zip(self.version_infinite, self.version_means, strict=True)
        keys = [(infinite, mean or 0.0) for infinite, mean in ranked]
        return keys.index(max(keys))

    @property
    def best_mean(self) -> float | None:
        """The mean of the best version's finite radii; None if there are none."""
        return self.version_means[self.best_version]

    @property
    def median_mean(self) -> float | None:
        """The median of the versions' means, of those that have one; None if none has."""
        known = [mean for mean in self.version_means if mean is not None]
        return float(torch.tensor(known, dtype=torch.float64).quantile(0.5)) if known else None

    @property
    def share_above_best(self) -> float:
        """The share of images whose radius is larger for the program than for the best version."""
        return float((self.program > self.versions[self.best_version]).double().mean())

    @property
    def share_above_median(self) -> float:
        """The share of images whose radius exceeds the median of the versions' on that image."""
        return float((self.program.double() > middle_radii(self.versions)).double().mean())


def compare_with_versions(
    program: Program,
    images: Tensor,
    labels: Tensor,
    norm: float | str,
    *,
    method: str = "linear",
    box: tuple[float, float] | None = (0.0, 1.0),
    steps: int = 40,
) -> RadiusComparison:
    """Certify a program and each of its versions on the same images.

    The arguments are those of :func:`certify_program`.
    """
    program = program.read(tuple(images.shape[1:]))
    versions = [
        certify(model, images, labels, norm, method=method, box=box, steps=steps)
        for model in program.models
    ]
    radii = torch.stack(versions)
    voted = certify_program(
        program,
        images,
        labels,
        norm,
        method=method,
        box=box,
        steps=steps,
        start=middle_radii(radii),
    )
    return RadiusComparison(voted, radii)
