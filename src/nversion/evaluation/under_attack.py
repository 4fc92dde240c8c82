"""Accuracy under attack: the share of images that no attack changes within a radius.

Attacks look for the smallest perturbation, so the smallest that any of them found on an image says
at which radii the image falls. What they did not find may still be there: the accuracy is at most
this. A statement at a radius is what other work gives too (Croce et al., "RobustBench", NeurIPS
2021); that attacks without a bound succeed says little.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from nversion.evaluation.clustered import clustered_share

__all__ = ["USUAL_RADII", "Smallest", "smallest_distances", "under_attack"]

USUAL_RADII: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {"linf": (8 / 255, 0.1, 0.3), "l2": (0.5, 1.5)}
)
"""Where accuracy under attack is usually given: 8/255 and 0.5 for small colour images, as
RobustBench has it; 0.3 (Madry et al. 2018) and 1.5 (Schott et al. 2019) for MNIST;
and 0.1 in between."""


class Run(Protocol):
    """What one attack did to one version: an ``AttackRun``."""

    @property
    def version(self) -> str:
        """The attacked version's name."""

    @property
    def test_indices(self) -> Tensor:
        """Positions in the test split, int64 [tried]."""

    @property
    def already_misclassified(self) -> Tensor:
        """Whether each image was wrong before, bool [tried]."""

    @property
    def l2(self) -> Tensor:
        """Euclidean distance, float [tried]; infinite where the attack failed."""

    @property
    def linf(self) -> Tensor:
        """Largest absolute change, float [tried]; infinite where the attack failed."""


@dataclass(frozen=True)
class Smallest:
    """The smallest distances that any attack found, one for each version and image it was tried on.

    Attributes:
        test_indices: positions of the images in the test split.
        linf: the smallest largest change; infinite where no attack succeeded, 0 where the image was
            wrong before.
        l2: the smallest Euclidean distance, likewise.
    """

    test_indices: tuple[int, ...]
    linf: tuple[float, ...]
    l2: tuple[float, ...]


def smallest_distances(runs: Iterable[Run]) -> Smallest:
    """Return the smallest distances over all attacks; each run is looked at once."""
    found: dict[tuple[str, int], list[float]] = {}
    for run in runs:
        columns = [run.test_indices, run.already_misclassified, run.linf, run.l2]
        for index, wrong, linf, l2 in zip(*(column.tolist() for column in columns), strict=True):
            best = found.setdefault((run.version, index), [math.inf, math.inf])
            best[0] = min(best[0], 0.0 if wrong else linf)
            best[1] = min(best[1], 0.0 if wrong else l2)
    values = list(found.values())
    return Smallest(
        tuple(index for _, index in found),
        tuple(linf for linf, _ in values),
        tuple(l2 for _, l2 in values),
    )


def under_attack(smallest: Smallest, generator: np.random.Generator) -> list[dict[str, Any]]:
    """Return the accuracy under attack at the usual radii, as JSON values.

    Args:
        smallest: the smallest distance for each version and image.
        generator: draws for the intervals, which are by test image.

    Returns:
        A row for each radius: ``norm``, ``radius``, and of the share of images that no attack
        changed within it ``value``, ``low``, ``high``, ``images``, ``clusters`` (test images).
    """
    if not smallest.test_indices:
        return []
    rows = []
    for norm, radii in USUAL_RADII.items():
        distances = np.asarray(getattr(smallest, norm))
        for radius in radii:
            share = clustered_share(distances > radius, smallest.test_indices, generator)
            rows.append({"norm": norm, "radius": radius, **vars(share)})
    return rows
