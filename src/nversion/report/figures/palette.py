"""Colours: one for each idea, the same in every figure and table, in light and in dark.

The three protagonists (program, student, baseline) have hues of Okabe and Ito's set, which people
with any of the common colour deficiencies tell apart; the crowd of single versions is grey. Lines
and marks differ in shape as well, so that no figure rests on colour alone. Source: M. Okabe and
K. Ito, "Color Universal Design", 2008.

Figures are drawn with the light colours. Inside the page each of them is replaced by the CSS
variable of its idea (:func:`themed`), which has a value for light and one for dark.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = [
    "AXIS",
    "BASELINE",
    "CELL_DARK",
    "CELL_LIGHT",
    "GRID",
    "INK",
    "MUTED",
    "PAPER",
    "PROGRAM",
    "ROLES",
    "STUDENT",
    "VERSIONS",
    "Role",
    "themed",
]


@dataclass(frozen=True)
class Role:
    """An idea's colour: the name of its CSS variable, and its value in light and in dark."""

    name: str
    light: str
    dark: str


ROLES = (
    Role("paper", "#ffffff", "#14171c"),
    Role("ink", "#1c2128", "#e6e9ee"),
    Role("muted", "#59626f", "#a3adba"),
    Role("axis", "#87909d", "#6b7583"),
    Role("grid", "#e3e6eb", "#2b313a"),
    Role("program", "#0069b4", "#5bb3f0"),
    Role("versions", "#7c8492", "#97a1af"),
    Role("student", "#c24d00", "#ff9455"),
    Role("baseline", "#00875f", "#3fcf9e"),
)
"""Every colour that a figure may use, apart from those of a heat map's cells."""

_LIGHT = {role.name: role.light for role in ROLES}

PAPER = _LIGHT["paper"]
INK = _LIGHT["ink"]
MUTED = _LIGHT["muted"]
AXIS = _LIGHT["axis"]
GRID = _LIGHT["grid"]
PROGRAM = _LIGHT["program"]
VERSIONS = _LIGHT["versions"]
STUDENT = _LIGHT["student"]
BASELINE = _LIGHT["baseline"]

# Text on a heat map's cells: it must not change with the theme, for the cells do not.
CELL_LIGHT = "#fdfdfd"
CELL_DARK = "#0a0a0a"

_COLOUR = re.compile("|".join(role.light for role in ROLES))
_VARIABLE = {role.light: f"var(--{role.name})" for role in ROLES}


def themed(style: str) -> str:
    """Replace the light colours in a CSS declaration by the variables of their ideas."""
    return _COLOUR.sub(lambda match: _VARIABLE[match[0]], style)
