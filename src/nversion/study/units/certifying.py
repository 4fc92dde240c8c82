"""Certify one network around some images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from nversion.certification import certify
from nversion.files import write_tensors
from nversion.versions import Version

__all__ = ["BOXES", "certify_images"]

BOXES = {"ball": None, "box": (0.0, 1.0), "random": None}
"""The range that changed images keep, by domain; "random" is the ball with one random target."""


def certify_images(
    network: Path,
    images: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    norm: str,
    domain: str,
    method: str,
    steps: int,
    seed: int,
    path: Path,
) -> None:
    """Certify one network around some images, and save the radii."""
    radii = certify(
        Version.load(network).model,
        torch.from_numpy(images),
        torch.from_numpy(labels),
        norm,
        method=method,
        box=BOXES[domain],
        target="random" if domain == "random" else None,
        seed=seed,
        **({"steps": steps} if steps else {}),
    )
    write_tensors(path, {"radii": radii})
