"""The one place where units open the versions that they work on."""

from __future__ import annotations

from nversion.study.units.trained import TrainedVersion
from nversion.versions import Version

__all__ = ["load_version"]


def load_version(trained: TrainedVersion) -> Version:
    """Return a trained version with its network.

    Raises:
        ArtefactError: it cannot be read.
    """
    return Version.load(trained.folder) if trained.source is None else trained.source.load()
