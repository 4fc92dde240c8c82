"""Draws architectures that differ: a finite space of choices, covered evenly from the first on.

Half of what is drawn is convolutional and half dense, in turns. Each half is a product of a few
axes (depth, width, pooling, dropout and so on, in sizes like those of the 2019 study). To cover a
product evenly, and every prefix of the list too, the drawing follows a Sobol sequence (Sobol 1967,
direction numbers of Joe and Kuo 2008) under a random digital shift from the seed: its first 2, 4,
8, ... points fall once into each half, quarter, eighth, ... of every axis. For each point the
nearest member of the space is taken that fits the images, is affordable and was not taken before.
A longer list thus begins with the shorter one of the same seed.

Affordable means that a hundred of them train in minutes: time goes with the multiply-adds of a
layer, and with the values that it has to write and read again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nversion.architectures.architecture import Architecture
from nversion.architectures.layers import Conv, Dense, Dropout, Flatten, Layer, MaxPooling
from nversion.arguments import typed
from nversion.errors import ArchitectureError, InputError
from nversion.randomness import derive_seed

__all__ = ["generate"]

MULTIPLY_ADDS = 4_500_000
"""The most multiply-adds of a generated architecture, for images of up to 28x28 pixels."""

VALUES = 50_000
"""The most values of all its layers together, for images of up to 28x28 pixels."""

FEATURES_PER_CLASS = 4
"""The fewest features per class that convolutions must hand on: fewer lose too much."""

NARROW_LAYERS = 3
"""The most dense layers of fewer than 32 units: longer chains of them learn unreliably."""

Axes = tuple[tuple[str, float, tuple[Any, ...]], ...]
"""Axis by axis: name, weight in the search for the nearest member, choices in order.

What matters most for how a network computes weighs most.
"""

CONVOLUTIONAL: Axes = (
    ("depth", 8.0, (1, 2, 3, 4)),
    ("filters", 4.0, (4, 8, 16, 32, 64)),
    ("rate", 3.0, (0.0, 0.1, 0.25, 0.5)),
    ("pooling", 2.0, ("none", "last", "second", "each")),
    ("head", 2.0, ("", "32", "128", "512", "128 32", "256 64")),
    ("growth", 1.0, ("narrowing", "same", "widening")),
    ("place", 1.0, ("convolutions", "dense", "both")),
    ("kernel", 1.0, (3, 5)),
)
DENSE: Axes = (
    ("depth", 8.0, (1, 2, 3, 4, 5)),
    ("units", 4.0, (16, 32, 64, 128, 256, 512, 1024)),
    ("rate", 3.0, (0.0, 0.1, 0.2, 0.35, 0.5)),
    ("growth", 2.0, ("narrowing", "same", "widening")),
    ("place", 1.0, ("input", "hidden", "last")),
)


@typed
def generate(count: int, seed: int, shape: Sequence[int], classes: int = 10) -> list[Architecture]:
    """Return `count` different architectures that fit the images, called v001, v002, ...

    Args:
        count: how many, at least 1.
        seed: the same seed gives the same list, and a longer list begins with a shorter one.
        shape: (channels, height, width) of the images.
        classes: how many classes, at least 2.

    Returns:
        Architectures in turns convolutional (v001, v003, ...) and dense (v002, v004, ...), all
        different, each passing ``check(shape, classes)``.

    Raises:
        ArchitectureError: there are not so many for such images; the message says how many.
        InputError: an argument makes no sense.
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise InputError(f"count must be a whole number of at least 1, not {count!r}")
    Architecture((Flatten(),)).check(shape, classes)  # checks the arguments
    halves = (
        _draw(_Space("convolutional", CONVOLUTIONAL, shape, classes), (count + 1) // 2, seed),
        _draw(_Space("dense", DENSE, shape, classes), count // 2, seed),
    )
    possible = min(2 * len(halves[0]), 2 * len(halves[1]) + 1)
    if possible < count:
        raise ArchitectureError(
            f"only {possible} different architectures, half of them convolutional, can be "
            f"generated for images of {'x'.join(map(str, shape))} and {classes} classes, "
            f"not {count}; ask for fewer, or write more as text files"
        )
    return [halves[place % 2][place // 2].named(f"v{place + 1:03d}") for place in range(count)]


class _Space:
    """One half's product of choices, for images of one shape. Members are numbered."""

    def __init__(self, kind: str, axes: Axes, shape: Sequence[int], classes: int) -> None:
        self.kind = kind
        self.shape = tuple(shape)
        self.classes = classes
        self.weights = [weight for _, weight, _ in axes]
        self._names = [name for name, _, _ in axes]
        self._choices = [choices for _, _, choices in axes]
        self._sizes = [len(choices) for choices in self._choices]
        # Where each member lies on each axis, in (0, 1): the middle of its choice's share.
        indices = np.indices(self._sizes).reshape(len(axes), -1)
        self.places: NDArray[np.float64] = (indices + 0.5) / np.array(self._sizes)[:, None]

    def __len__(self) -> int:
        return math.prod(self._sizes)

    def member(self, number: int) -> Architecture | None:
        """Return the architecture of a member, or None if it does not fit or costs too much."""
        indices = np.unravel_index(number, self._sizes)
        chosen = [
            choices[int(index)] for choices, index in zip(self._choices, indices, strict=True)
        ]
        make = _convolutional if self.kind == "convolutional" else _dense
        layers = make(**dict(zip(self._names, chosen, strict=True)))
        architecture = Architecture(tuple(layers))
        return architecture if self._suits(architecture) else None

    def _suits(self, architecture: Architecture) -> bool:
        try:
            rows = architecture.table(self.shape, self.classes)
        except ArchitectureError:
            return False
        shapes = [self.shape, *(row.output_shape for row in rows)]
        flat = next(place for place, shape in enumerate(shapes) if len(shape) == 1)
        widths = [shape[0] for shape in shapes[flat:-1]]
        narrow = sum(isinstance(x, Dense) and x.units < 32 for x in architecture.layers)
        scale = max(1.0, self.shape[1] * self.shape[2] / 784)
        return (
            shapes[flat][0] >= min(FEATURES_PER_CLASS * self.classes, math.prod(self.shape))
            and min(widths) >= self.classes
            and narrow <= NARROW_LAYERS
            and sum(row.multiply_adds for row in rows) <= MULTIPLY_ADDS * scale
            and sum(math.prod(row.output_shape) for row in rows) <= VALUES * scale
        )


def _draw(space: _Space, count: int, seed: int) -> list[Architecture]:
    """Return up to `count` different members, spread evenly; fewer only if there are no more."""
    taken: dict[Architecture, None] = {}
    settled = np.zeros(len(space), dtype=bool)  # taken, a duplicate, or not suitable
    most = min(count, len(space))
    for target in _targets(len(space.weights), most, derive_seed(space.kind, seed)):
        # Axis by axis rather than as one product, so that the sum is the same on every machine.
        distance = np.where(settled, np.inf, 0.0)
        for axis, weight in enumerate(space.weights):
            distance += weight * (space.places[axis] - target[axis]) ** 2
        for number in np.argsort(distance, kind="stable"):
            if settled[number]:
                return list(taken)
            settled[number] = True
            architecture = space.member(int(number))
            if architecture is not None and architecture not in taken:
                taken[architecture] = None
                break
    return list(taken)


def _targets(axes: int, count: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Yield `count` points of a digitally shifted Sobol sequence in [0, 1) per axis."""
    from scipy.stats import qmc  # slow to import, and most programs never generate

    bits = 30
    exponent = max(count - 1, 1).bit_length()
    points = qmc.Sobol(axes, scramble=False, bits=bits).random_base2(exponent)
    shifts = [derive_seed("shift", axis, seed) % 2**bits for axis in range(axes)]
    shifted = (points * 2**bits).astype(np.int64) ^ np.array(shifts, dtype=np.int64)
    yield from (shifted / 2**bits)[:count]


def _convolutional(
    depth: int,
    filters: int,
    rate: float,
    pooling: str,
    head: str,
    growth: str,
    place: str,
    kernel: int,
) -> Iterator[Layer]:
    """Yield the layers: convolutions with pooling and dropout between them, then dense layers.

    A larger kernel is the first convolution's only; dropout follows the poolings (or, without
    any, the last convolution) and the dense layers.
    """
    after_convolutions = place in ("convolutions", "both") or not head
    for number in range(1, depth + 1):
        width = min(64, max(4, round(filters * _factor(growth) ** (number - 1))))
        yield Conv(width, "relu", kernel if number == 1 else 3)
        last = number == depth
        pooled = pooling == "each" or (last and pooling != "none")
        pooled = pooled or (pooling == "second" and number % 2 == 0)
        if pooled:
            yield MaxPooling()
        if rate and after_convolutions and (pooled or last):
            yield Dropout(rate if width >= 8 else min(rate, 0.25))
    yield Flatten()
    for units in map(int, head.split()):
        yield Dense(units, "relu")
        if place in ("dense", "both"):
            yield from _dropout(rate, units)


def _dense(depth: int, units: int, rate: float, growth: str, place: str) -> Iterator[Layer]:
    """Yield the layers: dense ones, with dropout on the input, after each, or after the last."""
    widths = [
        min(1024, max(16, round(units * _factor(growth) ** number))) for number in range(depth)
    ]
    yield Flatten()
    if place == "input":
        yield from _dropout(rate, min(widths))
    for number, width in enumerate(widths, start=1):
        yield Dense(width, "relu")
        if place == "hidden" or (place == "last" and number == depth):
            yield from _dropout(rate, width)


def _factor(growth: str) -> float:
    return {"narrowing": 0.5, "same": 1.0, "widening": 2.0}[growth]


def _dropout(rate: float, units: int) -> Iterator[Layer]:
    """Yield a dropout that so many units bear: narrow layers do not learn under a high rate."""
    bearable = min(rate, 0.0 if units < 32 else 0.1 if units < 64 else 0.25 if units < 128 else 1.0)
    if bearable:
        yield Dropout(bearable)
