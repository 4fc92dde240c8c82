"""The study in one picture: who learns from what, who attacks whom, and the numbers of it.

A diagram in SVG, drawn for a page: colours are the page's variables, so that it is right in light,
in dark and on paper. Wide, it goes from left to right; narrow, from top to bottom.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nversion.report.values import count, percent, plural
from nversion.study.sections import Results

__all__ = ["Box", "boxes", "overview"]

_WIDTH, _HEIGHT, _GAP = 180, 112, 40
_LINE, _PAD = 18, 12


@dataclass(frozen=True)
class Box:
    """A part of the study: its key, its name, up to four lines on it, and whose colour it has."""

    key: str
    title: str
    lines: tuple[str, ...]
    role: str


def boxes(results: Results) -> list[Box]:
    """Return the parts of a study, each with what is known of it."""
    study, program, twins = results.study, results.program, results.distillation
    made = results.adversarial_set
    tests = [row.test_accuracy for _, row in results.trained if row.test_accuracy is not None]
    succeeded = sum(row.succeeded or 0 for row in results.attacks)
    tried = sum(row.tried or 0 for row in results.attacks)
    classes = len(study.class_names or [])
    return [
        Box(
            "images",
            "Images",
            _lines(
                ("{} to learn from", study.train_images, count),
                ("{} to test on", study.test_images, count),
                ("{}", classes or None, lambda n: f"{n:.0f} classes"),
            ),
            "axis",
        ),
        Box(
            "versions",
            plural(len(results.trained), "version"),
            (
                "networks trained apart",
                *_span("test images", tests),
            ),
            "versions",
        ),
        Box(
            "program",
            "Program",
            (
                *((f"vote: {program.voter}",) if program.voter else ()),
                *_lines(
                    ("test images {}", program.test_accuracy, percent),
                    ("adversarial {}", program.accuracy, percent),
                ),
            ),
            "program",
        ),
        Box(
            "student",
            "Student",
            (
                "learns from the program",
                *_lines(
                    ("test images {}", twins.student.test_accuracy, percent),
                    ("adversarial {}", twins.student.adversarial_accuracy, percent),
                    ("baseline {}", twins.baseline.adversarial_accuracy, percent),
                ),
            ),
            "student",
        ),
        Box(
            "attacks",
            plural(len(results.attacks), "attack"),
            (
                "change test images until",
                "a version is wrong",
                *((f"{percent(succeeded / tried)} of runs",) if tried else ()),
            ),
            "ink",
        ),
        Box(
            "set",
            "Adversarial images",
            _lines(
                ("{} in the set", made.size, count),
                ("from {} test images", made.source_images, count),
            ),
            "ink",
        ),
    ]


def _lines(*parts: tuple[str, float | None, Callable[[float], str]]) -> tuple[str, ...]:
    return tuple(words.format(write(value)) for words, value, write in parts if value is not None)


def _span(words: str, shares: Sequence[float]) -> tuple[str, ...]:
    if not shares:
        return ()
    low, high = min(shares), max(shares)
    ends = percent(low, 1) if low == high else f"{100 * low:.1f} to {percent(high, 1)}"
    return (f"{words}", f"{ends} right")


# Where each box stands, in columns and rows, and who points to whom: the arrow's word, and its
# corners in the same units, from the middle of a side to the middle of a side.
_WIDE = {
    "images": (0, 0),
    "versions": (1, 0),
    "program": (2, 0),
    "student": (3, 0),
    "attacks": (1, 1),
    "set": (2, 1),
}
_NARROW = ("images", "versions", "attacks", "set", "program", "student")


def overview(results: Results, *, narrow: bool) -> str:
    """Return the picture as an <svg> element for a page.

    Args:
        results: whose numbers it carries.
        narrow: from top to bottom, for a phone.
    """
    drawn = {box.key: box for box in boxes(results)}
    root = ET.Element("svg", {"role": "img", "aria-label": _words(list(drawn.values()))})
    name = "overview-n" if narrow else "overview-w"
    _arrow_head(root, name)
    if narrow:
        _narrow(root, drawn, name)
    else:
        _wide(root, drawn, name)
    return ET.tostring(root, encoding="unicode")


def _wide(root: ET.Element, drawn: dict[str, Box], name: str) -> None:
    step, drop = _WIDTH + _GAP, _HEIGHT + 52
    width, height = 3 * step + _WIDTH, drop + _HEIGHT
    _frame(root, "wide", width + 2, height + 2)
    for key, (column, row) in _WIDE.items():
        _box(root, drawn[key], (1 + column * step, 1 + row * drop))
    middle, low = 1 + _HEIGHT / 2, 1 + drop + _HEIGHT / 2
    for column in range(3):
        start = 1 + column * step + _WIDTH
        _arrow(root, [(start, middle), (start + _GAP, middle)], name)
    centre = 1 + _WIDTH / 2
    _arrow(root, [(centre, 1 + _HEIGHT), (centre, low), (1 + step, low)], name, dashed=True)
    _arrow(root, [(centre + step, 1 + drop), (centre + step, 1 + _HEIGHT)], name, dashed=True)
    _arrow(root, [(1 + step + _WIDTH, low), (1 + 2 * step, low)], name)
    _arrow(root, [(centre + 2 * step, 1 + drop), (centre + 2 * step, 1 + _HEIGHT)], name)
    side = [(1 + 2 * step + _WIDTH, low), (centre + 3 * step, low)]
    _arrow(root, [*side, (centre + 3 * step, 1 + _HEIGHT)], name)
    for x, y, word, anchor in (
        (centre - 8, drop + 14, "attacked", "end"),
        (centre + step + 8, 1 + _HEIGHT + 30, "attack", "start"),
        (centre + 2 * step + 8, 1 + _HEIGHT + 30, "asked", "start"),
        (centre + 3 * step + 8, 1 + _HEIGHT + 30, "asked", "start"),
    ):
        _text(root, (x, y), word, muted=True, anchor=anchor)


def _narrow(root: ET.Element, drawn: dict[str, Box], name: str) -> None:
    between = ("train", "are attacked by", "make", "are shown to", "teaches")
    width, gap, y = 340.0, 34.0, 1.0
    for place, key in enumerate(_NARROW):
        box = drawn[key]
        height = _box(root, box, (1, y), width, tight=True)
        y += height
        if place < len(between):
            _arrow(root, [(1 + width / 2, y), (1 + width / 2, y + gap)], name)
            _text(root, (1 + width / 2 + 10, y + 21), between[place], muted=True)
            y += gap
    _frame(root, "narrow", width + 2, y + 1)


def _frame(root: ET.Element, style: str, width: float, height: float) -> None:
    root.attrib |= {
        "class": f"overview {style}",
        "viewBox": f"0 0 {width:g} {height:g}",
        "style": f"max-width:{width:g}px",
    }


def _arrow_head(root: ET.Element, name: str) -> None:
    marker = ET.SubElement(
        ET.SubElement(root, "defs"),
        "marker",
        {"id": name, "viewBox": "0 0 8 8", "refX": "7", "refY": "4"}
        | {"markerWidth": "7", "markerHeight": "7", "orient": "auto"},
    )
    ET.SubElement(marker, "path", {"d": "M0 0 8 4 0 8Z", "style": "fill:var(--axis)"})


def _arrow(
    root: ET.Element, corners: Sequence[tuple[float, float]], name: str, *, dashed: bool = False
) -> None:
    path = "M" + "L".join(f"{x:g} {y:g}" for x, y in corners)
    style = "fill:none;stroke:var(--axis);stroke-width:1.4"
    if dashed:
        style += ";stroke-dasharray:4 3"
    ET.SubElement(root, "path", {"d": path, "style": style, "marker-end": f"url(#{name})"})


def _box(
    root: ET.Element,
    box: Box,
    corner: tuple[float, float],
    width: float = _WIDTH,
    *,
    tight: bool = False,
) -> float:
    """Draw a box and return its height."""
    x, y = corner
    height = 2 * _PAD + _LINE * (1 + len(box.lines)) if tight else _HEIGHT
    place = {"x": f"{x:g}", "y": f"{y:g}", "width": f"{width:g}", "height": f"{height:g}"}
    frame = f"fill:var(--panel);stroke:var(--{box.role});stroke-width:1.2"
    ET.SubElement(root, "rect", {**place, "rx": "4", "style": frame})
    bar = {**place, "width": "4", "style": f"fill:var(--{box.role})"}
    ET.SubElement(root, "rect", bar)
    left, top = x + 14, y + _PAD + 12
    _text(root, (left, top), box.title, bold=True)
    for line, text in enumerate(box.lines, start=1):
        _text(root, (left, top + line * _LINE + 2), text)
    return height


def _text(
    root: ET.Element,
    place: tuple[float, float],
    text: str,
    *,
    bold: bool = False,
    muted: bool = False,
    anchor: str = "start",
) -> None:
    style = f"font-size:{14 if bold else 12}px;text-anchor:{anchor}"
    style += ";font-weight:650" if bold else ""
    style += ";fill:var(--muted)" if muted else ""
    element = ET.SubElement(root, "text", {"x": f"{place[0]:g}", "y": f"{place[1]:g}"})
    element.set("style", style)
    element.text = text


def _words(drawn: Sequence[Box]) -> str:
    """Return what the picture says, for those who cannot see it."""
    parts = [f"{box.title}: {', '.join(box.lines)}" for box in drawn]
    return (
        "Images train the versions, the versions vote as the program, the program teaches the "
        "student; attacks change test images until a version is wrong, and program and student "
        f"are shown what they make. {'. '.join(parts)}."
    )
