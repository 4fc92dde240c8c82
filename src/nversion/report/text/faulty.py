"""The vote with faulty versions in the report: its table and its sentence."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from nversion.report.text.tables import Cell, Column, Table
from nversion.report.values import count, join, percent, plural
from nversion.study.sections import PlantedFault, PlantedFaults, Results

__all__ = ["KINDS", "fault_table", "faulty_versions", "unharmed"]

KINDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "silent": ("silent", "no voice: raises, crashes, hangs or gives NaN"),
        "constant": ("constant class", "names one class always, each its own, and was not found"),
        "stuck": ("stuck image", "sees one image always, all the same"),
        "lying": ("lying together", "names the most probable wrong class, all the same"),
    }
)
"""What the kinds of faults are called, and what they are."""

MOST_COLUMNS = 7
"""Numbers of faulty versions in the table; all are in the figure's data."""


def unharmed(curve: PlantedFault, counts: list[int]) -> int:
    """Return the largest number of faulty versions up to which nothing is lost that can be told.

    That is, the interval of what is right without faults reaches the mean with them.
    """
    safe = 0
    for number, right in zip(counts, curve.right, strict=True):
        if right < curve.right_low[0]:
            break
        safe = number
    return safe


def fault_table(results: Results) -> Table | None:
    """Return what votes get right and wrong, by kind, voter and number of faulty versions."""
    found = results.program.faults
    if found is None or not found.curves:
        return None
    places = _shown(found)
    body = []
    for curve in found.curves:
        name, words = KINDS.get(curve.kind, (curve.kind, ""))
        own = curve.voter == results.program.voter
        cells = [Cell(name, words), Cell(curve.voter, "the study's" if own else "")]
        cells += [
            Cell(percent(curve.right[place]), f"{percent(curve.wrong[place])} wrong")
            for place in places
        ]
        body.append(cells)
    columns = [
        Column("Fault", numeric=False),
        Column("Voter", numeric=False),
        *(Column(count(found.counts[place]), group="Faulty versions") for place in places),
    ]
    notes = [
        f"Right verdicts on {plural(found.images or 0, 'test image')}, in the mean over "
        f"{plural(found.orders or 0, 'random order')} in which the versions fail; below them the "
        "wrong ones, and the rest has no verdict. Below a quorum of "
        f"{count(found.quorum)} versions with a voice the program abstains. The faults are planted "
        "into what the versions answered; nversion inject plants them, and flipped bits of "
        "weights, crashes and hangs, into the versions themselves."
    ]
    return Table("", "The vote with faulty versions", columns, body, notes)


def _shown(found: PlantedFaults) -> list[int]:
    """Return the places of the numbers of faulty versions that the table has columns for."""
    places = list(range(len(found.counts)))
    if len(places) <= MOST_COLUMNS:
        return places
    step = (len(places) - 1) / (MOST_COLUMNS - 1)
    return [round(column * step) for column in range(MOST_COLUMNS)]


def faulty_versions(results: Results) -> str | None:
    """Say how many faulty versions the study's own voter bears, by kind."""
    found = results.program.faults
    own = [] if found is None else [c for c in found.curves if c.voter == results.program.voter]
    if found is None or not own or not own[0].right:
        return None
    versions = len(results.program.versions or []) or None
    of = "" if versions is None else f" of {count(versions)}"
    borne = [f"{count(unharmed(curve, found.counts))} {_do(curve.kind)}" for curve in own]
    worst = max(own, key=lambda curve: max(curve.wrong))
    place = worst.wrong.index(max(worst.wrong))
    return (
        f"{results.program.voter} is right on {percent(own[0].right[0])} without faults, and no "
        f"less often, as far as {plural(found.images or 0, 'image')} can tell, where{of} up to "
        f"{join(borne)}. It is wrong most often, on {percent(worst.wrong[place])}, where "
        f"{count(found.counts[place])} {_do(worst.kind)}."
    )


def _do(kind: str) -> str:
    """Return what faulty versions do, after their number."""
    done = {
        "silent": "have no voice",
        "constant": "name one class always",
        "stuck": "see one image always",
        "lying": "lie together",
    }
    return done.get(kind, f"have the fault {kind}")
