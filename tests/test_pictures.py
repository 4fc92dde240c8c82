from __future__ import annotations

import io
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nversion.errors import InputError
from nversion.pictures import read_picture

FORMATS, MODES = ("PNG", "PPM", "GIF", "BMP", "TIFF"), {"L": "L", "P": "RGB", "RGB": "RGB"}


def test_pixels_come_as_they_are_stored(tmp_path: Path) -> None:
    grey = np.arange(20, dtype=np.uint8).reshape(4, 5)
    Image.fromarray(grey).save(tmp_path / "x.png")
    assert np.array_equal(read_picture(tmp_path / "x.png", FORMATS, 8, MODES), grey)
    colour = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    file = io.BytesIO()
    Image.fromarray(colour).save(file, "PNG")
    assert np.array_equal(read_picture(file, FORMATS, 8, MODES), colour)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"P5 5 4 999999999999999999999 ", "not readable"),
        (b"P5 5 x 255 ", "not readable"),
        (b"P5 -5 4 255 ", "not readable"),
        (b"P5 999999999 999999999 255 ", "not readable|are the most"),
        (b"P5 20000 20000 255 ", "not readable|are the most"),
        (b"P5 9 4 255 ", "9 x 4 pixels; 8 a side are the most"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 5 4\n", "not readable"),
        (b"", "not readable"),
    ],
)
def test_damaged_headers_and_other_formats_are_refused(content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_picture(io.BytesIO(content), FORMATS, 8, MODES)


@pytest.mark.parametrize("kind", FORMATS)
def test_no_damage_is_more_than_an_error(kind: str) -> None:
    file = io.BytesIO()
    Image.fromarray(np.arange(60, dtype=np.uint8).reshape(4, 5, 3)).save(file, kind)
    whole, draws = file.getvalue(), random.Random(1)
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(draws.randint(1, 4)):
            damaged[draws.randrange(min(len(damaged), 120))] = draws.randrange(256)
        try:
            pixels = read_picture(io.BytesIO(damaged), FORMATS, 64, MODES)
        except InputError:
            continue
        assert pixels.dtype == np.uint8
