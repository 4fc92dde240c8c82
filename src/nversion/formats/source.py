"""Where a version lies and how it is fed, as a value that is handed to other processes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from nversion.files import digest_of, sha256_of_file
from nversion.formats.classes import with_classes
from nversion.formats.feed import Feed
from nversion.formats.loading import load_version
from nversion.versions import Version

__all__ = ["Source"]


@dataclasses.dataclass(frozen=True)
class Source:
    """A file or folder that holds a version.

    Attributes:
        path: of it.
        feed: how it is fed, as far as that was said.
        trust: whether code that comes with it may run.
        classes: the names of the classes that its outputs are to be; empty leaves them.
    """

    path: Path
    feed: Feed | None = None
    trust: bool = False
    classes: tuple[str, ...] = ()

    def load(self) -> Version:
        """Return the version; errors as of :func:`nversion.load_version`."""
        version = load_version(self.path, self.feed, trust=self.trust)
        return with_classes(version, self.classes) if self.classes else version

    def resolved(self) -> Source:
        """Return the same with its whole path, for a process that runs elsewhere."""
        return dataclasses.replace(self, path=self.path.resolve())

    def digest(self, version: Version) -> str:
        """Return what tells its weights from others: a SHA-256 in hexadecimal digits."""
        origin = version.record.origin
        if origin is None:
            return sha256_of_file(self.path / "weights.safetensors")
        return digest_of(origin.sha256, origin.feed, list(self.classes))
