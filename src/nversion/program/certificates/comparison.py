"""Whether voting buys robustness: a program's certified radii beside its versions' own."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from nversion.certification import certify
from nversion.program.certificates.certified import certify_program
from nversion.program.model import Program

__all__ = ["RadiusComparison", "compare_with_versions"]


@dataclasses.dataclass(frozen=True)
class RadiusComparison:
    """Certified radii of a program and of its versions, on the same images.

    Attributes:
        program: float32 [count].
        versions: float32 [versions, count].
    """

    program: Tensor
    versions: Tensor

    @property
    def mean(self) -> float:
        """The program's mean radius."""
        return float(self.program.double().mean())

    @property
    def version_means(self) -> list[float]:
        """Each version's mean radius."""
        means: list[float] = self.versions.double().mean(dim=1).tolist()
        return means

    @property
    def best_version(self) -> int:
        """The place of the version with the largest mean radius, the first of equals."""
        return int(torch.tensor(self.version_means).argmax())

    @property
    def best_mean(self) -> float:
        """The largest mean radius of a single version."""
        return max(self.version_means)

    @property
    def median_mean(self) -> float:
        """The median of the versions' mean radii."""
        return float(torch.tensor(self.version_means, dtype=torch.float64).quantile(0.5))

    @property
    def share_above_best(self) -> float:
        """The share of images whose radius is larger for the program than for the best version."""
        return float((self.program > self.versions[self.best_version]).double().mean())

    @property
    def share_above_median(self) -> float:
        """The share of images whose radius exceeds the median of the versions' on that image."""
        middle = self.versions.double().quantile(0.5, dim=0)
        return float((self.program.double() > middle).double().mean())


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
    start = radii.double().quantile(0.5, dim=0)
    voted = certify_program(
        program, images, labels, norm, method=method, box=box, steps=steps, start=start
    )
    return RadiusComparison(voted, radii)
