"""Figure 3: one image under every attack, from pictures that anybody may have edited."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg

from nversion.errors import ArtefactError
from nversion.report import figures
from nversion.report.example import example_of
from nversion.report.figures import draw
from nversion.report.figures.drawing import NARROW, WIDE, Canvas, Drawing
from nversion.report.figures.svg import inline_svg
from nversion.report.text.sentences import attack_example
from nversion.study.sections import Results

KEY = "figure-3-attacks"


def pictures(axes_list: Sequence[Axes]) -> list[Any]:
    return [np.asarray(axes.images[0].get_array()) for axes in axes_list if axes.images]


def words(drawing: Drawing) -> list[str]:
    return [text.get_text() for text in drawing.figure.texts]


@pytest.mark.parametrize("canvas", [WIDE, NARROW])
def test_every_attack_has_its_image_and_its_difference(
    make_example: Callable[..., dict[str, Any]], canvas: Canvas
) -> None:
    results = {"example": make_example("v001")}
    drawing = draw(Results.of(results), KEY, canvas)
    shown = pictures(drawing.figure.axes)
    found = example_of(Results.of(results))
    # The original, then two pictures for each attack but the one that failed.
    assert len(shown) == 1 + 2 * 9
    assert np.array_equal(shown[0], found.original)
    for place, attack in enumerate(attack for attack in found.attacks if attack.image is not None):
        assert np.array_equal(shown[1 + 2 * place], attack.image)
        tinted = shown[2 + 2 * place]
        assert tinted.shape == (28, 28, 4)
        # Red where lighter, blue where darker, clear where nothing changed.
        assert (tinted[attack.change > 0, 0] > tinted[attack.change > 0, 2]).all()
        assert (tinted[attack.change < 0, 2] > tinted[attack.change < 0, 0]).all()
        assert (tinted[attack.change == 0, 3] == 0).all()
    said = words(drawing)
    assert said.count("taken for 3") == 9
    assert said.count("did not succeed") == 1
    assert said.count("left out") == 1
    row = results["example"]["attacks"][1]
    assert f"L2 {row['l2']:.2f}" in said
    assert f"L∞ {row['linf']:.2f}" in said
    assert "gradient did not succeed; gradient-sign is taken for 3, L2 " in drawing.alt


def test_nothing_lies_outside_the_drawing_or_on_its_neighbour(
    make_example: Callable[..., dict[str, Any]],
) -> None:
    for canvas in (WIDE, NARROW):
        figure = draw(Results.of({"example": make_example("v001")}), KEY, canvas).figure
        renderer = FigureCanvasAgg(figure).get_renderer()
        boxes = [axes.get_window_extent(renderer) for axes in figure.axes]
        texts = [text.get_window_extent(renderer) for text in figure.texts]
        for box in boxes + texts:
            assert box.x0 >= -1
            assert box.y0 >= -1
            assert box.x1 <= figure.bbox.x1 + 1
            assert box.y1 <= figure.bbox.y1 + 1
        for place, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[:place])
        for place, text in enumerate(texts):
            assert not any(text.overlaps(other) for other in boxes)
            assert not any(text.overlaps(other) for other in texts[:place])


def test_the_page_gets_the_images_own_pixels(make_example: Callable[..., dict[str, Any]]) -> None:
    svg = inline_svg(draw(Results.of({"example": make_example("v001")}), KEY), "x", "wide")
    found = [part.split('"')[0] for part in svg.split("data:image/png;base64,")[1:]]
    assert len(found) == 19
    for data in found:
        header = base64.b64decode("".join(data.split()))[16:24]
        assert struct.unpack(">II", header) == (28, 28)


def test_the_sentence_says_which_are_left_out_and_why(
    make_example: Callable[..., dict[str, Any]],
) -> None:
    values = make_example("v007")
    said = attack_example(Results.of({"example": values}))
    assert said.startswith(
        "No attacked image falls to more attacks than test image 12, of class 7, attacked on v007: "
        "9 of 10 succeed; "
    )
    assert said.endswith(
        "Left out of the adversarial set: slsqp (visible: median SSIM 0.350 is below 0.4)."
    )
    sizes = {row["name"]: row["l2"] for row in values["attacks"] if row["l2"]}
    assert f"{min(sizes, key=sizes.get)} changes it least" in said
    assert f"{max(sizes, key=sizes.get)} most" in said
    for row in values["attacks"]:
        row["in_adversarial_set"] = True
    said = attack_example(Results.of({"example": values}))
    assert said.endswith("All of them are in the adversarial set.")
    assert attack_example(Results.of({})) is None


def test_colours_are_shown_as_colours(make_example: Callable[..., dict[str, Any]]) -> None:
    found = example_of(Results.of({"example": make_example("v001", (9, 7, 3))}))
    assert found.original.shape == (9, 7, 3)
    assert found.attacks[1].image.shape == (9, 7, 3)
    assert figures(Results.of({"example": make_example("v001", (9, 7, 3))}))


def _damaged_pictures(png: Callable[..., str]) -> dict[str, str]:
    good = base64.b64decode(png(np.zeros((28, 28), np.uint8)))
    # A header that claims a huge picture: 60,000 pixels a side.
    claim = struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + claim
    huge = good[:8] + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    huge += good[33:]
    return {
        "not base64": "%%%",
        "not a picture": base64.b64encode(b"hello").decode(),
        "cut": base64.b64encode(good[:40]).decode(),
        "another format": base64.b64encode(b"P5 1 1 255 x").decode(),
        "huge": base64.b64encode(huge).decode(),
        "another size": png(np.zeros((5, 5), np.uint8)),
    }


def test_a_damaged_picture_costs_its_own_place_and_no_more(
    make_example: Callable[..., dict[str, Any]], png: Callable[..., str]
) -> None:
    for what, picture in _damaged_pictures(png).items():
        values = make_example("v001")
        values["attacks"][2]["image"] = picture
        values["attacks"][3]["difference"] = picture
        found = example_of(Results.of({"example": values}))
        assert found.attacks[2].image is None, what
        assert found.attacks[3].change is None, what
        assert found.attacks[3].image is not None, what
        assert draw(Results.of({"example": values}), KEY) is not None, what
        if what != "another size":
            values = make_example("v001")
            values["original"] = picture
            assert draw(Results.of({"example": values}), KEY) is None, what


@pytest.mark.parametrize("wrong", [None, {}, {"attacks": []}, {"attacks": [{}]}])
def test_without_an_example_there_is_no_figure(wrong: Any) -> None:
    assert example_of(Results.of({"example": wrong})) is None
    assert draw(Results.of({"example": wrong}), KEY) is None


@pytest.mark.parametrize("wrong", [[], "text", {"attacks": [None, 3]}, {"original": 3}])
def test_what_is_no_example_is_refused_by_name(wrong: Any) -> None:
    with pytest.raises(ArtefactError, match=r"the results: example"):
        Results.of({"example": wrong})
