"""A version that teaches, as a value that is handed to other processes; loaded when it is asked."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Protocol

from nversion.versions import Version

__all__ = ["Teacher"]


class Source(Protocol):
    """What a version is loaded from, where it is no folder of ours."""

    def load(self) -> Version:
        """Return the version."""
        ...


@dataclasses.dataclass(frozen=True)
class Teacher:
    """A version that teaches.

    Attributes:
        name: of the version.
        weights: SHA-256 of its weights; of one from elsewhere, of all that decides its outputs.
        folder: where it lies.
        test_accuracy: share of the test images classified correctly, in [0, 1].
        source: what opens it, if it is no folder of ours.
    """

    name: str
    weights: str
    folder: Path
    test_accuracy: float
    source: Source | None = None

    def load(self) -> Version:
        """Return the version with its network.

        Raises:
            NVersionError: it cannot be read.
        """
        return Version.load(self.folder) if self.source is None else self.source.load()
