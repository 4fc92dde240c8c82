"""A replication in the report: means of every arm, tests, what asking costs, and sentences."""

from __future__ import annotations

from collections.abc import Sequence

from nversion.evaluation.clustered import RESAMPLES
from nversion.replication.arms import BASELINE, CONTROL, ONE, SMOOTHED, VOTE
from nversion.replication.contrasts import ROWS, SHARES
from nversion.replication.questions import ADDED
from nversion.report.text.tables import Cell, Column, Table
from nversion.report.values import MISSING, count, decimal, percent, plural, signed_value
from nversion.study.sections import NetworkCost, ReplicatedContrast, ReplicatedMean, Results

__all__ = ["added_table", "arm_table", "concluded", "contrast_table", "cost_table", "saved"]


def arm_table(results: Results) -> Table | None:
    """Return every arm's means, with their intervals."""
    found = results.replication
    arms = [arm for arm, means in (found.means if found else {}).items() if means]
    if found is None or not arms:
        return None
    rows = [row for row in ROWS if any(row in found.means[arm] for arm in arms)]
    body = [
        [
            Cell(_heading(row)),
            *(_mean(row, found.means[arm].get(row)) for arm in arms),
        ]
        for row in rows
    ]
    counts = [max(mean.networks for mean in found.means[arm].values()) for arm in arms]
    notes = [
        f"Means over {plural(max(counts), 'network')} of each arm, with 95\u202f% BCa intervals. "
        "Networks of a pair start from the same weights and see the images in the same order; the "
        f"versions that teach are drawn anew for each pair, of {len(found.versions)}. "
        f"{_arms_in_words(arms)}."
    ]
    if found.diverged:
        notes.append(f"Left out, as they did not learn: {'; '.join(found.diverged)}.")
    if found.failures:
        notes.append(f"Left out, as they failed: {'; '.join(found.failures)}.")
    columns = [Column("Row", numeric=False), *(Column(arm) for arm in arms)]
    return Table("", "Students and baselines again and again", columns, body, notes)


_IN_WORDS = {
    BASELINE: "is the baseline, which learns the true labels by cross-entropy",
    SMOOTHED: "learns them with a part spread over all classes",
    CONTROL: "learns them by the students' objective, the squared error of the softmax outputs",
    ONE: "learns what a single version says",
    VOTE: "learns what the vote says",
    "vote-temperature": "learns that by the divergence of softened outputs",
}


def _arms_in_words(arms: Sequence[str]) -> str:
    """Say what the arms are, those that have words for it."""
    said = "; ".join(f"{arm} {_IN_WORDS[arm]}" for arm in arms if arm in _IN_WORDS)
    return f"Of the arms, {said}"


def _heading(row: str) -> str:
    return ROWS[row][:1].upper() + ROWS[row][1:]


def _mean(row: str, mean: ReplicatedMean | None) -> Cell:
    if mean is None:
        return Cell(MISSING)
    if row in SHARES:
        ends = f"{100 * mean.low:.2f}\u2013{100 * mean.high:.2f}\u202f%"
        return Cell(percent(mean.mean), ends)
    return Cell(f"{mean.mean:.4f}", f"{mean.low:.4f}\u2013{mean.high:.4f}")


def added_table(results: Results) -> Table | None:
    """Return what each thing in which arms differ adds, row by row, with the test's verdict."""
    found = results.replication
    tests = {} if found is None else {(i.row, i.first, i.second): i for i in found.contrasts}
    asked = [two for two in ADDED if any((row, *two) in tests for row in ROWS)]
    if len(asked) < 2:
        return None
    rows = [row for row in ROWS if any((row, *two) in tests for two in asked)]
    body = [
        [Cell(_heading(row)), *(_added(tests.get((row, *two))) for two in asked)] for row in rows
    ]
    columns = [
        Column("Row", numeric=False),
        *(
            Column(f"{ADDED[two][:1].upper()}{ADDED[two][1:]} ({two[0]} \u2212 {two[1]})")
            for two in asked
        ),
    ]
    notes = [
        "Mean differences within pairs of arms that differ in that one thing, shares in percentage "
        "points, with the verdict of the test: on the first arm, at 5\u202f%, corrected over the "
        "rows."
    ]
    if asked[:2] == [(VOTE, CONTROL), (CONTROL, BASELINE)]:
        notes.append(
            "Where no pair lacks a network, those of teacher and objective sum to the difference "
            "of student and baseline."
        )
    return Table("", "What each part adds", columns, body, notes)


def _added(item: ReplicatedContrast | None) -> Cell:
    if item is None:
        return Cell(MISSING)
    said = "not told apart" if item.verdict == "level" else item.verdict
    return Cell(_difference(item), said)


def _difference(item: ReplicatedContrast) -> str:
    scale, decimals = _scale(item)
    return signed_value(scale * item.difference, decimals)


def _scale(item: ReplicatedContrast) -> tuple[float, int]:
    """Return what differences of a row are multiplied by, and their decimals."""
    return (100.0, 2) if item.row in SHARES else (1.0, 4)


def contrast_table(results: Results) -> Table | None:
    """Return all tests: differences within pairs, their intervals and p-values."""
    found = results.replication
    if found is None or not found.contrasts:
        return None
    columns = [
        Column("Arms", numeric=False),
        Column("Row", numeric=False),
        Column("Difference"),
        Column("P(first > second)"),
        Column("Effect"),
        Column("p, Holm"),
        Column("Verdict", numeric=False),
    ]
    notes = [
        "Differences of shares are in percentage points, with 95\u202f% BCa intervals. P(first > "
        "second) is the share of pairs in which the first is above, ties counting half, with its "
        "95\u202f% Wilson interval. Effect is the mean difference over its standard deviation. "
        "p-values are of a sign-flip permutation test within pairs, of all flips or of "
        f"{RESAMPLES:,} drawn ones, corrected by Holm over the rows of the same two arms; the "
        "verdict is at 5\u202f%, and a level one shows no difference, not that there is none."
    ]
    body = [_test(item) for item in found.contrasts]
    return Table("", "Pairs of networks, tested", columns, body, notes)


def _test(item: ReplicatedContrast) -> list[Cell]:
    scale, decimals = _scale(item)
    low, high = (signed_value(scale * end, decimals) for end in (item.low, item.high))
    share = f"{100 * item.above_low:.0f}\u2013{100 * item.above_high:.0f}"
    return [
        Cell(f"{item.first} \u2212 {item.second}"),
        Cell(ROWS.get(item.row, item.row)),
        Cell(_difference(item), f"{low} to {high}"),
        Cell(percent(item.above, 0), share),
        Cell(MISSING if item.effect is None else signed_value(item.effect, 2)),
        Cell(MISSING if item.p_holm is None else f"{item.p_holm:.4f}"),
        Cell(item.verdict),
    ]


def concluded(results: Results) -> str | None:
    """Say what the tests bear."""
    found = results.replication
    return " ".join(found.sentences) or None if found else None


def cost_table(results: Results) -> Table | None:
    """Return what it takes to ask the program, the student, the baseline and the best version."""
    costs = results.replication.costs if results.replication else []
    if not costs:
        return None
    columns = [
        Column("Who is asked", numeric=False),
        Column("Parameters"),
        Column("Multiply-adds"),
        Column("One image"),
        Column("A batch of a hundred"),
    ]
    body = [
        [
            Cell(cost.name or MISSING),
            Cell(count(cost.parameters)),
            Cell(count(cost.multiply_adds)),
            Cell(f"{1e3 * cost.one_seconds:.2f}\u202fms"),
            Cell(f"{1e3 * cost.batch_seconds:.1f}\u202fms"),
        ]
        for cost in costs
    ]
    notes = [
        "Times are processor time of one thread on the machine that measured them, the median of "
        "several calls after one that does not count. Multiply-adds are for one image."
    ]
    return Table("", "What an answer costs", columns, body, notes)


def saved(results: Results) -> str | None:
    """Say what distilling saves."""
    costs = {cost.name: cost for cost in (results.replication.costs if results.replication else [])}
    program, student = costs.get("program"), costs.get("student")
    if program is None or student is None:
        return None
    return (
        f"The student has {_times(program, student, 'parameters')} of the program's parameters, "
        f"takes {_times(program, student, 'multiply_adds')} of its multiply-adds and answers one "
        f"image in {_times(program, student, 'one_seconds')} of its time."
    )


def _times(program: NetworkCost, student: NetworkCost, what: str) -> str:
    whole = float(getattr(program, what))
    return f"1/{decimal(whole / max(float(getattr(student, what)), 1e-12), 3)}"
