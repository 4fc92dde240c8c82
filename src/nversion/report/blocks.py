"""What the report's page is made of: sections, and in them figures and tables with their numbers.

Numbers follow the page. Those that figures and tables have in the study of 2019 are said beside
them, and only where its dataset is shown.
"""

from __future__ import annotations

import base64
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from markupsafe import Markup

from nversion.report.figures.data import csv_text
from nversion.report.text.tables import Table

__all__ = ["FigureBlock", "Section", "TableBlock", "data_link", "numbered", "row_ids"]

TALL = 15
"""Rows from which on a table scrolls under its own heads."""


@dataclass(frozen=True)
class FigureBlock:
    """A figure on the page, drawn for a wide and for a narrow screen, with what it can be had as.

    Attributes:
        key: of its files.
        title: above it.
        finding: what it shows, in a sentence; None where there is nothing to say.
        then: what the study of 2019 reported on its matter.
        wide: the drawing for a wide screen.
        narrow: that for a narrow one.
        svg: the wide one as a file, in a link.
        csv: its data as a file, in a link; "" where it shows pictures alone.
        number: such as "Figure 3", its place on the page.
    """

    key: str
    title: str
    finding: str | None
    then: str | None
    wide: Markup
    narrow: Markup
    svg: str = ""
    csv: str = ""
    number: str = ""
    kind: str = "figure"


@dataclass(frozen=True)
class TableBlock:
    """A table on the page; folded away where `folded` names what the fold holds."""

    key: str
    table: Table
    finding: str | None
    folded: str = ""
    open: bool = False
    number: str = ""
    kind: str = "table"

    @property
    def ids(self) -> list[str]:
        """An id for each row."""
        return row_ids(self.key, [row[0].text for row in self.table.rows])

    @property
    def tall(self) -> bool:
        """Whether it has so many rows that its heads have to stay in sight."""
        return len(self.table.rows) > TALL

    @property
    def csv(self) -> str:
        """Its cells as a CSV file, in a link."""
        heads = [
            " ".join(word for word in (column.group, column.title) if word)
            for column in self.table.columns
        ]
        rows = [
            [f"{cell.text} ({cell.note})" if cell.note else cell.text for cell in row]
            for row in self.table.rows
        ]
        return data_link("text/csv", csv_text(heads, rows))


@dataclass
class Section:
    """A section of the page."""

    key: str
    title: str
    blocks: list[FigureBlock | TableBlock] = field(default_factory=list)


def numbered(sections: Sequence[Section], figures: int = 0) -> list[Section]:
    """Return the sections that hold something, figures and tables numbered in their order.

    Args:
        sections: of the page.
        figures: that stand before them.
    """
    counts = {"figure": figures, "table": 0}
    found = []
    for section in sections:
        blocks = []
        for block in section.blocks:
            counts[block.kind] += 1
            blocks.append(replace(block, number=f"{block.kind.title()} {counts[block.kind]}"))
        if blocks:
            found.append(Section(section.key, section.title, blocks))
    return found


def data_link(kind: str, text: str) -> str:
    """Return a file of text as a link that holds it; "" for no text."""
    encoded = base64.b64encode(text.encode("utf-8", "replace")).decode()
    return f"data:{kind};charset=utf-8;base64,{encoded}" if text else ""


def row_ids(key: str, names: Sequence[str]) -> list[str]:
    """Return an id for each row of a table: of its name as far as that is plain, each once."""
    found: list[str] = []
    for place, name in enumerate(names, start=1):
        plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
        slug = re.sub("[^a-z0-9]+", "-", plain).strip("-")[:40] or str(place)
        identity = f"{key}-{slug}"
        found.append(identity if identity not in found else f"{identity}--{place}")
    return found
