"""The example in the results: one image under every attack, decoded and checked.

``results.json`` holds it as PNG files in base64 (see
:meth:`nversion.adversarial.AttackExample.to_json`). The file may have been edited by anybody, so
each picture is decoded on its own, as PNG and nothing else, and one that is damaged or too large
is as good as not there.
"""

from __future__ import annotations

import base64
import binascii
import io
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from nversion.pictures import read_picture
from nversion.study.sections import ExampleAttack, Results

__all__ = ["Change", "Example", "Pixels", "Shown", "example_of"]

Pixels: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
"""A picture, 8 bits a value: [height, width], or [height, width, 3]."""

Change: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

LARGEST_SIDE = 1024
"""Pictures with more pixels a side are not shown."""

MODES = {"L": "L", **dict.fromkeys(("1", "LA", "P", "RGB", "RGBA", "I;16", "I"), "RGB")}
"""The modes that a PNG file can have, and what is made of each."""

ZERO, STEPS = 128, 127
"""What is no change in a picture of a difference, and how many steps of grey its scale has."""


@dataclass(frozen=True)
class Shown:
    """What one attack made of the image.

    Attributes:
        name: the attack's.
        prediction: what the version takes its image for.
        l2: Euclidean distance to the original.
        linf: largest absolute change.
        reason: why the attack is not in the adversarial set; empty if it is.
        image: its image; None if it failed, as the next.
        change: the signed change of each pixel, in units of the pixel range.
    """

    name: str
    prediction: str
    l2: float | None
    linf: float | None
    reason: str
    image: Pixels | None
    change: Change | None


@dataclass(frozen=True)
class Example:
    """One image under every attack."""

    version: str
    test_index: str
    label: str
    original: Pixels
    attacks: list[Shown]


def example_of(results: Results) -> Example | None:
    """Return the example in the results; None if there is none that can be shown."""
    example = results.example
    if example is None:
        return None
    original = _picture(example.original)
    attacks = [_shown(attack, original) for attack in example.attacks]
    if original is None or not any(attack.image is not None for attack in attacks):
        return None
    return Example(
        example.version or "?",
        _number(example.test_index),
        _number(example.label),
        original,
        attacks,
    )


def _number(value: int | None) -> str:
    return "?" if value is None else str(value)


def _shown(attack: ExampleAttack, original: Pixels | None) -> Shown:
    image, greys = _picture(attack.image), _picture(attack.difference)
    scale = attack.difference_scale
    if original is None or image is None or image.shape != original.shape:
        image = None
    change = None
    if image is not None and greys is not None and greys.shape == image.shape[:2] and scale:
        change = (greys.astype(np.float64) - ZERO) * (abs(scale) / STEPS)
    reason = "" if attack.in_adversarial_set else attack.reason or "left out"
    return Shown(
        attack.name or "?",
        _number(attack.prediction),
        attack.l2,
        attack.linf,
        reason,
        image,
        change,
    )


def _picture(value: str | None) -> Pixels | None:
    """Return the picture in a PNG file given in base64, or None if there is none."""
    if value is None:
        return None
    try:
        file = io.BytesIO(base64.b64decode(value, validate=True))
        return read_picture(file, ("PNG",), LARGEST_SIDE, MODES)
    except (binascii.Error, ValueError):  # what is no picture is an InputError, which is one
        return None
