"""The architectures that come with the package, as text files: the catalogue and the student.

The catalogue's files are what ``generate(100, seed=7, shape=(1, 28, 28))`` gives; a test holds
them to it. They are shipped all the same, so that a study names files that can be read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from nversion.architectures.architecture import Architecture
from nversion.architectures.generator import generate
from nversion.arguments import typed
from nversion.errors import ArchitectureError, InputError
from nversion.naming import did_you_mean

__all__ = [
    "CATALOGUE_CLASSES",
    "CATALOGUE_COUNT",
    "CATALOGUE_SEED",
    "CATALOGUE_SHAPE",
    "catalogue",
    "find_architecture",
    "student_architecture",
]

CATALOGUE_COUNT = 100
CATALOGUE_SEED = 7
CATALOGUE_SHAPE = (1, 28, 28)
CATALOGUE_CLASSES = 10


@typed
def catalogue(
    count: int | None = None,
    shape: Sequence[int] = CATALOGUE_SHAPE,
    classes: int = CATALOGUE_CLASSES,
    seed: int = CATALOGUE_SEED,
) -> list[Architecture]:
    """Return the first `count` architectures of the catalogue for such images.

    For 28x28 pixels, one channel, ten classes and seed 7 they are the shipped files; for
    anything else they are generated, in the same way and with the same names.

    Args:
        count: how many, at least 1; by default all 100.
        shape: (channels, height, width) of the images.
        classes: how many classes, at least 2.
        seed: the seed of the generator.

    Returns:
        Different architectures called v001, v002, ..., in turns convolutional and dense.

    Raises:
        ArchitectureError: there are not so many for such images; the message says how many.
        InputError: an argument makes no sense.
    """
    wanted = CATALOGUE_COUNT if count is None else count
    shipped = (CATALOGUE_SHAPE, CATALOGUE_CLASSES, CATALOGUE_SEED)
    if (tuple(shape), classes, seed) != shipped or wanted > CATALOGUE_COUNT:
        return generate(wanted, seed, shape, classes)
    if isinstance(wanted, bool) or not isinstance(wanted, int) or wanted < 1:
        raise InputError(f"count must be a whole number of at least 1, not {wanted!r}")
    return [_shipped(f"catalogue/v{number:03d}.txt") for number in range(1, wanted + 1)]


def student_architecture() -> Architecture:
    """Return the network that learns from the program: the student of the 2019 study.

    It needs images of at least 6x6 pixels.
    """
    return _shipped("student.txt")


def find_architecture(
    name: str,
    shape: Sequence[int] = CATALOGUE_SHAPE,
    classes: int = CATALOGUE_CLASSES,
) -> Architecture:
    """Return an architecture by its name in the catalogue, as ``student``, or from a file.

    Args:
        name: ``v001`` to ``v100``, ``student``, or the path of a text file.
        shape: (channels, height, width) of the images that the catalogue is for.
        classes: how many classes the catalogue is for.

    Raises:
        ArchitectureError: there is no such name and no such file, or the file cannot be read.
        InputError: `shape` or `classes` make no sense.
    """
    if name == "student":
        return student_architecture()
    number = re.fullmatch(r"v([0-9]{3})", name)
    if number and 1 <= int(number[1]) <= CATALOGUE_COUNT:
        return catalogue(int(number[1]), shape, classes)[-1]
    if not Path(name).is_file():
        numbered = [f"v{number:03d}" for number in range(1, CATALOGUE_COUNT + 1)]
        raise ArchitectureError(
            f"{name!r} is neither in the catalogue (v001 to v{CATALOGUE_COUNT:03d}, student) "
            f"nor a file{did_you_mean(name, [*numbered, 'student'])}"
        )
    return Architecture.load(name)


def _shipped(path: str) -> Architecture:
    file = files("nversion.architectures").joinpath(path)
    name = file.name.removesuffix(".txt")
    return Architecture.parse(file.read_text(encoding="utf-8"), file.name, name)
