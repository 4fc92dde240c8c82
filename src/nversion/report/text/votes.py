"""The certified vote in the report: its table and its sentence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nversion.report.text.tables import Cell, Column, Table
from nversion.report.values import MISSING, count, decimal, infinite_radii, join, norm_name, percent
from nversion.study.sections import Results, VoteRadii

__all__ = ["certified_votes", "vote_table"]


def vote_table(results: Results) -> Table | None:
    """Return the certified radii of the vote beside its best and its median version."""
    voted = results.certification.program
    if voted is None or not voted.norms:
        return None
    norms = sorted(voted.norms.items())
    body = [
        [
            Cell(norm_name(norm)),
            *(Cell(decimal(mean)) for mean in _means(radii)),
            Cell(radii.best_version.name or MISSING),
            Cell(percent(radii.share_above_best, 0)),
            Cell(percent(radii.share_above_median, 0)),
        ]
        for norm, radii in norms
    ]
    columns = [
        Column("Norm", numeric=False),
        Column("the vote", group="Mean certified radius"),
        Column("best version", group="Mean certified radius"),
        Column("median version", group="Mean certified radius"),
        Column("Best version", numeric=False),
        Column("the best version", group="Vote certified further than"),
        Column("the median", group="Vote certified further than"),
    ]
    voting, of = len(voted.versions or ()), voted.versions_of
    who = "all versions vote"
    if of is not None and of > voting:
        who = _who(results, voted.versions or [], of)
    valid = voted.domain == "box"
    notes = [
        f"Certified on the first {count(voted.images)} test images, for certifying a vote costs "
        f"two to three times as much as certifying each of its versions; {who}, by "
        f"{voted.voter or MISSING}; "
        f"{'changed images stay in [0, 1]' if valid else 'the plain ball'}. A radius is 0 where "
        "the image is misclassified.",
        *_infinite(norms),
    ]
    return Table("", "Certified votes", columns, body, notes)


def _who(results: Results, voting: Sequence[str], of: int) -> str:
    """Say which versions vote, where that are not all."""
    known = [version.name for _, version in results.trained][: len(voting)]
    if not known or known == list(voting):
        return f"the first {len(voting)} of {of} versions vote"
    return f"{len(voting)} of {of} versions vote, which could be certified: {', '.join(voting)}"


def _means(radii: VoteRadii) -> tuple[float | None, float | None, float | None]:
    """Return the mean radii of the vote, the best version and the median version."""
    return radii.program.mean, radii.best_version.mean, radii.median_version_mean


def _infinite(norms: Iterable[tuple[str, VoteRadii]]) -> list[str]:
    """Return a note on the infinite radii, which the means leave out, if there are any."""
    said = []
    for norm, radii in norms:
        for own, words in ((radii.program, "vote"), (radii.best_version, "best version")):
            if share := infinite_radii(own):
                said.append(f"{share} of the {words} in {norm_name(norm)}")
    return [f"Infinite radii are not in the means: {join(said)}."] if said else []


def certified_votes(results: Results) -> str | None:
    """Say how far the vote is certified, beside its versions."""
    certified = results.certification.program
    said = []
    for norm, radii in sorted(certified.norms.items()) if certified else ():
        voted, best, median = _means(radii)
        if voted is not None and best is not None and median is not None:
            said.append(
                f"in {norm_name(norm)} to {decimal(voted)} on average, the best version to "
                f"{decimal(best)}, the median version to {decimal(median)}"
                + (", infinite radii left out" if _infinite([(norm, radii)]) else "")
            )
    return f"The vote is certified {'; '.join(said)}." if said else None
