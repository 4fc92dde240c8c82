from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

import pytest

from nversion.report.figures import FIGURES, draw, palette
from nversion.report.figures.drawing import Drawing
from nversion.report.figures.svg import inline_svg
from nversion.study.sections import Results


@pytest.fixture(scope="module")
def inlined(example: Callable[..., dict[str, Any]]) -> dict[str, tuple[Drawing, str]]:
    results = example(10)
    drawings = {key: draw(Results.of(results), key) for key in FIGURES}
    return {key: (drawing, inline_svg(drawing, key, "wide")) for key, drawing in drawings.items()}


def test_colours_of_ideas_become_variables(inlined: dict[str, tuple[Drawing, str]]) -> None:
    for key, (_, svg) in inlined.items():
        for role in palette.ROLES:
            assert role.light not in svg, (key, role.name)
        # Black is what SVG paints where nothing is said: text must say its colour.
        for text in ET.fromstring(svg).iter("text"):
            assert "fill:" in text.get("style", ""), key
    assert "var(--program)" in inlined["figure-5-program"][1]
    assert "var(--student)" in inlined["figure-6-student"][1]


def test_ids_are_referred_to_and_belong_to_the_figure(
    inlined: dict[str, tuple[Drawing, str]],
) -> None:
    for key, (_, svg) in inlined.items():
        ids = re.findall(r' id="([^"]+)"', svg)
        assert len(ids) == len(set(ids))
        assert all(identity.startswith(key) for identity in ids)
        used = set(re.findall(r'href="#([^"]+)"', svg)) | set(re.findall(r"url\(#([^)]+)\)", svg))
        assert used == set(ids)


def test_nothing_is_loaded_and_no_font_is_forced(inlined: dict[str, tuple[Drawing, str]]) -> None:
    for _, svg in inlined.values():
        assert "http" not in svg
        assert "font-family" not in svg
        assert "<style" not in svg
        assert "<metadata" not in svg


def test_marks_say_their_names(inlined: dict[str, tuple[Drawing, str]]) -> None:
    _, svg = inlined["figure-2-test-accuracy"]
    titles = [title.text for title in ET.fromstring(svg).iter("title")]
    assert len(titles) == 10
    assert any(title.startswith("001-conv: ") for title in titles)
    _, svg = inlined["figure-5-program"]
    titles = [title.text for title in ET.fromstring(svg).iter("title")]
    assert sum(" alone: " in title for title in titles) == 10
    assert sum(title.startswith("N = ") for title in titles) == 10


def test_the_accessible_name_is_the_drawings_own(inlined: dict[str, tuple[Drawing, str]]) -> None:
    for drawing, svg in inlined.values():
        root = ET.fromstring(svg)
        assert root.get("role") == "img"
        assert root.get("aria-label") == drawing.alt


def test_old_and_new_ways_to_write_a_font_keep_its_size() -> None:
    from nversion.report.figures.svg import _without_font

    assert _without_font("font: 13px 'DejaVu Sans'; text-anchor: middle") == (
        "font-size:13px;text-anchor:middle"
    )
    assert _without_font("font-size: 12px; font-family: 'A', 'B'; fill: #fff") == (
        "font-size:12px;fill:#fff"
    )
