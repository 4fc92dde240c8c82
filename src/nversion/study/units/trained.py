"""A trained network that lies in the study's folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Protocol

from nversion.versions import Version

__all__ = ["Source", "TrainedVersion"]


class Source(Protocol):
    """What a version is loaded from, where it is no folder of ours."""

    def load(self) -> Version:
        """Return the version."""
        ...


@dataclasses.dataclass(frozen=True)
class TrainedVersion:
    """A version that is there, known by name; its network is loaded when it is needed.

    Attributes:
        name: of the version, or the role of the baseline or student.
        weights: SHA-256 of its weights, for the digests of the work that rests on it.
        folder: where it lies.
        source: what opens it, if it is no folder of ours.
    """

    name: str
    weights: str
    folder: Path
    source: Source | None = None

    @property
    def test_logits(self) -> Path:
        """The file of its logits of the test images ("logits")."""
        return self.folder / "test-logits.safetensors"
