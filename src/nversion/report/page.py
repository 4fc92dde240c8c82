"""The report as one HTML page: what stands where, and the files it is written to.

The page needs nothing but itself: style, figures, their data and one small script are inside, and a
content policy forbids the browser to load anything and to run any other script. It reads and prints
the same without scripts. All text from results is escaped.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from nversion.errors import NVersionError
from nversion.files import replacing, write_text
from nversion.report.blocks import FigureBlock, Section, TableBlock, data_link, numbered
from nversion.report.figures import FIGURES, draw
from nversion.report.figures.data import figure_csv
from nversion.report.figures.drawing import NARROW, WIDE, Drawing
from nversion.report.figures.overview import overview
from nversion.report.figures.svg import inline_svg
from nversion.report.reference import figure_note, reference_for
from nversion.report.styles import style_sheet, template
from nversion.report.text import (
    classes,
    faulty,
    gap,
    intro,
    reliability,
    replication,
    sentences,
    summary,
    tables,
    twins,
    votes,
    whole,
)
from nversion.report.text.table_three import distillation_table
from nversion.report.text.tables import Table
from nversion.report.values import plural, unbroken
from nversion.study.finished import open_study
from nversion.study.sections import Results

__all__ = ["FIGURE_FOLDER", "Drawings", "draw_all", "former_reports", "render", "write_report"]

FIGURE_FOLDER = "figures"

Drawings: TypeAlias = dict[str, tuple[Drawing, Drawing]]
"""Each figure, by its key: for a wide and for a narrow screen."""

_SENTENCES: dict[str, Callable[[Results], str | None]] = {
    "figure-2-test-accuracy": sentences.test_accuracy,
    "figure-3-attacks": sentences.attack_example,
    "figure-4-adversarial-accuracy": sentences.adversarial_drop,
    "figure-4b-correlation": sentences.correlation,
    "figure-5-program": sentences.program_gain,
    "figure-6-student": sentences.student_rank,
    "figure-7-transfer": sentences.transfer,
    "figure-8-certified": gap.certified_and_attacked,
    "figure-9-whole": whole.whole_program,
    "figure-10-pairs": reliability.correlated,
    "figure-11-coincident": reliability.coincident,
    "figure-12-growth": reliability.predicted,
    "figure-13-coverage": reliability.covered,
    "figure-14-faults": faulty.faulty_versions,
    "figure-15-replication": replication.concluded,
}


def write_report(results: Results, folder: str | Path) -> Path:
    """Write the report of a study and return the path of its page.

    The folder gets ``index.html``, one self-contained file, and every figure as PNG and SVG in
    ``figures/``. Files are replaced atomically; the same results give the same bytes.

    Args:
        results: of the study; whatever is missing is left out.
        folder: the study's report folder, made if need be.
    """
    folder, drawings = Path(folder), draw_all(results)
    for key in FIGURES:
        path = folder / FIGURE_FOLDER / key
        if key in drawings:
            wide, _ = drawings[key]
            write_text(path.with_suffix(".svg"), wide.svg)
            with replacing(path.with_suffix(".png")) as temporary:
                temporary.write_bytes(wide.png())
        else:
            for ending in (".svg", ".png"):
                path.with_suffix(ending).unlink(missing_ok=True)
    page = folder / "index.html"
    write_text(page, render(results, drawings, former_reports(folder)))
    return page


def former_reports(folder: Path) -> list[tuple[str, str]]:
    """Return the reports of a study's former settings beside its own: their links, and of what."""
    found = []
    for page in sorted((folder / "former").glob("*/index.html")):
        try:
            study = open_study(page.parent).results.study
        except NVersionError:  # It shows nothing that could be compared.
            continue
        known = [
            study.dataset or "",
            "" if study.versions is None else plural(study.versions, "version"),
            study.recipe or "",
            study.voter or "",
            "" if study.seed is None else f"seed {study.seed}",
        ]
        words = ", ".join(word for word in known if word) or page.parent.name
        found.append((f"former/{quote(page.parent.name)}/{page.name}", words))
    return found


def draw_all(results: Results) -> Drawings:
    """Draw every figure that the results support, wide and narrow."""
    found = {key: (draw(results, key, WIDE), draw(results, key, NARROW)) for key in FIGURES}
    return {key: (wide, narrow) for key, (wide, narrow) in found.items() if wide and narrow}


def render(results: Results, drawings: Drawings, former: Sequence[tuple[str, str]] = ()) -> str:
    """Return the report's page as HTML.

    Args:
        results: of the study.
        drawings: the figures to show, from :func:`draw_all`.
        former: links to the reports of former settings, each with what it is of.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("nversion.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = Markup(template("report.js"))
    link = intro.Linker()
    return environment.get_template("report.html").render(
        introduction=link(intro.INTRODUCTION) if results.versions else "",
        pictures=[Markup(overview(results, narrow=narrow)) for narrow in (False, True)],
        scant=intro.scant(results),
        glossary=intro.WORDS,
        link=link,
        script=script,
        script_hash=_hash(script),
        title=summary.title(results),
        lede=summary.lede(results),
        facts=summary.facts(results),
        failures=summary.failures(results),
        questions=summary.questions(results),
        tiles=summary.key_numbers(results),
        sections=numbered(_sections(results, drawings), figures=1 if results.versions else 0),
        networks=summary.networks(results),
        config=summary.config(results),
        former=former,
        with_2019=reference_for(results) is not None,
        styles=style_sheet(),
    )


def _sections(results: Results, drawings: Drawings) -> list[Section]:
    few = len(results.versions) <= 12

    def figure(key: str) -> list[FigureBlock | TableBlock]:
        return [_figure(results, key, *drawings[key])] if key in drawings else []

    return [
        Section(
            "versions",
            "The versions",
            [
                *figure("figure-2-test-accuracy"),
                *_table(
                    "table-versions",
                    tables.version_table(results),
                    sentences.version_sizes(results),
                    folded="Show every version",
                    unfolded=few,
                ),
            ],
        ),
        Section(
            "adversarial-images",
            "The adversarial images",
            [
                *_table("table-what-attacks-do", tables.described_attacks(results), None),
                *figure("figure-3-attacks"),
                *_table(
                    "table-2-attacks",
                    tables.attack_table(results),
                    sentences.attack_effectiveness(results),
                ),
                *figure("figure-4-adversarial-accuracy"),
                *figure("figure-4b-correlation"),
                *figure("figure-7-transfer"),
            ],
        ),
        Section(
            "program",
            "The program",
            [
                *figure("figure-5-program"),
                *figure("figure-9-whole"),
                *_table("table-whole", whole.whole_table(results), None),
                *_table(
                    "table-certified-votes",
                    votes.vote_table(results),
                    votes.certified_votes(results),
                ),
                *_table("table-classes", classes.class_table(results), classes.hardest(results)),
                *(
                    block
                    for key, table in classes.confusion_tables(results)
                    for block in _table(f"table-{key}", table, None, folded="Show the confusions")
                ),
            ],
        ),
        Section(
            "reliability",
            "How the versions fail together",
            [
                *_table(
                    "table-measures",
                    reliability.measure_table(results),
                    reliability.measured(results),
                ),
                *figure("figure-10-pairs"),
                *figure("figure-11-coincident"),
                *figure("figure-12-growth"),
                *figure("figure-13-coverage"),
                *_table(
                    "table-voters",
                    reliability.voter_table(results),
                    None,
                    folded="Show every voter",
                ),
                *figure("figure-14-faults"),
                *_table(
                    "table-faults",
                    faulty.fault_table(results),
                    None,
                    folded="Show the numbers",
                ),
                *_table(
                    "table-choice",
                    reliability.choice_table(results),
                    reliability.chosen(results),
                ),
            ],
        ),
        Section(
            "student",
            "The student",
            [
                *figure("figure-6-student"),
                *_table(
                    "table-3-student",
                    distillation_table(results),
                    twins.student_against_baseline(results),
                ),
                *_table(
                    "table-frequency",
                    tables.frequency_table(results),
                    None,
                    folded="Show the adversarial frequency by attack",
                ),
                *figure("figure-8-certified"),
                *_table("table-gap", gap.gap_table(results), None),
                *figure("figure-15-replication"),
                *_table("table-arms", replication.arm_table(results), None),
                *_table("table-added", replication.added_table(results), None),
                *_table(
                    "table-contrasts",
                    replication.contrast_table(results),
                    None,
                    folded="Show every test",
                ),
                *_table("table-costs", replication.cost_table(results), replication.saved(results)),
            ],
        ),
        Section(
            "run",
            "How it was run",
            _table("table-stages", tables.stage_table(results), sentences.stage_times(results)),
        ),
    ]


def _figure(results: Results, key: str, wide: Drawing, narrow: Drawing) -> FigureBlock:
    entry = FIGURES[key]
    return FigureBlock(
        key,
        entry.title,
        _said(_SENTENCES[key](results)),
        figure_note(results, key),
        Markup(inline_svg(wide, f"{key}-w", "wide")),
        Markup(inline_svg(narrow, f"{key}-n", "narrow")),
        data_link("image/svg+xml", wide.svg),
        data_link("text/csv", figure_csv(wide)),
    )


def _table(
    key: str, table: Table | None, finding: str | None, *, folded: str = "", unfolded: bool = False
) -> list[FigureBlock | TableBlock]:
    return [] if table is None else [TableBlock(key, table, _said(finding), folded, unfolded)]


def _said(finding: str | None) -> str | None:
    return None if finding is None else unbroken(finding)


def _hash(script: str) -> str:
    """Return the hash by which the page's content policy knows its script."""
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode()
