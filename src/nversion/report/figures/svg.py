"""Figures as SVG that lives inside a page.

Inside a page, a figure takes the page's fonts and, through CSS variables, its colours in light
and in dark; it scales with its container, and its marks say their name under the pointer. Ids are
made unique to the page.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping

from nversion.report.figures.drawing import Drawing
from nversion.report.figures.palette import themed

__all__ = ["inline_svg"]

_SVG = "{http://www.w3.org/2000/svg}"
_LINK = "{http://www.w3.org/1999/xlink}href"
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_FONT_SIZE = re.compile(r"[\d.]+px")
_GEOMETRY = ("d", "x", "y", "width", "height", "transform")


def inline_svg(drawing: Drawing, prefix: str, style: str) -> str:
    """Return a drawing as an <svg> element for an HTML page.

    Args:
        drawing: what to show; its `alt` becomes the accessible name.
        prefix: put before every id; different for each drawing of a page.
        style: the element's CSS class.
    """
    root = ET.fromstring(drawing.svg)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag == f"{_SVG}metadata" or child.find(f"{_SVG}style") is not None:
                parent.remove(child)
    _name_marks(root, drawing.tips)
    _tidy(root, prefix)
    view = root.attrib["viewBox"]
    root.attrib = {
        "class": style,
        "viewBox": view,
        "style": f"max-width:{round(float(view.split()[2]))}px",
        "role": "img",
        "aria-label": drawing.alt,
    }
    return ET.tostring(root, encoding="unicode")


def _name_marks(root: ET.Element, tips: Mapping[str, list[str]]) -> None:
    for group in root.iter(f"{_SVG}g"):
        texts = tips.get(group.get("id", ""))
        if texts is not None:
            for mark, text in zip(_marks(group), texts, strict=True):
                ET.SubElement(mark, f"{_SVG}title").text = text


def _marks(element: ET.Element) -> Iterator[ET.Element]:
    """Yield what a group draws, in order: uses and paths, but not the shapes it only defines."""
    for child in element:
        if child.tag in (f"{_SVG}use", f"{_SVG}path"):
            yield child
        elif child.tag != f"{_SVG}defs":
            yield from _marks(child)


def _tidy(root: ET.Element, prefix: str) -> None:
    """Make ids unique, colours and fonts the page's own, and numbers as long as they matter."""
    wanted = _references(root)
    short = {identity: f"{prefix}-{n}" for n, identity in enumerate(wanted)}
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        element.tail = None
        if element.text is not None and not element.text.strip():
            element.text = None
        identity = element.attrib.pop("id", None)
        if identity in short:
            element.set("id", short[identity])
        link = element.attrib.pop(_LINK, None)
        if link is not None:
            element.set("href", f"#{short[link[1:]]}" if link.startswith("#") else link)
        for name, value in list(element.attrib.items()):
            if name in _GEOMETRY:
                value = _LONG_NUMBER.sub(lambda match: f"{float(match[0]):.2f}", value)
                value = " ".join(value.split())
            elif name == "style":
                value = themed(_without_font(value))
            element.set(name, _REFERENCE.sub(lambda match: f"url(#{short[match[1]]})", value))


def _references(root: ET.Element) -> list[str]:
    """Return the ids that something in the tree refers to, each once, in order."""
    found: dict[str, None] = {}
    for element in root.iter():
        link = element.get(_LINK, "")
        if link.startswith("#"):
            found[link[1:]] = None
        for name, value in element.attrib.items():
            if name != "id":
                found.update(dict.fromkeys(_REFERENCE.findall(value)))
    return list(found)


def _without_font(style: str) -> str:
    """Drop the font's family from a style, and keep its size."""
    kept = []
    for declaration in style.split(";"):
        name, _, value = declaration.strip().partition(":")
        if name == "font" and (size := _FONT_SIZE.search(value)):
            kept.append(f"font-size:{size[0]}")
        elif name and name != "font-family":
            kept.append(f"{name}:{value.strip()}")
    return ";".join(kept)
