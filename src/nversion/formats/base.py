"""What a format is: the endings of its files, what it needs, and how one is read."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy.typing as npt
from torch import nn

from nversion.errors import ArtefactError
from nversion.files import digest_of, sha256_of_file
from nversion.formats.feed import Feed

__all__ = ["FileFormat", "Loaded", "refused"]

Reference = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]
"""Images [count, channels, height, width], as the network wants them, to what its own runtime
gives for them."""


@dataclasses.dataclass(frozen=True)
class Loaded:
    """What was read of a file.

    Attributes:
        network: images [count, channels, height, width], in the network's own range, to outputs.
        feed: how it is fed, size and layout included.
        weights: the file whose SHA-256 tells the version from others.
        reference: what computes the same as the file's own runtime, where there is one to ask.
        key: which of several outputs of `network` is meant, where it is still to be picked.
    """

    network: nn.Module
    feed: Feed
    weights: Path
    reference: Reference | None = None
    key: str | None = None


@dataclasses.dataclass(frozen=True)
class FileFormat:
    """A kind of file that holds a network.

    Attributes:
        name: what it is called.
        endings: of such files, in lower case; none for folders.
        read: reads one.
        trust: whether reading one runs code that comes with it.
        marks: for a folder, the file in it by which it is known.
        beside: which other files hold some of one's weights.
        classes: reads what one says its classes are called, without reading its network.
    """

    name: str
    endings: tuple[str, ...]
    read: Callable[[Path, Feed], Loaded]
    trust: bool = False
    marks: str = ""
    beside: Callable[[Path], tuple[Path, ...]] = lambda path: ()
    classes: Callable[[Path], tuple[str, ...]] = lambda path: ()

    def digest(self, weights: Path) -> str:
        """Return the SHA-256 of a file; with files beside it, that of the SHA-256s of all."""
        beside = self.beside(weights)
        own = sha256_of_file(weights)
        return digest_of(own, [sha256_of_file(one) for one in beside]) if beside else own


def refused(source: str | Path, what: str) -> ArtefactError:
    """Return the error for a file that holds what is not converted."""
    return ArtefactError(f"{source}: {what}")
