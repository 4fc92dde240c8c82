"""Table III: the baseline against the student in every measure, and by how much they differ.

On MNIST it shows the numbers of the study of 2019 beside ours, in muted columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nversion.report.reference import Study2019, reference_for
from nversion.report.text.tables import THEN, Cell, Column, Table, certificate_method
from nversion.report.text.twins import comparison_of, favour, radii_of, value_of
from nversion.report.values import (
    MISSING,
    count,
    decimal,
    infinite_radii,
    join,
    norm_name,
    ordinal,
    percent,
)
from nversion.study.sections import Results

__all__ = ["distillation_table"]


@dataclass(frozen=True)
class Measured:
    """A row of table III before it is compared: its key, its heading, and the two values."""

    key: str
    title: str
    note: str
    baseline: float | None
    student: float | None


def distillation_table(results: Results) -> Table | None:
    """Return table III: the baseline against the student in every measure."""
    twins = results.distillation
    if not (twins.baseline.model_fields_set or twins.student.model_fields_set):
        return None
    then = reference_for(results)
    columns = [
        Column("Measure", numeric=False),
        Column("Baseline"),
        Column("Student"),
        Column("Difference"),
        Column("In favour of", numeric=False),
        *(Column(who, group=THEN, muted=True) for who in ("Baseline", "Student") if then),
    ]
    method = certificate_method(results)
    images = count(results.certification.images)
    # Where radii against one random target are there, the numbers of 2019 stand beside those.
    shown = then and (then.without_radii() if _drawn(results) else then)
    certified = f"mean over {images} images" if images != MISSING else ""
    body = [
        _measure(results, then, "test_accuracy", "Test accuracy"),
        *(
            _measure(
                results,
                shown,
                f"certified_l{norm}",
                f"Certified radius, L{norm}",
                certified + _infinite(results, f"certified_l{norm}"),
            )
            for norm in (1, 2)
        ),
        *_random_target_measures(results, then),
        *_box_measures(results, then),
        _measure(results, then, "adversarial_accuracy", "Adversarial accuracy"),
        _measure(
            results, then, "adversarial_frequency", "Adversarial frequency", "lower is better"
        ),
    ]
    rank, of = twins.student_rank, twins.rank_of
    if rank is not None and of is not None:
        place = f"{ordinal(rank)} of {of}"
        row = [
            Cell("Rank", "by adversarial accuracy; versions carry the images made against them"),
            Cell(""),
            Cell(place),
            Cell(""),
            Cell(""),
        ]
        if then:
            row += [Cell(""), Cell(f"{ordinal(then.student_rank)} of {then.rank_of}")]
        body.append(row)
    notes = []
    if twins.comparison:
        notes.append(
            "Below each difference stands its 95\u202f% interval, by the bootstrap over test "
            "images. The p-values are of a permutation test in which whole test images change "
            "sides, with Holm's correction for the number of rows. Below 30 test images there are "
            "too few to say."
        )
    if method:
        notes.append(
            f"Certificates by {method}. A radius is a lower bound on the distance to the nearest "
            "misclassified image, in pixel range [0, 1]; it is 0 where the image is misclassified."
        )
    if _drawn(results):
        notes.append(
            "Against one random target: the protocol of 2019. One class is drawn for each image, "
            "never the runner-up nor the least likely, and only it has to stay below the label. "
            "Such a radius is larger and no proof that the class stays; it is given in the plain "
            "ball, with the untargeted mean on the same images."
        )
    if then:
        notes.append(
            "In the study of 2019 this is table III. Its radii are CNN-Cert's, for one random "
            "target class an image, misclassified images left out. Its script fed CNN-Cert images "
            "shifted to [-0.5, 0.5] while the networks had learnt [0, 1], so they bound another "
            "function than the one that was "
            "deployed."
        )
    return Table("Table III", "Baseline and student", columns, body, notes)


def _measure(
    results: Results, then: Study2019 | None, key: str, title: str, note: str = ""
) -> list[Cell]:
    twins = results.distillation
    baseline, student = value_of(twins.baseline, key), value_of(twins.student, key)
    cells = _pair(results, Measured(key, title, note, baseline, student))
    if then:
        cells += [_then(who, key) for who in (then.baseline, then.student)]
    return cells


def _then(who: Mapping[str, float], key: str) -> Cell:
    if key not in who:
        return Cell(MISSING)
    return Cell(f"{who[key]:.4f}" if key.startswith("certified") else percent(who[key]))


def _drawn(results: Results) -> list[str]:
    """Return the norms with radii against one random target."""
    return sorted(results.certification.norms_random_target)


def _random_target_measures(results: Results, then: Study2019 | None) -> list[list[Cell]]:
    """Return the rows of the radii by the protocol of 2019, where they were computed."""
    images = count(results.certification.random_target_images)
    body = []
    for norm in _drawn(results):
        pair = results.certification.norms_random_target[norm]
        baseline, student = pair.baseline.mean, pair.student.mean
        same = [radii.untargeted_mean for radii in (pair.baseline, pair.student)]
        note = f"against one random target; mean over {images} images"
        if None not in same:
            note += f"; untargeted there {decimal(same[0])} and {decimal(same[1])}"
        title = f"Certified radius, {norm_name(norm)}"
        key = f"certified_l{norm}_random_target"
        note += _infinite(results, key)
        row = _pair(results, Measured(key, title, note, baseline, student))
        if then:
            row += [_then(who, f"certified_l{norm}") for who in (then.baseline, then.student)]
        body.append(row)
    return body


def _box_measures(results: Results, then: Study2019 | None) -> list[list[Cell]]:
    """Return the rows of the radii that hold for valid images only, where they were computed."""
    body = []
    for norm, pair in sorted(results.certification.norms_box.items()):
        baseline, student = pair.baseline.mean, pair.student.mean
        title = f"Certified radius, {norm_name(norm)}"
        key = f"certified_l{norm}_box"
        note = "valid images only" + _infinite(results, key)
        row = _pair(results, Measured(key, title, note, baseline, student))
        body.append(row + [Cell(MISSING)] * (2 if then else 0))
    return body


def _infinite(results: Results, measure: str) -> str:
    """Return how many radii of a row are infinite and left out of its means, if any."""
    pair = radii_of(results, measure)
    both = (("baseline", pair.baseline), ("student", pair.student)) if pair else ()
    said = [f"{share} of the {who}" for who, radii in both if (share := infinite_radii(radii))]
    return f"; infinite and left out: {join(said)}" if said else ""


def _pair(results: Results, row: Measured) -> list[Cell]:
    """Return the row of one measure: the two values, their difference, and whom it favours."""
    radius = row.key.startswith("certified")
    values = [
        (MISSING if value is None else f"{value:.4f}") if radius else percent(value)
        for value in (row.baseline, row.student)
    ]
    cells = [Cell(row.title, row.note), Cell(values[0]), Cell(values[1])]
    if row.baseline is None or row.student is None:
        return [*cells, Cell(MISSING), Cell(MISSING)]
    difference = row.student - row.baseline
    whom, remark, style = favour(results, row.key, difference)
    found = comparison_of(results, row.key)
    digits, scale = (4, 1.0) if radius else (2, 100.0)
    written = f"{scale * difference:{'+' if difference else ''}.{digits}f}"
    ends = (found.low, found.high) if found else ()
    between = " to ".join(f"{scale * end:+.{digits}f}" for end in ends)
    cells.append(Cell(_minus(written + ("" if radius else " points")), _minus(between)))
    return [*cells, Cell(whom, remark, style=style)]


def _minus(written: str) -> str:
    return written.replace("-", "\u2212")
