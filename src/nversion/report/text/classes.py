"""Class by class: what program, best version, baseline and student get right, and confuse."""

from __future__ import annotations

from collections.abc import Sequence

from nversion.evaluation.clustered import FEWEST
from nversion.report.text.tables import Cell, Column, Table
from nversion.report.values import count, join, percent
from nversion.study.sections import ClassAnswers, Results

__all__ = ["class_table", "confusion_tables", "hardest"]

SHOWN = 20
"""Classes up to which confusions are shown class by class."""


def class_table(results: Results) -> Table | None:
    """Return the share of each class's test images that each gets right."""
    listed = results.by_class
    if not listed or not listed[0].confusion:
        return None
    names = _class_names(results, listed[0])
    columns = [
        Column("Class", numeric=False),
        Column("Test images"),
        *(Column(_called(one)) for one in listed),
    ]
    body = []
    for place, name in enumerate(names):
        images = _images(listed[0], place)
        few = f"fewer than {FEWEST}" if images < FEWEST else ""
        cells = [Cell(percent(_share(one, place)), style=one.kind) for one in listed]
        body.append([Cell(name), Cell(count(images), few), *cells])
    return Table("", "Test images by class", columns, body)


def hardest(results: Results) -> str | None:
    """Say which class the program gets wrong most often, and what it takes it for."""
    program = next((one for one in results.by_class if one.kind == "program"), None)
    if program is None or not program.confusion:
        return None
    names = _class_names(results, program)
    shares = {
        place: share for place in range(len(names)) if (share := _share(program, place)) is not None
    }
    if not shares:
        return None
    worst, best = min(shares, key=lambda n: shares[n]), max(shares, key=lambda n: shares[n])
    if shares[worst] == shares[best]:
        return f"The program is right on {percent(shares[best])} of the images of every class."
    row = program.confusion[worst]
    wrong = [(amount, place) for place, amount in enumerate(row) if place != worst and amount]
    most = max((amount for amount, _ in wrong), default=0)
    taken = join(names[place] for amount, place in wrong if amount == most)
    said = (
        f"The program is right least often on {names[worst]} ({percent(shares[worst])} of "
        f"{count(_images(program, worst))} images), most often on {names[best]} "
        f"({percent(shares[best])})"
    )
    return f"{said}; {names[worst]} is taken for {taken} most often." if taken else f"{said}."


def confusion_tables(results: Results) -> list[tuple[str, Table]]:
    """Return a table of confusions for each, by a key, where the classes are few enough to show."""
    return [
        (f"{one.kind}-confusion", _confusion(results, one))
        for one in results.by_class
        if 1 < len(one.confusion) <= SHOWN
    ]


def _confusion(results: Results, one: ClassAnswers) -> Table:
    names = _class_names(results, one)
    silent = any(one.abstained)
    group = "is taken for"
    columns = [Column("Class", numeric=False), *(Column(name, group=group) for name in names)]
    columns += [Column("no answer")] if silent else []
    body = []
    for place, (name, row) in enumerate(zip(names, one.confusion, strict=True)):
        cells = [
            Cell(count(amount) if amount else "\u00b7", style="sum" if answer == place else "")
            for answer, amount in enumerate(row)
        ]
        cells += [Cell(count(one.abstained[place]))] if silent else []
        body.append([Cell(name), *cells])
    return Table("", f"Confusions of {_named(one)}", columns, body)


def _called(one: ClassAnswers) -> str:
    return f"Version {one.name}" if one.kind == "version" else one.kind.title()


def _named(one: ClassAnswers) -> str:
    return f"version {one.name}" if one.kind == "version" else f"the {one.kind}"


def _class_names(results: Results, one: ClassAnswers) -> Sequence[str]:
    known = results.study.class_names or []
    classes = len(one.confusion)
    return known if len(known) == classes else [str(place) for place in range(classes)]


def _images(one: ClassAnswers, place: int) -> int:
    silent = one.abstained[place] if place < len(one.abstained) else 0
    return sum(one.confusion[place]) + silent


def _share(one: ClassAnswers, place: int) -> float | None:
    if place >= len(one.confusion) or place >= len(one.confusion[place]):
        return None
    images = _images(one, place)
    return one.confusion[place][place] / images if images else None
