"""How a network is fed, and what it gives: what its file does not say.

A network takes images of one size, with channels first or last or in one row, in some range, with
or without a normalisation, and gives logits, probabilities, log-probabilities or one logit of
classes in some order. A :class:`Feed` says so. It is written as TOML in ``version.toml`` beside
the file (or in ``FILE.toml``, for one file of several), or in short with ``--input``::

    size = [1, 28, 28]          # channels, height, width of an image
    layout = "nhwc"             # nchw, nhwc, nhw, nwh, flat (as nchw) or flat-nhwc
    range = [0, 255]            # what black and white become; [0, 1] if not said
    mean = [0.1307]             # taken off, in that range, and
    std = [0.3081]              # divided by, each for all channels or for each
    outputs = "probabilities"   # or logits, log-probabilities, logit (one)
    key = "logits"              # which of several outputs
    classes = ["0", "1", "2"]   # of the outputs, in their order
    name = "lenet"              # of the version; otherwise that of the file
    factory = "package.module:function"   # for weights alone: what builds the network

What is not said is guessed from the file where it can be (:func:`settled`).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from nversion.errors import ArtefactError, InputError
from nversion.naming import did_you_mean
from nversion.reading import checked, parse_toml, read_toml

__all__ = [
    "FEED_FILE",
    "LAYOUTS",
    "Feed",
    "arranged",
    "feed_beside",
    "feed_from",
    "parse_feed",
    "settled",
]

FEED_FILE = "version.toml"

Layout = Literal["nchw", "nhwc", "nhw", "nwh", "flat", "flat-nhwc"]

LAYOUTS: tuple[Layout, ...] = ("nchw", "nhwc", "nhw", "nwh", "flat", "flat-nhwc")

OUTPUTS = ("logits", "probabilities", "log-probabilities", "logit")

CHANNELS = (1, 3, 4, 2)
"""So many channels are usual, the most usual first."""


@dataclasses.dataclass(frozen=True)
class Feed:
    """How a network is fed; None, or nothing, is what is not said.

    Attributes:
        size: (channels, height, width) of an image.
        layout: the order of the numbers of an image, one of :data:`LAYOUTS`.
        range: what 0 and 1 become.
        mean: taken off after that, one number or one for each channel.
        std: divided by after that, likewise.
        outputs: "logits", "probabilities", "log-probabilities" or "logit" (one, of the second
            of two classes).
        key: the name or the place of the output that is meant, where there are several.
        classes: the names of the classes that the outputs stand for, in their order.
        name: of the version.
        factory: ``package.module:function`` that builds the network, for files of weights alone.
    """

    size: tuple[int, int, int] | None = None
    layout: Literal["nchw", "nhwc", "nhw", "nwh", "flat", "flat-nhwc"] | None = None
    range: tuple[float, float] | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    outputs: Literal["logits", "probabilities", "log-probabilities", "logit"] | None = None
    key: str | None = None
    classes: tuple[str, ...] = ()
    name: str | None = None
    factory: str | None = None

    def __post_init__(self) -> None:
        if self.size is not None and min(self.size) < 1:
            raise InputError(f"size must be channels, height, width, not {list(self.size)}")
        numbers = (*(self.range or ()), *self.mean, *self.std)
        if not all(math.isfinite(number) for number in numbers):
            raise InputError("range, mean and std must be finite")
        if any(number <= 0 for number in self.std):
            raise InputError(f"std must be above 0, not {list(self.std)}")
        if self.range is not None and self.range[0] == self.range[1]:
            raise InputError(f"range must be two different numbers, not {list(self.range)}")
        for key in ("mean", "std"):
            wanted = (0, 1) if self.size is None else (0, 1, self.size[0])
            if self.size is not None and len(getattr(self, key)) not in wanted:
                raise InputError(
                    f"{key} must be one number, or one for each of {self.size[0]} channels, not "
                    f"{len(getattr(self, key))}"
                )
        if len(set(self.classes)) < len(self.classes):
            raise InputError("classes names a class twice")

    def over(self, other: Feed) -> Feed:
        """Return this feed, with what it does not say taken from another."""
        own = {
            field.name: getattr(self, field.name) or getattr(other, field.name)
            for field in dataclasses.fields(self)
        }
        return Feed(**own)

    def facts(self) -> dict[str, Any]:
        """Return what it says, as JSON values."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in dataclasses.asdict(self).items()
            if value not in (None, ())
        }


def feed_from(values: Mapping[str, Any], source: str) -> Feed:
    """Return a feed of values out of TOML; `source` is where they are from, for messages.

    Raises:
        InputError: an unknown key, or a value of the wrong kind.
    """
    known = [field.name for field in dataclasses.fields(Feed)]
    for key in values:
        if key not in known:
            raise InputError(
                f"{source}: no such key {key!r}{did_you_mean(key, known)}; there are: "
                f"{', '.join(known)}"
            )
    whole = {key: _as_feed(key, value) for key, value in values.items()}
    try:
        return checked(Feed, whole, source, InputError)
    except InputError as error:
        raise error if source in str(error) else InputError(f"{source}: {error}") from error


def _as_feed(key: str, value: Any) -> Any:
    """Return a value as the field of its key has it: numbers alone are lists of one."""
    if key in ("mean", "std", "range") and not isinstance(value, list):
        value = [value]
    if key in ("mean", "std", "range"):
        return [float(v) if isinstance(v, int) and not isinstance(v, bool) else v for v in value]
    if key == "classes" and isinstance(value, list):
        return [str(v) if isinstance(v, int) else v for v in value]
    if key == "key" and isinstance(value, int):
        return str(value)
    return value


def feed_beside(path: Path) -> Feed:
    """Return what ``FILE.toml``, or ``version.toml`` beside a file or in a folder, says.

    Raises:
        InputError: it cannot be read, or says what there is not.
    """
    inside = [path / FEED_FILE] if path.is_dir() else [path.parent / FEED_FILE]
    for place in (path.with_name(f"{path.name}.toml"), *inside):
        if place.is_file():
            return feed_from(read_toml(place, InputError), str(place))
    return Feed()


def parse_feed(text: str, source: str = "--input") -> Feed:
    """Return the feed of a short text: ``size=1x28x28,layout=nhwc,range=0:255,mean=0.1307``.

    Lists have ``:`` (or, of sizes, ``x``) between their items. A name of an existing TOML file
    stands for what is in it.

    Raises:
        InputError: it cannot be read.
    """
    if Path(text).suffix.lower() == ".toml" and "=" not in text:
        return feed_from(read_toml(Path(text), InputError), text)
    values: dict[str, Any] = {}
    for part in text.split(","):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not key or not value:
            raise InputError(
                f"{source} {text}: wants KEY=VALUE with commas between, such as "
                "size=1x28x28,layout=nhwc,range=0:255"
            )
        values[key] = _short(key, value, source)
    return feed_from(values, source)


def _short(key: str, value: str, source: str) -> Any:
    if key == "classes":
        return value.split(":")
    if key in ("size", "range", "mean", "std"):
        parts = value.replace("x", ":").split(":") if key == "size" else value.split(":")
        return parse_toml(f"value = [{', '.join(parts)}]", f"{source} {key}={value}", InputError)[
            "value"
        ]
    return value


def settled(feed: Feed, shape: Sequence[int | None] | None, source: str) -> Feed:
    """Return the feed with size and layout said, guessed from the shape that a file takes.

    Args:
        feed: what is known.
        shape: of one input without the batch, as the file says it; None, or None in it, where it
            does not.
        source: the file, for messages.

    Raises:
        ArtefactError: it cannot be guessed, or does not fit what was said.
    """
    if shape is not None and all(isinstance(side, int) and side > 0 for side in shape):
        sides = tuple(int(side or 0) for side in shape)
        feed = dataclasses.replace(feed, **_guessed(feed, sides, source))
        assert feed.size is not None
        if math.prod(feed.size) != math.prod(sides):
            raise ArtefactError(
                f"{source}: takes {list(sides)} numbers an image, which images of "
                f"{list(feed.size)} are not; say another size with --input or {FEED_FILE}"
            )
    if feed.size is None:
        raise ArtefactError(
            f"{source}: does not say what size of images it takes; say it with --input "
            f"size=1x28x28 (channels, height, width), or in {FEED_FILE} beside it"
        )
    return feed if feed.layout else dataclasses.replace(feed, layout="nchw")


def _guessed(feed: Feed, sides: tuple[int, ...], source: str) -> dict[str, Any]:
    """Return size and layout that fit the sides of an input, as far as they are not said."""
    size, layout = feed.size, feed.layout
    long = [side for side in sides if side > 1]
    if layout is None:
        if len(sides) == 3 and len(long) > 1:
            layout = _order(sides, size)
        elif len(sides) == 2 and len(long) == 2:
            layout = "nhw"
        else:
            layout = "flat"
    if size is None:
        if layout.startswith("flat"):
            size = _square(math.prod(sides), source)
        elif len(sides) == 3:
            first, middle, last = sides
            size = (last, first, middle) if layout == "nhwc" else (first, middle, last)
        elif layout in ("nhw", "nwh") and len(sides) == 2:
            size = (1, *sides) if layout == "nhw" else (1, sides[1], sides[0])
        else:
            raise ArtefactError(
                f"{source}: takes {list(sides)} numbers an image, not as {layout}; say size and "
                f"layout with --input or {FEED_FILE}"
            )
    return {"size": size, "layout": layout}


def _order(sides: tuple[int, ...], size: tuple[int, int, int] | None) -> Layout:
    """Return whether channels come first or last."""
    if size is not None and sides != size and sides == (size[1], size[2], size[0]):
        return "nhwc"
    if size is not None:
        return "nchw"
    first, last = (
        CHANNELS.index(side) if side in CHANNELS else len(CHANNELS) for side in (sides[0], sides[2])
    )
    return "nhwc" if last < first else "nchw"


def _square(count: int, source: str) -> tuple[int, int, int]:
    """Return the size of square images of so many numbers."""
    for channels in (1, 3):
        side = math.isqrt(count // channels)
        if channels * side * side == count:
            return channels, side, side
    raise ArtefactError(
        f"{source}: takes {count} numbers an image, and they are no square image; say with --input "
        f"size=CHANNELSxHEIGHTxWIDTH, or in {FEED_FILE} beside it, what they are"
    )


def arranged(places: npt.NDArray[np.int64], layout: str) -> npt.NDArray[np.int64]:
    """Return places [channels, height, width] in a layout."""
    if layout in ("nhwc", "flat-nhwc"):
        places = places.transpose(1, 2, 0)
    if layout == "nwh":
        places = places.transpose(0, 2, 1)
    if layout in ("nhw", "nwh"):
        return places.reshape(places.shape[-2:]) if places.shape[0] == 1 else places
    return places.reshape(-1) if layout.startswith("flat") else places
