"""One image file from outside, decoded within bounds.

Pillow looks at what a file holds, not at its name, and hands some formats to other programs; so
the formats are named, and so is the size, before anything is decoded.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from nversion.errors import InputError

__all__ = ["read_picture"]

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
                return np.array(image.convert(modes[image.mode]))
    except InputError:
        raise
    except DAMAGED as error:
        raise InputError(f"not readable as an image ({error or type(error).__name__})") from error
