"""Where a version lies and how it is fed, as a value that is handed to other processes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from nversion.errors import InputError, NVersionError
from nversion.files import digest_of, read_object, sha256_of_file
from nversion.formats.classes import with_classes
from nversion.formats.feed import Feed, feed_beside, parse_feed
from nversion.formats.loading import format_of, load_version, weights_digest
from nversion.reading import check_name
from nversion.versions import Version

__all__ = ["Source", "feed_for", "is_named"]


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
            return weights_digest(self.path, version)
        return digest_of(origin.sha256, origin.feed, list(self.classes))

    def whole_feed(self) -> Feed:
        """Return how it is fed, with what stands beside the file."""
        return (self.feed or Feed()).over(feed_beside(self.path))

    def name(self) -> str:
        """Return what to call the version before it is loaded: as was said, else as its file.

        Raises:
            InputError: that could not be the name of a folder.
        """
        own = self.path.resolve().name if self.path.is_dir() else self.path.stem
        return check_name(self.whole_feed().name or own, f"the version of {self.path}", InputError)

    def class_names(self) -> tuple[str, ...]:
        """Return what it says its classes are called, without loading it; empty where it does not.

        Raises:
            NVersionError: it cannot be read.
        """
        told = self.whole_feed().classes
        if told:
            return told
        if (self.path / "record.json").is_file():
            return tuple(read_object(self.path / "record.json").get("class_names", ()))
        return format_of(self.path).classes(self.path)

    def content(self) -> str:
        """Return a SHA-256 of the file, or of all files in the folder, without loading them.

        Raises:
            InputError: there is no such file.
        """
        if self.path.is_dir():
            files = sorted(place for place in self.path.rglob("*") if place.is_file())
            names = [str(place.relative_to(self.path)) for place in files]
            return digest_of(names, [sha256_of_file(place) for place in files])
        if not self.path.is_file():
            raise InputError(f"{self.path}: no such file or folder")
        try:
            return format_of(self.path).digest(self.path)
        except NVersionError:  # of a file that is damaged, which is said when it is loaded
            return sha256_of_file(self.path)


def feed_for(path: Path, inputs: Sequence[str]) -> Feed:
    """Return how texts such as ``range=0:255`` or ``model.onnx:range=0:255`` say a file is fed.

    What is said of it alone counts first. A file is named as it was given, or by its last part.

    Raises:
        InputError: one cannot be read.
    """
    found = Feed()
    for text in inputs:
        name, colon, rest = text.partition(":")
        for_one = bool(colon) and "=" not in name
        if for_one and not is_named(path, name):
            continue
        feed = parse_feed(rest if for_one else text)
        found = feed.over(found) if for_one else found.over(feed)
    return found


def is_named(path: Path, name: str) -> bool:
    """Return whether a text names a file: its last part, or with folders, its path."""
    if Path(name).name == name:
        return path.name == name
    return path.resolve() == Path(name).resolve()
