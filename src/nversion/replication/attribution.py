"""What the teacher adds, and what any soft labels add: read off the tests against the controls.

A row in which the vote's student differs from the baseline is put down to the teacher only if the
student differs the same way from label smoothing, whose soft labels know nothing of the image.
Where label smoothing does the same, soft labels of any kind are enough. Where neither is shown, it
stays open. Whether it has to be a vote is asked of the student of one version in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nversion.replication.arms import BASELINE
from nversion.replication.contrasts import ROWS, Contrast

__all__ = ["attribute"]

TAUGHT, SMOOTHED, ONE = "vote", "label-smoothing", "one-teacher"

Verdicts = Mapping[tuple[str, str, str], str]
"""What the test says of the first arm, by row, first arm and second arm."""

SIDES = ("better", "worse")


def attribute(contrasts: Sequence[Contrast]) -> list[str]:
    """Return sentences on whence the vote's student has its differences from the baseline.

    Args:
        contrasts: of a replication; without the vote and the controls there is nothing to say.
    """
    verdicts = {(item.row, item.first, item.second): str(item.verdict) for item in contrasts}
    sentences: list[str] = []
    for side in SIDES:
        rows = [row for row in ROWS if verdicts.get((row, TAUGHT, BASELINE)) == side]
        if not rows:
            continue
        sentences += _beside_smoothing(side, rows, verdicts)
        sentences += _beside_one(side, rows, verdicts)
    known = [row for row in ROWS if verdicts.get((row, TAUGHT, BASELINE)) in (*SIDES, "level")]
    if known and not sentences and _asked(known, verdicts, SMOOTHED, ONE):
        sentences.append(
            "The vote's student is not told apart from the baseline in any row: there is nothing "
            "to put down to the teacher."
        )
    return sentences


def _asked(rows: Sequence[str], verdicts: Verdicts, *controls: str) -> bool:
    """Return whether the vote was held against one of these controls."""
    return any((row, TAUGHT, control) in verdicts for row in rows for control in controls)


def _beside_smoothing(side: str, rows: Sequence[str], verdicts: Verdicts) -> list[str]:
    """Say which of the rows are the teacher's, and which any soft labels give."""
    if not _asked(rows, verdicts, SMOOTHED):
        return []
    parted: dict[str, list[str]] = {"teacher": [], "soft": [], "open": []}
    for row in rows:
        beside = verdicts.get((row, TAUGHT, SMOOTHED))
        alone = verdicts.get((row, SMOOTHED, BASELINE))
        kind = "teacher" if beside == side else "soft" if alone == side else "open"
        parted[kind].append(ROWS[row])
    said = {
        "teacher": f"The teacher: {side} than the baseline, and than label smoothing, in",
        "soft": f"Soft labels: {side} than the baseline, as label smoothing is as well, in",
        "open": f"Open: {side} than the baseline, and not shown to differ so from label smoothing, "
        "nor that from the baseline, in",
    }
    return [f"{said[kind]} {_joined(names)}." for kind, names in parted.items() if names]


def _beside_one(side: str, rows: Sequence[str], verdicts: Verdicts) -> list[str]:
    """Say in which of the rows it has to be a vote."""
    if not _asked(rows, verdicts, ONE):
        return []
    votes = [ROWS[row] for row in rows if verdicts.get((row, TAUGHT, ONE)) == side]
    ones = [
        ROWS[row]
        for row in rows
        if ROWS[row] not in votes and verdicts.get((row, ONE, BASELINE)) == side
    ]
    found = []
    if votes:
        found.append(
            f"The vote: {side} than the baseline, and than the student of one version, in "
            f"{_joined(votes)}."
        )
    if ones:
        found.append(
            f"One version: {side} than the baseline, as the student of one version is as well, in "
            f"{_joined(ones)}."
        )
    return found


def _joined(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
