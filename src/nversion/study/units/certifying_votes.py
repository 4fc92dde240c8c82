"""Certify the vote of several networks around some images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from nversion.files import write_tensors
from nversion.program import Program, certify_program
from nversion.study.units.certifying import BOXES
from nversion.versions import Version

__all__ = ["certify_vote_on_images"]


def certify_vote_on_images(
    versions: Sequence[Path],
    images: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    start: npt.NDArray[np.float64],
    voter: str,
    norm: str,
    domain: str,
    method: str,
    steps: int,
    path: Path,
) -> None:
    """Certify the versions' vote around some images, and save the radii."""
    radii = certify_program(
        Program([Version.load(version).model for version in versions], voter),
        torch.from_numpy(images),
        torch.from_numpy(labels),
        norm,
        method=method,
        box=BOXES[domain],
        start=torch.from_numpy(start),
        **({"steps": steps} if steps else {}),
    )
    write_tensors(path, {"radii": radii})
