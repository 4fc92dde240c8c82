"""One image file from outside, decoded within bounds.

Pillow looks at what a file holds, not at its name, and hands some formats to other programs; so
the formats are named, and so is the size, before anything is decoded.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from nversion.errors import InputError

__all__ = ["EVERY_MODE", "pixels_of", "read_picture"]

EVERY_MODE: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "F"), "L"),
        **dict.fromkeys(("P", "PA", "RGB", "RGBA", "RGBa", "RGBX"), "RGB"),
        **dict.fromkeys(("CMYK", "YCbCr", "LAB", "HSV"), "RGB"),
    }
)
"""What images of each of Pillow's modes become: greyscale or colour."""

TRANSPARENT = ("LA", "La", "PA", "RGBA", "RGBa")

WIDE = 65535.0
"""White, where a value has 16 bits."""

DAMAGED = (
    UnidentifiedImageError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
    # What Pillow's readers raise on damaged headers is not one kind of error.
    *(OSError, SyntaxError, ValueError, TypeError, OverflowError, EOFError, LookupError),
    *(ArithmeticError, AttributeError, NotImplementedError, MemoryError),
)


def read_picture(
    source: Path | IO[bytes],
    formats: tuple[str, ...],
    largest_side: int,
    modes: Mapping[str, str],
) -> npt.NDArray[np.uint8]:
    """Return the pixels of an image file, uint8 [height, width] or [height, width, 3].

    Args:
        source: the file.
        formats: those that it may be of, by Pillow's names.
        largest_side: the most pixels of width and height.
        modes: for each of Pillow's modes that it may have, "L" or "RGB", to which it is converted.

    Raises:
        InputError: it is of another format or mode, too large, or damaged.
    """
    try:
        with warnings.catch_warnings():
            # What Pillow skips in a damaged file it warns of; whether pixels are left is asked.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(source, formats=formats) as image:
                if max(image.size) > largest_side:
                    raise InputError(
                        f"{image.width} x {image.height} pixels; {largest_side} a side are the most"
                    )
                if image.mode not in modes:
                    raise InputError(
                        f"an image of mode {image.mode}; convert it to 8-bit greyscale or RGB "
                        "without transparency"
                    )
                return pixels_of(image, modes)
    except InputError:
        raise
    except DAMAGED as error:
        raise InputError(f"not readable as an image ({error or type(error).__name__})") from error


def pixels_of(image: Image.Image, modes: Mapping[str, str] = EVERY_MODE) -> npt.NDArray[np.uint8]:
    """Return a picture's pixels, uint8 [height, width] or [height, width, 3].

    What is transparent is seen on white, values of 16 bits lose their lower ones, and floats must
    lie in [0, 1].

    Args:
        image: the picture.
        modes: for each of Pillow's modes that it may have, "L" or "RGB".

    Raises:
        InputError: it has another mode, or values beyond those.
    """
    if image.mode not in modes:
        raise InputError(f"an image of mode {image.mode}; convert it to greyscale or RGB")
    if image.mode in TRANSPARENT or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        image_on_white = Image.alpha_composite(white, image.convert("RGBA"))
        return np.array(image_on_white.convert(modes[image.mode]))
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, dtype=np.float64)
        white_value = 1.0 if image.mode == "F" else WIDE
        if values.size and (values.min() < 0.0 or values.max() > white_value):
            raise InputError(
                f"values from {values.min():g} to {values.max():g}, but mode {image.mode} must "
                f"keep to 0 ... {white_value:g}"
            )
        return np.round(values / white_value * 255.0).astype(np.uint8)
    return np.array(image.convert(modes[image.mode]))
