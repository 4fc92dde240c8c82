"""Studies beside each other and beside that of 2019, in one short table for a front page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nversion.report.reference import STUDY_2019, Study2019, reference_for
from nversion.report.text.whole import grown
from nversion.report.values import MISSING, decimal, duration, ordinal, percent, plural
from nversion.study.sections import Results

__all__ = ["BesideRow", "beside_2019", "best_itself", "program_itself"]


@dataclass(frozen=True)
class BesideRow:
    """One line of the table.

    Attributes:
        title: what was measured.
        then: what the study of 2019 has; "" where it measured nothing of the kind.
        now: what each study has, in their order.
    """

    title: str
    then: str
    now: list[str]


@dataclass(frozen=True)
class _Measure:
    """A row before it is filled: whether a short table has it, and where its numbers are from."""

    title: str
    short: bool
    now: Callable[[Results], str]
    then: Callable[[Study2019], str] = lambda _: ""


def beside_2019(studies: Sequence[Results], *, short: bool) -> list[BesideRow]:
    """Return the rows of the table; those of which no study has a number are left out.

    Args:
        studies: to show. Where none is of the dataset of 2019, its numbers are left out.
        short: leave out what a front page has no room for.
    """
    then = STUDY_2019 if any(reference_for(one) for one in studies) else None
    rows = [
        BesideRow(one.title, one.then(then) if then else "", [one.now(study) for study in studies])
        for one in _MEASURES
        if one.short or not short
    ]
    return [row for row in rows if set(row.now) - {MISSING}]


def program_itself(results: Results, norm: str) -> float | None:
    """Return the median distance at which the program of all versions falls, attacked itself."""
    whole = results.program.whole
    if whole is None or not whole.subjects:
        return None
    largest = grown(whole.subjects)[-1]
    for one in whole.subjects:
        if one.kind == "program" and one.versions == largest and norm in one.norms:
            return one.norms[norm].median
    return None


def best_itself(results: Results, norm: str) -> tuple[str, float | None] | None:
    """Return the attacked version that falls last, and at what median; None if it is not known."""
    whole = results.program.whole
    for gain in whole.gains if whole else ():
        if gain.kind == "version" and gain.norm == norm:
            for one in whole.subjects if whole else ():
                if one.kind == "version" and one.name == gain.name:
                    return str(one.name), one.norms[norm].median
    return None


def _pair(first: str, second: str) -> str:
    """Write two values of one row; one mark where neither is there."""
    return MISSING if first == second == MISSING else f"{first} / {second}"


def _itself(norm: str) -> Callable[[Results], str]:
    def written(results: Results) -> str:
        best = best_itself(results, norm)
        return _pair(decimal(best[1] if best else None), decimal(program_itself(results, norm)))

    return written


def _radii(norm: str, *, drawn: bool) -> Callable[[Results], str]:
    """Return what writes certified radii of baseline and student."""

    def written(results: Results) -> str:
        found = results.certification
        pair = (found.norms_random_target if drawn else found.norms).get(norm)
        if pair is None:
            return MISSING
        means = (pair.baseline.mean, pair.student.mean)
        return _pair(*(MISSING if mean is None else f"{mean:.4f}" for mean in means))

    return written


def _radii_then(norm: str) -> Callable[[Study2019], str]:
    key = f"certified_l{norm}"
    return lambda then: f"{then.baseline[key]:.4f} / {then.student[key]:.4f}"


def _twins(key: str) -> Callable[[Results], str]:
    """Return what writes a share of baseline and of student."""

    def written(results: Results) -> str:
        twins = results.distillation
        return _pair(percent(getattr(twins.baseline, key)), percent(getattr(twins.student, key)))

    return written


def _twins_then(key: str) -> Callable[[Study2019], str]:
    return lambda then: f"{percent(then.baseline[key])} / {percent(then.student[key])}"


def _tested(results: Results) -> str:
    known = [one.test_accuracy for _, one in results.trained if one.test_accuracy is not None]
    return f"{percent(min(known), 1)} to {percent(max(known), 1)}" if known else MISSING


def _effectiveness(results: Results) -> str:
    known = [one.effectiveness for one in results.attacks if one.effectiveness is not None]
    return percent(sum(known) / len(known), 1) if known else MISSING


def _rank(results: Results) -> str:
    rank, of = results.distillation.student_rank, results.distillation.rank_of
    return MISSING if rank is None else f"{ordinal(rank)} of {of}"


def _run(results: Results) -> str:
    taken = duration(results.study.wall_seconds.get("total"))
    parts = [taken] if taken != MISSING else []
    if results.study.workers:
        parts.append(plural(results.study.workers, "worker"))
    return ", ".join(parts) or MISSING


_MEASURES = (
    _Measure(
        "single versions on test images",
        False,
        _tested,
        lambda then: (
            f"{percent(then.lowest_test_accuracy, 0)} to {percent(then.highest_test_accuracy, 0)}"
        ),
    ),
    _Measure(
        "attacks on single versions that succeed, mean",
        False,
        _effectiveness,
        lambda then: percent(then.mean_effectiveness, 1),
    ),
    _Measure(
        "single versions on images made for all of them, mean",
        True,
        lambda one: percent(one.program.mean_individual),
        lambda then: percent(then.mean_individual),
    ),
    _Measure(
        "the best of them there",
        True,
        lambda one: percent(one.program.best_individual),
        lambda then: percent(then.best_individual),
    ),
    _Measure(
        "**the program** there",
        True,
        lambda one: percent(one.program.accuracy),
        lambda then: percent(then.program),
    ),
    _Measure(
        "baseline / student there",
        True,
        _twins("adversarial_accuracy"),
        _twins_then("adversarial_accuracy"),
    ),
    _Measure(
        "best version / **program**, each attacked itself: median smallest change, L2",
        True,
        _itself("2"),
    ),
    _Measure("the same, L∞", True, _itself("inf")),
    _Measure(
        "baseline / student on test images",
        False,
        _twins("test_accuracy"),
        _twins_then("test_accuracy"),
    ),
    _Measure(
        "baseline / student: mean certified L1, one random target",
        True,
        _radii("1", drawn=True),
        _radii_then("1"),
    ),
    _Measure("the same, L2", True, _radii("2", drawn=True), _radii_then("2")),
    _Measure("baseline / student: mean certified L1, all classes", False, _radii("1", drawn=False)),
    _Measure("the same, L2, all classes", False, _radii("2", drawn=False)),
    _Measure(
        "baseline / student: attacks that succeed",
        True,
        _twins("adversarial_frequency"),
        _twins_then("adversarial_frequency"),
    ),
    _Measure(
        "student's rank on images made for the versions",
        False,
        _rank,
        lambda then: f"{ordinal(then.student_rank)} of {then.rank_of}",
    ),
    _Measure("wall-clock time", True, _run),
    _Measure("commit", True, lambda one: one.study.commit or MISSING),
)
