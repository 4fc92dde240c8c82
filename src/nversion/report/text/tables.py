"""The report's tables, as values: columns, rows of cells, notes. The page turns them into HTML.

Tables II and III carry the numbers that they have in the study of 2019. On its dataset, MNIST,
they show its own numbers beside ours, in a muted column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from nversion.attacks.kinds import KINDS, about, paper_of
from nversion.report.reference import Study2019, reference_for
from nversion.report.text.sentences import effectiveness_interval
from nversion.report.values import (
    MISSING,
    count,
    decimal,
    duration,
    interval,
    norm_name,
    percent,
    rounded_percent,
)
from nversion.study.sections import AttackRow, Results, VersionRow

__all__ = [
    "THEN",
    "Cell",
    "Column",
    "Table",
    "attack_table",
    "certificate_method",
    "described_attacks",
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
    """A table; the first cell of each row is its heading.

    Its number is the one that it has in the study of 2019, "" if it is not there.
    """

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
    attacks = results.attacks
    if not attacks:
        return None
    then = reference_for(results)
    distances = [
        title
        for title in _distances(attacks[0])
        if any(_distances(attack)[title] is not None for attack in attacks)
    ]
    columns = [
        Column("Attack", numeric=False),
        Column("Effectiveness"),
        *([Column(THEN, muted=True)] if then else []),
        Column("Succeeded"),
        Column("Tried"),
        *(Column(title, group="Median over the successes") for title in distances),
        Column("In the set", numeric=False),
    ]
    body = [_attack_row(attack, distances, then) for attack in attacks]
    notes = [
        "The norm is what an attack makes small. Effectiveness is the share of runs that "
        "succeeded, with its 95\u202f% Wilson interval, in "
        "which a test image that several versions were attacked on counts once; an image that the "
        "version already gets wrong is no success. Distances are in pixels of [0, 1]; RMS is the "
        "root mean square change per pixel, SSIM the structural similarity to the original."
    ]
    rule = results.adversarial_set.perceptibility_rule
    if rule:
        notes.append(f"Rule of the adversarial set: {rule.rstrip('.')}.")
    if then:
        notes.append(
            "In the study of 2019 this is table II. It tried each attack 1,300 times. It prints "
            "73.23\u202f% for the gradient "
            "attack beside 939 successes, which are 72.23\u202f%. It left slsqp out because people "
            "saw the perturbation."
        )
    return Table("Table II", "The attacks", columns, body, notes)


def _distances(attack: AttackRow) -> dict[str, float | None]:
    """Return an attack's median distances, by the titles of their columns."""
    return {
        "L0": attack.median_l0,
        "L1": attack.median_l1,
        "L2": attack.median_l2,
        "L∞": attack.median_linf,
        "RMS": attack.median_rms,
        "SSIM": attack.median_ssim,
    }


def _attack_row(attack: AttackRow, distances: Sequence[str], then: Study2019 | None) -> list[Cell]:
    share, wrong = attack.effectiveness, attack.already_misclassified
    low, high = effectiveness_interval(attack)
    name = attack.name or MISSING
    norm, seconds = attack.norm, attack.seconds
    facts = (norm_name(norm) if norm else "", "" if seconds is None else duration(seconds))
    cells = [
        Cell(name, ", ".join(part for part in facts if part)),
        Cell(percent(share), interval(low, high) if low is not None else "", bar=share),
    ]
    if then:
        published = then.effectiveness.get(name)
        left_out = "left out" if name == "slsqp" else MISSING
        cells.append(Cell(left_out if published is None else percent(published)))
    return [
        *cells,
        Cell(count(attack.succeeded)),
        Cell(count(attack.tried), f"{count(wrong)} wrong before" if wrong else ""),
        *(Cell(decimal(_distances(attack)[title])) for title in distances),
        _membership(attack),
    ]


def described_attacks(results: Results) -> Table | None:
    """Return what each attack is: its type, its norm, what it does, and where it was published."""
    listed = [attack for attack in results.attacks if attack.name]
    if not listed:
        return None
    columns = [
        Column(title, numeric=False) for title in ("Attack", "Type", "Norm", "It ...", "Paper")
    ]
    body = [
        [
            Cell(name),
            Cell(about(name).kind, KINDS[about(name).kind]),
            Cell(norm_name(attack.norm) if attack.norm else MISSING),
            Cell(about(name).line or MISSING),
            Cell(paper_of(name) or MISSING),
        ]
        for attack in listed
        for name in [attack.name or ""]
    ]
    return Table("", "What the attacks do", columns, body)


def _membership(attack: AttackRow) -> Cell:
    """Return whether an attack's images are in the adversarial set, and if not, why."""
    if attack.in_adversarial_set is None:
        return Cell(MISSING)
    if attack.in_adversarial_set:
        return Cell("yes")
    return Cell("no", attack.reason or "", style="left-out")


def frequency_table(results: Results) -> Table | None:
    """Return the adversarial frequency of baseline and student by attack."""
    twins = results.distillation
    known = {"baseline": twins.baseline.attacks, "student": twins.student.attacks}
    names = list(dict.fromkeys(name for value in known.values() for name in value))
    if not names:
        return None
    body = [
        [
            Cell(name),
            *(
                Cell(percent(share := shares.get(name)), bar=share, style=who)
                for who, shares in known.items()
            ),
        ]
        for name in names
    ]
    columns = [Column("Attack", numeric=False), Column("Baseline"), Column("Student")]
    return Table("", "Adversarial frequency by attack", columns, body)


def version_table(results: Results) -> Table | None:
    """Return the table of versions, the failed ones included."""
    listed = results.versions
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
        Column("Architecture, or the file it is from", numeric=False),
    ]
    body = [_version_row(place, version) for place, version in enumerate(listed, start=1)]
    return Table("", "All versions", columns, body)


def _version_row(place: int, version: VersionRow) -> list[Cell]:
    accuracies = (
        version.train_accuracy,
        version.test_accuracy,
        version.adversarial_accuracy,
        version.adversarial_accuracy_own,
        version.adversarial_accuracy_others,
    )
    reason = version.error or "no reason was given"
    return [
        Cell(
            version.name or MISSING,
            f"failed: {reason}" if version.failed else "",
            style="failed" if version.failed else "",
        ),
        Cell(str(place)),
        Cell(version.kind or MISSING),
        Cell(count(version.parameters)),
        *(Cell(percent(accuracy)) for accuracy in accuracies),
        Cell(MISSING if version.seconds is None else f"{version.seconds:,.1f}"),
        _whence(version),
    ]


def _whence(version: VersionRow) -> Cell:
    """Return what a version was built of, or the file it is from, with what is odd about it."""
    origin = version.origin
    if origin is None:
        return Cell(one_line(version.architecture), style="code")
    parts = [origin.file or MISSING]
    parts += [origin.format] if origin.format else []
    parts += [f"SHA-256 {origin.sha256[:12]}…"] if origin.sha256 else []
    return Cell(", ".join(parts), "; ".join(origin.doubts))


def stage_table(results: Results) -> Table | None:
    """Return how long each stage took, as shares of the whole."""
    seconds = results.study.wall_seconds
    known = {stage: taken for stage, taken in seconds.items() if stage != "total"}
    total = seconds.get("total") or sum(known.values())
    if not known or not total:
        return None
    body = [
        [
            Cell(stage),
            Cell(duration(taken)),
            Cell(rounded_percent(share := taken / total), bar=share),
        ]
        for stage, taken in known.items()
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
    method = results.certification.method
    return None if method is None else _METHODS.get(method, method)


def one_line(architecture: str | None) -> str:
    """Write an architecture's text in one line, its layers parted by dots."""
    if architecture is None:
        return MISSING
    lines = (line.partition("#")[0] for line in architecture.splitlines())
    return " · ".join(" ".join(line.replace(",", " ").split()) for line in lines if line.strip())
