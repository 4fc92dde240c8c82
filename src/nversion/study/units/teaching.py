"""Ask the teacher: the program's labels of the training images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from nversion.datasets.shared import SharedDataset
from nversion.files import read_tensor, write_tensors
from nversion.program import vote_outputs
from nversion.study.units.outputs import softmax_outputs
from nversion.versions import Version

__all__ = ["PART", "join_parts", "teach_part"]

PART = 2_000
"""Training images a unit of the teacher's labels treats: enough to load each version for, few
enough that all versions' outputs on them fit easily in memory."""


def teach_part(
    shared: SharedDataset,
    start: int,
    versions: Sequence[Path],
    voter: str,
    device: torch.device,
    path: Path,
) -> None:
    """Write the teacher's labels of the training images from `start` on."""
    block = shared.open().train.images[start : start + PART]
    outputs = torch.stack(
        [softmax_outputs(Version.load(folder), block, device) for folder in versions]
    )
    write_tensors(path, {"labels": vote_outputs(outputs, voter).probabilities})


def join_parts(parts: Sequence[Path], path: Path) -> None:
    """Join the parts of the teacher's labels."""
    labels = torch.cat([read_tensor(part, "labels") for part in parts])
    write_tensors(path, {"labels": labels})
