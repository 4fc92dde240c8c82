"""Whence the vote's student has its differences from the baseline: read off the tests of controls.

Student and baseline differ in two things, in what they learn from and in what they minimise. The
control ``squared-error`` stands between them. A row in which the student differs from the baseline
is put down to the teacher if the student differs the same way from that control, and to the
objective if the control differs the same way from the baseline; to both, or to neither, as the
tests have it. Without the control the two stay together, and no sentence parts them.

Label smoothing has soft labels that know nothing of the image: where it differs from the baseline
the same way, soft labels of any kind do so. Whether it has to be a vote is asked of the student of
one version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nversion.replication.arms import BASELINE, CONTROL, ONE, SMOOTHED, VOTE
from nversion.replication.contrasts import ROWS, Contrast

__all__ = ["attribute"]

Verdicts = Mapping[tuple[str, str, str], str]
"""What the test says of the first arm, by row, first arm and second arm."""

OPPOSITE = {"better": "worse", "worse": "better"}

SQUARED = "squared error to the true labels"
"""The control, in words."""

_WHENCE = {
    (True, False): f"The teacher: {{side}} than the baseline, and than {SQUARED}, in",
    (False, True): f"The objective: {{side}} than the baseline, as {SQUARED} is as well, and not "
    "shown to differ so from that, in",
    (True, True): f"Teacher and objective: {{side}} than {SQUARED}, which is {{side}} than the "
    "baseline, in",
    (False, False): f"Open: {{side}} than the baseline, and neither shown to differ so from "
    f"{SQUARED}, nor that from the baseline, in",
}
"""What is said of a row by whether the teacher is shown to be the cause, and the objective."""


def attribute(contrasts: Sequence[Contrast]) -> list[str]:
    """Return sentences on whence the vote's student has its differences from the baseline.

    Args:
        contrasts: of a replication; without the vote and the controls there is nothing to say.
    """
    verdicts = {(item.row, item.first, item.second): str(item.verdict) for item in contrasts}
    judged = [row for row in ROWS if verdicts.get((row, VOTE, BASELINE)) in (*OPPOSITE, "level")]
    if not _asked(judged, verdicts, CONTROL, SMOOTHED, ONE):
        return []
    controlled = _asked(judged, verdicts, CONTROL)
    sentences: list[str] = []
    for side in OPPOSITE:
        rows = _where(verdicts, judged, (VOTE, BASELINE), side)
        if rows and controlled:
            sentences += _whence(side, rows, verdicts)
        if rows and _asked(rows, verdicts, SMOOTHED):
            sentences += _beside_smoothing(side, rows, verdicts, parted=controlled)
    if not _where(verdicts, judged, (VOTE, BASELINE), *OPPOSITE):
        sentences.append("The vote's student is not told apart from the baseline in any row.")
    if controlled:
        sentences += _cancelled(judged, verdicts)
    if _asked(judged, verdicts, ONE):
        for side in OPPOSITE:
            sentences += _beside_one(side, judged, verdicts, CONTROL if controlled else BASELINE)
    return sentences


def _where(verdicts: Verdicts, rows: Sequence[str], two: tuple[str, str], *sides: str) -> list[str]:
    """Return the rows in which the test says one of `sides` of the first of two arms."""
    return [row for row in rows if verdicts.get((row, *two)) in sides]


def _asked(rows: Sequence[str], verdicts: Verdicts, *controls: str) -> bool:
    """Return whether the vote was held against one of these controls."""
    return any((row, VOTE, control) in verdicts for row in rows for control in controls)


def _whence(side: str, rows: Sequence[str], verdicts: Verdicts) -> list[str]:
    """Say which of the rows are the teacher's, and which the objective's."""
    teacher = _where(verdicts, rows, (VOTE, CONTROL), side)
    objective = _where(verdicts, rows, (CONTROL, BASELINE), side)
    return [
        f"{words.format(side=side)} {_joined(found)}."
        for causes, words in _WHENCE.items()
        if (found := [row for row in rows if (row in teacher, row in objective) == causes])
    ]


def _beside_smoothing(
    side: str, rows: Sequence[str], verdicts: Verdicts, *, parted: bool
) -> list[str]:
    """Say in which of the rows soft labels of any kind do the same, or less.

    Args:
        side: on which the student is of the baseline.
        rows: where it is.
        verdicts: of all tests.
        parted: whether teacher and objective are told apart elsewhere.
    """
    same = _where(verdicts, rows, (SMOOTHED, BASELINE), side)
    beyond = _where(verdicts, rows, (VOTE, SMOOTHED), side)
    whose = "" if parted else ", by teacher and objective together"
    said = {
        f"Soft labels of no teacher do so too: label smoothing is {side} than the baseline, in": [
            row for row in same if row not in beyond
        ],
        f"Soft labels of no teacher do so too, and less: label smoothing is {side} than the "
        f"baseline, and the student {side} than that, in": [row for row in same if row in beyond],
        f"Not any soft labels: {side} than the baseline{whose}, and than label smoothing, in": [
            row for row in beyond if row not in same
        ],
        f"Open whether soft labels of no teacher do so too: {side} than the baseline, and "
        "not shown to differ so from label smoothing, nor that from the baseline, in": [
            row for row in rows if row not in (*same, *beyond)
        ],
    }
    return [f"{words} {_joined(found)}." for words, found in said.items() if found]


def _cancelled(rows: Sequence[str], verdicts: Verdicts) -> list[str]:
    """Say in which rows teacher and objective pull apart."""
    sentences = []
    for side, other in OPPOSITE.items():
        found = [
            row
            for row in _where(verdicts, rows, (VOTE, CONTROL), side)
            if verdicts.get((row, CONTROL, BASELINE)) == other
        ]
        if found:
            sentences.append(
                f"Against each other: the teacher makes {side}, and the objective {other}, "
                f"{_joined(found)}."
            )
    return sentences


def _beside_one(side: str, rows: Sequence[str], verdicts: Verdicts, reference: str) -> list[str]:
    """Say in which rows it has to be a vote.

    Args:
        side: on which the student is of the reference.
        rows: that are judged.
        verdicts: of all tests.
        reference: the arm that students are held against.
    """
    rows = _where(verdicts, rows, (VOTE, reference), side)
    votes = _where(verdicts, rows, (VOTE, ONE), side)
    ones = [row for row in _where(verdicts, rows, (ONE, reference), side) if row not in votes]
    than = SQUARED if reference == CONTROL else "the baseline"
    found = []
    if votes:
        found.append(
            f"The vote: {side} than {than}, and than the student of one version, in "
            f"{_joined(votes)}."
        )
    if ones:
        found.append(
            f"One version: {side} than {than}, as the student of one version is as well, and not "
            f"shown to differ so from that, in {_joined(ones)}."
        )
    return found


def _joined(rows: Sequence[str]) -> str:
    names = [ROWS[row] for row in rows]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
