"""The report as Markdown, and a study's results as a folder to publish.

The same tables and sentences as on the page, from the same results, for a repository or a wiki
where an HTML file is not shown.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nversion.files import write_json, write_text
from nversion.report import sentences, summary, tables
from nversion.report.figures import FIGURES
from nversion.report.page import FIGURE_FOLDER, write_report
from nversion.report.tables import Cell, Table
from nversion.report.values import Results, cleaned

__all__ = ["publish", "render_markdown"]

_TABLES: tuple[tuple[Callable[[Results], Table | None], Callable[[Results], str | None]], ...] = (
    (tables.attack_table, sentences.attack_effectiveness),
    (tables.distillation_table, sentences.student_against_baseline),
    (tables.frequency_table, lambda results: None),
    (tables.stage_table, sentences.stage_times),
    (tables.version_table, sentences.version_sizes),
)


def publish(results: Results, folder: Path, command: str = "") -> Path:
    """Write what others need of a study: page, figures, results and a README; return its path.

    Weights and images stay out. Files are replaced atomically.

    Args:
        results: what ``results.json`` holds.
        folder: where to; made if need be.
        command: what made the results, to be printed in the README.

    Raises:
        ArtefactError: the results are not a mapping.
    """
    page = write_report(results, folder)
    write_json(folder / "results.json", results)
    readme = folder / "README.md"
    drawn = [key for key in FIGURES if (folder / FIGURE_FOLDER / f"{key}.svg").is_file()]
    write_text(readme, render_markdown(results, command, drawn, page.name))
    return readme


def render_markdown(
    results: Results, command: str = "", figures: list[str] | None = None, page: str = ""
) -> str:
    """Return a study's report as Markdown.

    Args:
        results: what ``results.json`` holds; any key may be missing.
        command: what made the results.
        figures: keys of figures that lie in ``figures/`` beside the text.
        page: the name of the HTML page beside the text.
    """
    known = cleaned(results)
    parts = [f"# {summary.title(known)}", summary.lede(known)]
    if command:
        parts.append(f"```console\n$ {command}\n```")
    parts.append("\n".join(f"* {term}: {value}" for term, value in summary.facts(known)))
    if page:
        parts.append(
            f"The whole report is [{page}]({page}) (one file, to be opened in a browser), every "
            "number of it is in [results.json](results.json)."
        )
    if failed := summary.failures(known):
        lines = [f"* `{unit}`: {_plain(error)}" for unit, error in failed]
        parts += ["## What failed", "\n".join(lines)]
    if asked := summary.questions(known):
        parts.append("## The study's questions")
        parts += [f"**{_plain(entry.question)}** {_plain(entry.answer)}" for entry in asked]
    for make, finding in _TABLES:
        table = make(known)
        if table is not None:
            parts += _section(table, finding(known))
    if figures:
        parts.append("## Figures")
        for key in figures:
            entry = FIGURES[key]
            title = ": ".join(word for word in (entry.number, entry.title) if word)
            parts += [f"### {title}", f"![{title}]({FIGURE_FOLDER}/{key}.svg)"]
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(table: Table, finding: str | None) -> list[str]:
    title = ": ".join(word for word in (table.number, table.title) if word)
    heads = [
        " ".join(word for word in (_plain(column.title), _group(column.group)) if word)
        for column in table.columns
    ]
    rule = ["---:" if column.numeric else "---" for column in table.columns]
    lines = [_row(heads), _row(rule), *(_row([_cell(cell) for cell in row]) for row in table.rows)]
    return [f"## {title}", finding or "", "\n".join(lines), *table.notes]


def _group(title: str) -> str:
    return f"({_plain(title)})" if title else ""


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell) -> str:
    written = _plain(cell.text)
    return f"{written} ({_plain(cell.note)})" if cell.note and written else written or cell.note


def _plain(text: str) -> str:
    """Return text that Markdown does not take for a table's border or an element."""
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())
