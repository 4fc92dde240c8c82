"""The class that ``--target`` asks for: a number, a name, or a file with one for each image."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nversion.errors import InputError
from nversion.naming import did_you_mean

if TYPE_CHECKING:
    from nversion.attacks import Attack
    from nversion.datasets import TestImages

__all__ = ["Labelled", "check_targetable", "target_from"]


@dataclasses.dataclass(frozen=True)
class Labelled:
    """The test image that is attacked.

    Attributes:
        dataset: what its dataset is called.
        index: its place among the dataset's test images.
        count: how many test images the dataset has.
        label: its class.
        classes: how many classes there are.
        names: what they are called; empty where that is not known.
    """

    dataset: str
    index: int
    count: int
    label: int
    classes: int
    names: Sequence[str] = ()

    @classmethod
    def of(cls, data: TestImages, index: int, classes: int) -> Labelled:
        """Return what is known of a dataset's test image; it must be there."""
        label = int(data.test.labels[index])
        return cls(data.name, index, len(data.test), label, classes, data.class_names)

    def named(self, label: int) -> str:
        """Return what a class is called; its number where that is not known."""
        return self.names[label] if label < len(self.names) else str(label)


def target_from(text: str, image: Labelled) -> int:
    """Return the class that an image is to be taken for.

    Args:
        text: a class's name, its number, or the path of a file with one of these on each line, for
            all test images in order.
        image: the image.

    Raises:
        InputError: it is no class and no file, the file does not fit, or it is the image's label.
    """
    target, where = _class_of(text, image), f"--target {text}"
    if target is None and Path(text).is_file():
        lines = _lines(Path(text), image)
        target = lines[image.index]
        where = f"--target {text}, line {image.index + 1}: {image.named(target)}"
    if target is None:
        raise InputError(
            f"--target: no class or file is called {text!r}{_meant(text, image)}; {_known(image)}"
        )
    if target == image.label:
        raise InputError(
            f"{where} is the own class of test image {image.index} of {image.dataset}; "
            "a target is another one"
        )
    return target


def check_targetable(attacks: Mapping[str, Attack]) -> None:
    """Raise unless all attacks can aim at a class of one's choice.

    Raises:
        InputError: it names those that cannot.
    """
    unable = [name for name, attack in attacks.items() if not attack.targetable]
    if unable:
        able = [name for name in attacks if name not in unable]
        rest = f"; leave out --target, or take --attack {','.join(able)}" if able else ""
        verb = "takes" if len(unable) == 1 else "take"
        raise InputError(
            f"{', '.join(unable)} {verb} no --target: as published, they look for any other "
            f"class{rest}"
        )


def _class_of(text: str, image: Labelled) -> int | None:
    """Return the class of a name or a number; None if there is none."""
    if text in image.names:
        return list(image.names).index(text)
    if text.isascii() and text.isdecimal() and int(text[:9]) < image.classes:
        return int(text)
    return None


def _lines(path: Path, image: Labelled) -> list[int]:
    """Return the classes on the lines of a file, one for each test image."""
    from nversion.reading import read_text

    lines = read_text(path, error=InputError).splitlines()
    if len(lines) != image.count:
        raise InputError(
            f"--target {path} has {len(lines):,} lines, but {image.dataset} has {image.count:,} "
            "test images; it must name one class for each"
        )
    found = []
    for number, line in enumerate(lines, start=1):
        target = _class_of(line.strip(), image)
        if target is None:
            raise InputError(
                f"{path}:{number}: no class is called {line.strip()!r}"
                f"{_meant(line.strip(), image)}; {_known(image)}"
            )
        found.append(target)
    return found


def _meant(text: str, image: Labelled) -> str:
    """Return which class was likely meant; of numbers, none is more likely than others."""
    return "" if text.isdecimal() else did_you_mean(text, image.names)


def _known(image: Labelled) -> str:
    """Say which classes there are."""
    numbers = f"0 to {image.classes - 1}"
    if not image.names or list(image.names) == [str(one) for one in range(image.classes)]:
        return f"the classes are {numbers}"
    return f"the classes are {', '.join(image.names)}, or {numbers}"
