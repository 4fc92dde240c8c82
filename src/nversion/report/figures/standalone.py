"""A figure as an SVG file of its own that reads well on light and on dark pages.

Drawn with the light colours, it has rules that give each of them its dark value where the reader's
screen is dark. A viewer that knows no such rules shows the light ones, on their own background.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET

from nversion.report.figures.drawing import Drawing
from nversion.report.figures.palette import ROLES

__all__ = ["standalone_svg"]

_SVG = "http://www.w3.org/2000/svg"


def standalone_svg(drawing: Drawing) -> str:
    """Return a drawing as an SVG document for light and dark, with its alternative text."""
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    root = ET.fromstring(drawing.svg)
    for child in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(child)
    root.set("role", "img")
    said = ET.Element(f"{{{_SVG}}}title")
    said.text = drawing.alt
    style = ET.Element(f"{{{_SVG}}}style")
    style.text = _rules()
    root[:0] = [said, style]
    return ET.tostring(root, encoding="unicode") + "\n"


def _rules() -> str:
    dark = "".join(
        f'[style*="{what}: {role.light}"]{{{what}:{role.dark}!important}}'
        for role in ROLES
        for what in ("fill", "stroke")
    )
    # The fonts of the page that shows the file are not those of the machine that drew it.
    font = 'text{font-family:system-ui,"Segoe UI",Roboto,"DejaVu Sans",sans-serif!important}'
    return f"{font}@media(prefers-color-scheme:dark){{{dark}}}"
