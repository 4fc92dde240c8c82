"""Certify the vote of several networks around some images."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from nversion.files import write_tensors
from nversion.program import Program, certificate_of, certify_program, create_voter
from nversion.study.units.base import Unit
from nversion.study.units.certifying import CertifiedImages, Certifying
from nversion.study.units.loading import load_version
from nversion.study.units.trained import TrainedVersion

__all__ = ["CertifyVote"]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class CertifyVote(Unit):
    """Certify the versions' vote around some images, and save the radii.

    Attributes:
        versions: that vote.
        voter: how.
        shown: the images.
        how: what is certified.
        start: float64 [count], the radii that the search begins at.
        path: of the radii.
    """

    versions: tuple[TrainedVersion, ...]
    voter: str
    shown: CertifiedImages
    how: Certifying
    start: npt.NDArray[np.float64]
    path: Path

    def run(self) -> None:
        """Certify it."""
        images, labels = self.shown.tensors()
        radii = certify_program(
            Program([load_version(version).model for version in self.versions], self.voter),
            images,
            labels,
            self.how.norm,
            method=self.how.method,
            box=self.how.box,
            start=torch.from_numpy(self.start),
            **self.how.options(),
        )
        write_tensors(self.path, {"radii": radii})

    def inputs(self) -> Mapping[str, Any]:
        """Return all weights, the voter, the images, what is certified, and the first radii."""
        return {
            "versions": [version.weights for version in self.versions],
            "voter": self.voter,
            "data": self.shown.data,
            "rows": list(self.shown.rows),
            "start": self.start.tolist(),
            **dataclasses.asdict(self.how),
        }

    def outputs(self) -> tuple[Path, ...]:
        """Return the radii's file."""
        return (self.path,)

    def uses(self) -> tuple[object, ...]:
        """Return the voter and its certificate, which are found by name."""
        voter = create_voter(self.voter)
        return (voter, certificate_of(voter))
