"""Attacks on the program itself in the report: their table and their sentence."""

from __future__ import annotations

from collections.abc import Sequence

from nversion.report.text.tables import Cell, Column, Table
from nversion.report.values import MISSING, count, norm_name, percent
from nversion.study.sections import Results, Whole, WholeDistances, WholeSubject
from nversion.study.whole_answer import withstands_itself

__all__ = ["grown", "main_subjects", "median_words", "whole_program", "whole_table"]


def grown(subjects: Sequence[WholeSubject]) -> list[int]:
    """Return the numbers of versions of the programs that were attacked, in order."""
    return sorted(one.versions for one in subjects if one.kind == "program")


def main_subjects(whole: Whole) -> list[WholeSubject]:
    """Return the program of all versions, the baseline and the student."""
    largest = grown(whole.subjects)[-1]
    return [
        one
        for one in whole.subjects
        if one.kind in ("baseline", "student")
        or (one.kind == "program" and one.versions == largest)
    ]


def median_words(found: WholeDistances) -> str:
    """Return a median with its interval, in words."""
    if found.median is None:
        return "withstood on half of the images or more"
    low = "0" if found.low is None else f"{found.low:.3f}"
    high = "∞" if found.high is None else f"{found.high:.3f}"
    return f"{found.median:.3f} [{low}, {high}]"


def whole_table(results: Results) -> Table | None:
    """Return what it takes to fool the program itself, beside its versions and the networks."""
    whole = results.program.whole
    if whole is None or not whole.subjects:
        return None
    norms = [norm for norm in ("2", "inf") if norm in whole.subjects[0].norms]
    columns = [Column("Attacked itself", numeric=False)]
    for norm in norms:
        group = f"Smallest change in {norm_name(norm)}"
        columns.append(Column("median", group=group))
        held = whole.subjects[0].norms[norm].holding
        columns += [Column(f"hold at {one.radius:g}", group=group) for one in held]
        columns.append(Column("found by", numeric=False, group=group))
    body = [_row(subject, norms) for subject in whole.subjects]
    notes = [
        f"On {count(whole.images)} test images, the same for all, drawn at random; every subject "
        "is attacked by all means known here for votes, with knowledge of every member, and the "
        "smallest change of all attacks counts. A distance is 0 where the subject was wrong "
        "before. Medians have the interval of the order statistics. An attack that was not tried "
        "may find less, so that shares that hold are at most that.",
    ]
    return Table("", "Attacks on the program itself", columns, body, notes)


def _row(subject: WholeSubject, norms: Sequence[str]) -> list[Cell]:
    names = {"version": f"version {subject.name}"}
    cells = [Cell(names.get(subject.kind, subject.name or MISSING))]
    for norm in norms:
        found = subject.norms[norm]
        cells.append(Cell(median_words(found) if found.distances else MISSING))
        cells += [Cell(percent(one.value, 0)) for one in found.holding]
        cells.append(Cell(next(iter(found.found_by), MISSING)))
    return cells


def whole_program(results: Results) -> str | None:
    """Say how far the program is from falling when it is the target."""
    whole = results.program.whole
    if whole is None or not whole.subjects:
        return None
    return f"When the vote itself is attacked: {withstands_itself(results)}"
