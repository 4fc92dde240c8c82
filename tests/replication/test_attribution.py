from __future__ import annotations

from typing import Literal

import pytest

from nversion.replication.attribution import attribute
from nversion.replication.contrasts import Contrast

Verdict = Literal["better", "worse", "level", "too few"]


def found(row: str, first: str, second: str, verdict: Verdict) -> Contrast:
    return Contrast(row, first, second, 9, 0, 0, 0, 0.5, 0, 1, None, 1.0, 1.0, verdict)


def told(
    beside_baseline: Verdict,
    beside_smoothing: Verdict,
    smoothing: Verdict,
    beside_one: Verdict = "level",
    one: Verdict = "level",
) -> list[str]:
    row = "certified_l2"
    return attribute(
        [
            found(row, "vote", "labels", beside_baseline),
            found(row, "label-smoothing", "labels", smoothing),
            found(row, "one-teacher", "labels", one),
            found(row, "vote", "label-smoothing", beside_smoothing),
            found(row, "vote", "one-teacher", beside_one),
        ]
    )


@pytest.mark.parametrize("side", ["better", "worse"])
def test_a_difference_is_put_down_to_what_the_controls_bear(side: Verdict) -> None:
    (teacher,) = told(side, side, "level")
    assert teacher.startswith(f"The teacher: {side} than the baseline, and than label smoothing")
    (soft,) = told(side, "level", side)
    assert soft.startswith(f"Soft labels: {side} than the baseline, as label smoothing is as well")
    (neither,) = told(side, "level", "level")
    assert neither.startswith("Open: ")


def test_the_vote_is_told_from_one_version() -> None:
    assert any(line.startswith("The vote: better") for line in told(
        "better", "better", "level", beside_one="better", one="better"
    ))  # fmt: skip
    assert any(line.startswith("One version: better") for line in told(
        "better", "better", "level", beside_one="level", one="better"
    ))  # fmt: skip


def test_without_a_difference_nothing_is_put_down_to_the_teacher() -> None:
    (only,) = told("level", "level", "level")
    assert only.startswith("The vote's student is not told apart from the baseline in any row")


def test_without_controls_or_pairs_nothing_is_said() -> None:
    assert attribute([found("certified_l2", "vote", "labels", "better")]) == []
    assert told("too few", "too few", "too few", "too few", "too few") == []
