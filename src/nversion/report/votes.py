"""The certified vote in the report: its table and its sentence."""

from __future__ import annotations

from collections.abc import Sequence

from nversion.report.tables import Cell, Column, Table
from nversion.report.values import (
    MISSING,
    Results,
    count,
    decimal,
    infinite_radii,
    join,
    lookup,
    norm_name,
    number,
    percent,
    text,
)

__all__ = ["certified_votes", "vote_table"]


def vote_table(results: Results) -> Table | None:
    """Return the certified radii of the vote beside its best and its median version."""
    norms = lookup(results, "certification.program.norms")
    if not isinstance(norms, dict) or not norms:
        return None
    body = []
    for norm in sorted(map(str, norms)):
        path = f"certification.program.norms.{norm}"
        best = text(results, f"{path}.best_version.name") or MISSING
        body.append(
            [
                Cell(norm_name(norm)),
                *(
                    Cell(decimal(number(results, f"{path}.{key}")))
                    for key in ("program.mean", "best_version.mean", "median_version_mean")
                ),
                Cell(best),
                *(
                    Cell(percent(number(results, f"{path}.{key}"), 0))
                    for key in ("share_above_best", "share_above_median")
                ),
            ]
        )
    columns = [
        Column("Norm", numeric=False),
        Column("the vote", group="Mean certified radius"),
        Column("best version", group="Mean certified radius"),
        Column("median version", group="Mean certified radius"),
        Column("Best version", numeric=False),
        Column("the best version", group="Vote certified further than"),
        Column("the median", group="Vote certified further than"),
    ]
    names = lookup(results, "certification.program.versions")
    voting = len(names) if isinstance(names, list) else 0
    of = number(results, "certification.program.versions_of")
    who = "all versions vote"
    if of is not None and of > voting:
        who = f"the first {voting} of {int(of)} versions vote"
    images = count(number(results, "certification.program.images"))
    valid = text(results, "certification.program.domain") == "box"
    notes = [
        f"Certified on the first {images} test images, for certifying a vote costs two to three "
        f"times as much as certifying each of its versions; {who}, by "
        f"{text(results, 'certification.program.voter') or MISSING}; "
        f"{'changed images stay in [0, 1]' if valid else 'the plain ball'}. A radius is 0 where "
        "the image is misclassified.",
        *_infinite(results, sorted(map(str, norms))),
    ]
    return Table("", "Certified votes", columns, body, notes)


def _infinite(results: Results, norms: Sequence[str]) -> list[str]:
    """Return a note on the infinite radii, which the means leave out, if there are any."""
    said = []
    for norm in norms:
        path = f"certification.program.norms.{norm}"
        for who, words in (("program", "of the vote"), ("best_version", "of the best version")):
            if share := infinite_radii(results, f"{path}.{who}"):
                said.append(f"{share} {words} in {norm_name(norm)}")
    return [f"Infinite radii are not in the means: {join(said)}."] if said else []


def certified_votes(results: Results) -> str | None:
    """Say how far the vote is certified, beside its versions."""
    norms = lookup(results, "certification.program.norms")
    said = []
    for norm in sorted(map(str, norms)) if isinstance(norms, dict) else ():
        path = f"certification.program.norms.{norm}"
        voted, best, median = (
            number(results, f"{path}.{key}")
            for key in ("program.mean", "best_version.mean", "median_version_mean")
        )
        if voted is not None and best is not None and median is not None:
            said.append(
                f"in {norm_name(norm)} to {decimal(voted)} on average, the best version to "
                f"{decimal(best)}, the median version to {decimal(median)}"
                + (", infinite radii left out" if _infinite(results, [norm]) else "")
            )
    return f"The vote is certified {'; '.join(said)}." if said else None
