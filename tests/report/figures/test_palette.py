from __future__ import annotations

import pytest

from nversion.report.figures.palette import ROLES, themed


def luminance(colour: str) -> float:
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    ("name", "least"),
    [
        # WCAG 2.2: 4.5 for text, 3 for graphical objects.
        ("ink", 4.5),
        ("muted", 4.5),
        ("program", 4.5),
        ("student", 4.5),
        ("baseline", 4.5),
        ("versions", 3.0),
        ("axis", 3.0),
    ],
)
def test_colours_can_be_seen_on_their_paper(theme: str, name: str, least: float) -> None:
    values = {role.name: getattr(role, theme) for role in ROLES}
    assert contrast(values[name], values["paper"]) >= least


def test_no_two_ideas_share_a_colour_and_each_becomes_its_variable() -> None:
    assert len({role.light for role in ROLES}) == len(ROLES)
    assert len({role.dark for role in ROLES}) == len(ROLES)
    for role in ROLES:
        assert themed(f"fill:{role.light};opacity:0.5") == f"fill:var(--{role.name});opacity:0.5"
    assert themed("fill:#123456") == "fill:#123456"
