"""Certify one network around some images."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nversion.certification import certify
from nversion.datasets import Dataset
from nversion.files import write_tensors
from nversion.study.units.base import Unit
from nversion.study.units.loading import load_version
from nversion.study.units.trained import TrainedVersion

__all__ = ["BOXES", "CertifiedImages", "CertifyImages", "Certifying"]

BOXES = {"ball": None, "box": (0.0, 1.0), "random": None}
"""The range that changed images keep, by domain; "random" is the ball with one random target."""


@dataclasses.dataclass(frozen=True)
class Certifying:
    """What radii are certified, and how.

    Attributes:
        norm: "1", "2" or "inf".
        domain: a key of :data:`BOXES`.
        method: of the bounds.
        steps: of the method "alpha"; 0 for the others.
    """

    norm: str
    domain: str
    method: str
    steps: int

    @property
    def box(self) -> tuple[float, float] | None:
        """The range that changed images keep; None for any."""
        return BOXES[self.domain]

    def options(self) -> dict[str, int]:
        """Return the method's own options."""
        return {"steps": self.steps} if self.steps else {}


@dataclasses.dataclass(frozen=True, eq=False)
class CertifiedImages:
    """Some of the test images, with what tells them apart.

    Attributes:
        images: float32 [count, channels, height, width]; a tensor would be sent to a worker with
            all the others that lie beside it in memory.
        labels: int64 [count].
        rows: the first of them, and the one after the last.
        data: digest of the dataset.
    """

    images: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    rows: tuple[int, int]
    data: str

    @classmethod
    def of(cls, data: Dataset, rows: slice) -> CertifiedImages:
        """Return these rows of a dataset's test images."""
        test = data.test
        return cls(
            test.images[rows].numpy(),
            test.labels[rows].numpy(),
            (rows.start, rows.stop),
            data.digest,
        )

    def tensors(self) -> tuple[Tensor, Tensor]:
        """Return images and labels."""
        return torch.from_numpy(self.images), torch.from_numpy(self.labels)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class CertifyImages(Unit):
    """Certify one network around some images, and save the radii.

    Attributes:
        network: to be certified.
        shown: the images.
        how: what is certified.
        seed: of the random targets; 0 where there are none.
        path: of the radii.
    """

    network: TrainedVersion
    shown: CertifiedImages
    how: Certifying
    seed: int
    path: Path

    def run(self) -> None:
        """Certify it."""
        images, labels = self.shown.tensors()
        radii = certify(
            load_version(self.network).model,
            images,
            labels,
            self.how.norm,
            method=self.how.method,
            box=self.how.box,
            target="random" if self.how.domain == "random" else None,
            seed=self.seed,
            **self.how.options(),
        )
        write_tensors(self.path, {"radii": radii})

    def inputs(self) -> Mapping[str, Any]:
        """Return the weights, the images, what is certified, and the seed."""
        return {
            "weights": self.network.weights,
            "data": self.shown.data,
            "rows": list(self.shown.rows),
            "seed": self.seed,
            **dataclasses.asdict(self.how),
        }

    def outputs(self) -> tuple[Path, ...]:
        """Return the radii's file."""
        return (self.path,)
