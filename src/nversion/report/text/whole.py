"""Attacks on the program itself in the report: their table and their sentence."""

from __future__ import annotations

from collections.abc import Sequence

from nversion.report.text.tables import Cell, Column, Table
from nversion.report.values import MISSING, count, decimal, norm_name, percent, plural
from nversion.study.sections import (
    Results,
    Whole,
    WholeBudget,
    WholeDistances,
    WholeSubject,
)
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
        *(_budget(norm, whole.budget[norm]) for norm in norms if norm in whole.budget),
        *_checks(whole),
    ]
    return Table("", "Attacks on the program itself", columns, body, notes)


def _budget(norm: str, found: WholeBudget) -> str:
    """Say where the distance of the program of all versions goes."""
    name = norm_name(norm)
    said = (
        f"In {name} the linearised vote predicts a median of {decimal(found.predicted)} (measured: "
        f"{decimal(found.measured)}); the version that is alone the furthest stands at "
        f"{decimal(found.best_member)}, and a vote of versions all as far, with these directions, "
        f"would stand at {decimal(found.equal_members)}. The versions' gradients have a mean "
        f"pairwise cosine of {decimal(found.cosine, 2)}"
    )
    if found.cosine_for_twice is not None:
        said += f"; twice the best version's distance would need {found.cosine_for_twice:.2f}"
    said += "."
    if found.lost_to_alignment is not None and found.lost_to_inequality is not None:
        said += (
            f" Of what is lost against equal versions with gradients at right angles (in "
            f"logarithms), {percent(found.lost_to_alignment, 0)} is lost to aligned gradients and "
            f"{percent(found.lost_to_inequality, 0)} to unequal versions (medians over images)."
        )
    return said


def _checks(whole: Whole) -> list[str]:
    """Say what checks of the attacks found: all that did not pass, or that all did."""
    made = [check for check in whole.checks if check.passed is not None]
    if not made:
        return []
    failed = [check for check in made if not check.passed]
    on = (
        f"Checks of whether the attacks can be believed (Carlini et al. 2019; Pintor et al. 2022), "
        f"on {plural(whole.checked_images or 0, 'image')} and a program of "
        f"{plural(whole.checked_versions or 0, 'version')}"
    )
    if not failed:
        return [f"{on}: all {len(made)} passed."]
    told = "; ".join(f"{check.name}: {check.says}" for check in failed)
    return [f"{on}: {len(failed)} of {len(made)} did not pass. {told}"]


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
    return f"Does the vote withstand attacks on itself? {withstands_itself(results)}"
