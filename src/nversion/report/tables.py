"""The report's tables, as values: columns, rows of cells, notes. The page turns them into HTML.

Tables II and III carry the numbers that they have in the study of 2019. On its dataset, MNIST,
they show its own numbers beside ours, in a muted column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from nversion.report.reference import Study2019, reference_for
from nversion.report.sentences import effectiveness_interval
from nversion.report.values import (
    MISSING,
    Results,
    count,
    decimal,
    duration,
    finite,
    interval,
    lookup,
    norm_name,
    percent,
    rounded_percent,
    rows,
    text,
)

__all__ = [
    "THEN",
    "Cell",
    "Column",
    "Table",
    "attack_table",
    "certificate_method",
    "frequency_table",
    "one_line",
    "stage_table",
    "version_table",
]

THEN = "Study of 2019"
"""The title of every column that holds the 2019 study's own numbers."""


@dataclass(frozen=True)
class Column:
    """A column: its title, whether it holds numbers, and the group whose title stands above it."""

    title: str
    numeric: bool = True
    group: str = ""
    muted: bool = False


@dataclass(frozen=True)
class Cell:
    """A cell: its text, a small second line, a bar of a share in [0, 1], and a style's name."""

    text: str
    note: str = ""
    bar: float | None = None
    style: str = ""


@dataclass(frozen=True)
class Table:
    """A table; the first cell of each row is its heading."""

    number: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = field(default=())

    @property
    def groups(self) -> list[tuple[str, int]]:
        """The titles above the columns, each with how many columns it spans."""
        spans: list[tuple[str, int]] = []
        for column in self.columns:
            if spans and spans[-1][0] == column.group:
                spans[-1] = (column.group, spans[-1][1] + 1)
            else:
                spans.append((column.group, 1))
        return spans if any(title for title, _ in spans) else []


def attack_table(results: Results) -> Table | None:
    """Return table II: how often each attack was tried and succeeded, and how far it had to go."""
    attacks = rows(results, "attacks")
    if not attacks:
        return None
    then = reference_for(results)
    distances = [
        (key, title)
        for key, title in (
            ("median_l0", "L0"),
            ("median_l1", "L1"),
            ("median_l2", "L2"),
            ("median_linf", "L∞"),
            ("median_rms", "RMS"),
            ("median_ssim", "SSIM"),
        )
        if any(finite(attack.get(key)) is not None for attack in attacks)
    ]
    columns = [
        Column("Attack", numeric=False),
        Column("Effectiveness"),
        *([Column(THEN, muted=True)] if then else []),
        Column("Succeeded"),
        Column("Tried"),
        *(Column(title, group="Median over the successes") for _, title in distances),
        Column("In the set", numeric=False),
    ]
    body = [_attack_row(attack, [key for key, _ in distances], then) for attack in attacks]
    notes = [
        "Effectiveness is the share of runs that succeeded, with its 95\u202f% Wilson interval, in "
        "which a test image that several versions were attacked on counts once; an image that the "
        "version already gets wrong is no success. Distances are in pixels of [0, 1]; RMS is the "
        "root mean square change per pixel, SSIM the structural similarity to the original."
    ]
    rule = text(results, "adversarial_set.perceptibility_rule")
    if rule:
        notes.append(f"Rule of the adversarial set: {rule.rstrip('.')}.")
    if then:
        notes.append(
            "The 2019 study tried each attack 1,300 times. It prints 73.23\u202f% for the gradient "
            "attack beside 939 successes, which are 72.23\u202f%. It left slsqp out because people "
            "saw the perturbation."
        )
    return Table("Table II", "The attacks", columns, body, notes)


def _attack_row(attack: Results, distances: Sequence[str], then: Study2019 | None) -> list[Cell]:
    share = finite(attack.get("effectiveness"))
    low, high = effectiveness_interval(attack)
    wrong = finite(attack.get("already_misclassified"))
    name = text(attack, "name") or MISSING
    norm, seconds = text(attack, "norm"), finite(attack.get("seconds"))
    about = (norm_name(norm) if norm else "", "" if seconds is None else duration(seconds))
    cells = [
        Cell(name, ", ".join(part for part in about if part)),
        Cell(percent(share), interval(low, high) if low is not None else "", bar=share),
    ]
    if then:
        published = then.effectiveness.get(name)
        left_out = "left out" if name == "slsqp" else MISSING
        cells.append(Cell(left_out if published is None else percent(published)))
    return [
        *cells,
        Cell(count(finite(attack.get("succeeded")))),
        Cell(count(finite(attack.get("tried"))), f"{count(wrong)} wrong before" if wrong else ""),
        *(Cell(decimal(finite(attack.get(key)))) for key in distances),
        _membership(attack),
    ]


def _membership(attack: Results) -> Cell:
    """Return whether an attack's images are in the adversarial set, and if not, why."""
    included = attack.get("in_adversarial_set")
    if included is None:
        return Cell(MISSING)
    if included:
        return Cell("yes")
    return Cell("no", text(attack, "reason") or "", style="left-out")


def frequency_table(results: Results) -> Table | None:
    """Return the adversarial frequency of baseline and student by attack."""
    found = {who: lookup(results, f"distillation.{who}.attacks") for who in ("baseline", "student")}
    known = {who: value for who, value in found.items() if isinstance(value, dict)}
    names = list(dict.fromkeys(str(name) for value in known.values() for name in value))
    if not names:
        return None
    body = [
        [
            Cell(name),
            *(
                Cell(percent(share := finite(known.get(who, {}).get(name))), bar=share, style=who)
                for who in ("baseline", "student")
            ),
        ]
        for name in names
    ]
    columns = [Column("Attack", numeric=False), Column("Baseline"), Column("Student")]
    return Table("", "Adversarial frequency by attack", columns, body)


def version_table(results: Results) -> Table | None:
    """Return the table of versions, the failed ones included."""
    listed = rows(results, "versions")
    if not listed:
        return None
    columns = [
        Column("Version", numeric=False),
        Column("No."),
        Column("Kind", numeric=False),
        Column("Parameters"),
        *(Column(title, group="Accuracy on") for title in ("training", "test", "adversarial")),
        *(Column(title, group="Images made against") for title in ("itself", "others")),
        Column("Seconds"),
        Column("Architecture", numeric=False),
    ]
    accuracies = (
        "train_accuracy",
        "test_accuracy",
        "adversarial_accuracy",
        "adversarial_accuracy_own",
        "adversarial_accuracy_others",
    )
    body = []
    for place, version in enumerate(listed, start=1):
        failed = version.get("status") == "failed"
        reason = text(version, "error") or "no reason was given"
        body.append(
            [
                Cell(
                    text(version, "name") or MISSING,
                    f"failed: {reason}" if failed else "",
                    style="failed" if failed else "",
                ),
                Cell(str(place)),
                Cell(text(version, "kind") or MISSING),
                Cell(count(finite(version.get("parameters")))),
                *(Cell(percent(finite(version.get(key)))) for key in accuracies),
                Cell(_seconds(version.get("seconds"))),
                Cell(one_line(text(version, "architecture")), style="code"),
            ]
        )
    return Table("", "All versions", columns, body)


def stage_table(results: Results) -> Table | None:
    """Return how long each stage took, as shares of the whole."""
    seconds = lookup(results, "study.wall_seconds")
    if not isinstance(seconds, dict):
        return None
    known = {str(stage): value for stage, value in seconds.items() if stage != "total"}
    total = finite(seconds.get("total")) or sum(finite(value) or 0.0 for value in known.values())
    if not known or not total:
        return None
    body = [
        [
            Cell(stage),
            Cell(duration(taken := finite(value))),
            Cell(rounded_percent(share := (taken or 0.0) / total), bar=share),
        ]
        for stage, value in known.items()
    ]
    body.append([Cell("all stages", style="sum"), Cell(duration(total), style="sum"), Cell("")])
    columns = [Column("Stage", numeric=False), Column("Wall-clock time"), Column("Share")]
    return Table("", "Time by stage", columns, body)


_METHODS = {
    "interval": "interval bounds: sound, loose",
    "linear": "backward linear relaxation: sound",
    "alpha": "backward linear relaxation with optimised slopes: sound",
}


def certificate_method(results: Results) -> str | None:
    """Return the name of the method behind the certified radii, with what it is worth."""
    method = text(results, "certification.method")
    return None if method is None else _METHODS.get(method, method)


def _seconds(value: object) -> str:
    seconds = finite(value)
    return MISSING if seconds is None else f"{seconds:,.1f}"


def one_line(architecture: str | None) -> str:
    """Write an architecture's text in one line, its layers parted by dots."""
    if architecture is None:
        return MISSING
    lines = (line.partition("#")[0] for line in architecture.splitlines())
    return " · ".join(" ".join(line.replace(",", " ").split()) for line in lines if line.strip())
