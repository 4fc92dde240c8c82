"""The style sheet of pages: the report's, and those of comparisons."""

from __future__ import annotations

from importlib import resources

from markupsafe import Markup

from nversion.report.figures.palette import ROLES

__all__ = ["style_sheet", "template"]


def template(name: str) -> str:
    """Return the text of a file that pages are made of."""
    return resources.files("nversion.report").joinpath("templates", name).read_text("utf-8")


def style_sheet() -> Markup:
    """Return the style sheet, with a variable for each colour of the palette."""
    light, dark = (
        "".join(f"--{role.name}:{getattr(role, theme)};" for role in ROLES)
        for theme in ("light", "dark")
    )
    return Markup(
        f":root{{{light}}}\n@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"
        + template("report.css")
    )
