"""The report as Markdown, and a study's results as a folder to publish.

The same tables and sentences as on the page, from the same results, for a repository or a wiki
where an HTML file is not shown. Results may come from anybody: all text from them is escaped, so
that it is shown as it is and makes no link, picture, heading, list or element.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from nversion.files import write_json, write_text
from nversion.reading import printable
from nversion.report.figures import FIGURES
from nversion.report.figures.drawing import WIDE, house_style
from nversion.report.figures.plots_front import both_attackers
from nversion.report.figures.standalone import standalone_svg
from nversion.report.page import FIGURE_FOLDER, write_report
from nversion.report.text import gap, replication, sentences, summary, tables, twins
from nversion.report.text.table_three import distillation_table
from nversion.report.text.tables import Cell, Table
from nversion.study.sections import Replicated, Results

__all__ = ["FRONT_FIGURE", "plain", "publish", "render_markdown", "render_replication"]

FRONT_FIGURE = "program.svg"
"""The file of a published study that holds the one figure for a front page."""

_TABLES: tuple[tuple[Callable[[Results], Table | None], Callable[[Results], str | None]], ...] = (
    (tables.attack_table, sentences.attack_effectiveness),
    (distillation_table, twins.student_against_baseline),
    (gap.gap_table, gap.certified_and_attacked),
    (tables.frequency_table, lambda results: None),
    (replication.arm_table, replication.concluded),
    (replication.added_table, lambda results: None),
    (replication.contrast_table, lambda results: None),
    (replication.cost_table, replication.saved),
    (tables.stage_table, sentences.stage_times),
    (tables.version_table, sentences.version_sizes),
)


def publish(results: Results, folder: str | Path, command: str = "") -> Path:
    """Write what others need of a study: page, figures, results and a README; return its path.

    Weights and images stay out. Files are replaced atomically.

    Args:
        results: of the study; whatever is missing is left out.
        folder: where to; made if need be.
        command: what made the results, to be printed in the README.
    """
    folder = Path(folder)
    page = write_report(results, folder)
    write_json(folder / "results.json", results.to_json())
    front = _write_front(results, folder / FRONT_FIGURE)
    readme = folder / "README.md"
    drawn = [key for key in FIGURES if (folder / FIGURE_FOLDER / f"{key}.svg").is_file()]
    write_text(readme, render_markdown(results, command, drawn, page.name, front))
    return readme


def _write_front(results: Results, path: Path) -> str:
    """Draw the one figure for a front page, and say what it shows; if none, leave none there."""
    with house_style(WIDE.font):
        drawing = both_attackers(results, WIDE)
    if drawing is None:
        path.unlink(missing_ok=True)
        return ""
    write_text(path, standalone_svg(drawing))
    return drawing.alt


def render_markdown(
    results: Results,
    command: str = "",
    figures: list[str] | None = None,
    page: str = "",
    front: str = "",
) -> str:
    """Return a study's report as Markdown.

    Args:
        results: of the study; whatever is missing is left out.
        command: what made the results.
        figures: keys of figures that lie in ``figures/`` beside the text.
        page: the name of the HTML page beside the text.
        front: what the figure for a front page shows, if it lies beside the text.
    """
    parts = [f"# {plain(summary.title(results))}", plain(summary.lede(results))]
    if command:
        parts.append(_console(printable(command)))
    facts = [f"* {plain(term)}: {plain(value)}" for term, value in summary.facts(results)]
    parts.append("\n".join(facts))
    if page:
        parts.append(
            f"The whole report is [{page}]({page}) (one file, to be opened in a browser), every "
            "number of it is in [results.json](results.json)."
        )
    if front:
        parts.append(f"![{plain(front)}]({FRONT_FIGURE})")
    if failed := summary.failures(results):
        lines = [f"* {plain(unit)}: {plain(error)}" for unit, error in failed]
        parts += ["## What failed", "\n".join(lines)]
    if asked := summary.questions(results):
        parts.append("## The study's questions")
        for one in asked:
            parts += [
                f"**{plain(one.question)}** {plain(one.answer)}",
                f"Rule: {plain(one.rule)}",
            ]
    for make, finding in _TABLES:
        table = make(results)
        if table is not None:
            parts += _section(table, finding(results))
    if figures:
        parts.append("## Figures")
        for key in figures:
            entry = FIGURES[key]
            parts += [f"### {entry.title}", f"![{entry.title}]({FIGURE_FOLDER}/{key}.svg)"]
    return "\n\n".join(part for part in parts if part) + "\n"


def render_replication(found: Replicated, command: str = "", figure: str = "") -> str:
    """Return a replication as Markdown: what follows from the tests, and every number of them.

    Args:
        found: the replication.
        command: what made it.
        figure: name of the figure's file beside the text.
    """
    results = Results(replication=found)
    settings = found.settings
    done = {arm: len(networks) for arm, networks in found.networks.items()}
    facts = {
        "networks": ", ".join(f"{count} {arm}" for arm, count in done.items()),
        "teachers": f"{len(found.versions)} versions, as many drawn anew for each pair, with "
        f"replacement, by {settings.get('voter')}",
        "architecture": "; ".join(str(settings.get("architecture", "")).split("\n")).strip("; "),
        "images": f"{settings.get('radius_images')} certified, {settings.get('box_images')} of "
        f"these for valid images too, {settings.get('attack_images')} attacked by "
        f"{', '.join(settings.get('attacks', ()))}",
        "seed": str(settings.get("seed")),
    }
    parts = ["# Does the vote's robustness pass to its student?"]
    if command:
        parts.append(_console(printable(command)))
    parts.append("\n".join(f"* {key}: {plain(value)}" for key, value in facts.items()))
    parts.append("## What follows from the tests")
    parts.append("\n".join(f"* {plain(sentence)}" for sentence in found.sentences))
    if figure:
        parts.append(f"![The difference within each pair, row by row]({figure})")
    for make, finding in (
        (replication.arm_table, None),
        (replication.added_table, None),
        (replication.contrast_table, None),
        (replication.cost_table, replication.saved(results)),
    ):
        table = make(results)
        if table is not None:
            parts += _section(table, finding)
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(table: Table, finding: str | None) -> list[str]:
    title = table.title
    heads = [
        " ".join(word for word in (plain(column.title), _group(column.group)) if word)
        for column in table.columns
    ]
    rule = ["---:" if column.numeric else "---" for column in table.columns]
    lines = [_row(heads), _row(rule), *(_row([_cell(cell) for cell in row]) for row in table.rows)]
    notes = [plain(note) for note in table.notes]
    return [f"## {plain(title)}", plain(finding or ""), "\n".join(lines), *notes]


def _group(title: str) -> str:
    return f"({plain(title)})" if title else ""


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell) -> str:
    # In a table of Markdown's, which breaks no numbers, all spaces are plain ones.
    written, note = (plain(" ".join(text.split())) for text in (cell.text, cell.note))
    return f"{written} ({note})" if note and written else written or note


_MEANINGFUL = re.compile(r"[\\`*_\[\]~|]")
_BEGINS_A_BLOCK = re.compile(r"^(\d*)(?=[-#+=.)])(?=[-#+=]*(?:[.)])?(?:\s|$))")
_SPACE = re.compile(r"[ \t\r\n\v\f\x85\u2028\u2029]+")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;"}
_ADDRESS = re.compile(r"(?i)(?<=www)\.|:(?=//)")


def plain(text: str) -> str:
    """Return text that Markdown shows as it is, on one line.

    What is written bare and still becomes a link (an address, a name after an @) does not either.
    """
    line = _SPACE.sub(" ", text).strip()
    line = re.sub("[&<>@]", lambda found: _ENTITIES[found[0]], line)
    line = _MEANINGFUL.sub(r"\\\g<0>", line)
    line = _ADDRESS.sub(lambda found: f"&#{ord(found[0])};", line)
    return _BEGINS_A_BLOCK.sub(r"\g<1>\\", line)


def _console(command: str) -> str:
    """Return a command as a block of code, fenced so that no part of it ends the block."""
    longest = max((len(run) for run in re.findall("`+", command)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}console\n$ {command}\n{fence}"
