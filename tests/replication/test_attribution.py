from __future__ import annotations

from typing import Literal

import pytest

from nversion.replication.attribution import attribute
from nversion.replication.contrasts import Contrast

Verdict = Literal["better", "worse", "level", "too few"]

ROW = "certified_l2"

OTHER: dict[Verdict, Verdict] = {"better": "worse", "worse": "better"}


def told(**verdicts: Verdict) -> list[str]:
    """Return what is said of one row by the verdicts on arms, called as in `vote_labels`."""
    names = {"control": "squared-error", "smoothing": "label-smoothing", "one": "one-teacher"}
    found = []
    for two, verdict in verdicts.items():
        first, second = (names.get(arm, arm) for arm in two.split("_"))
        found.append(Contrast(ROW, first, second, 9, 0, 0, 0, 0.5, 0, 1, None, 1.0, 1.0, verdict))
    return attribute(found)


@pytest.mark.parametrize("side", ["better", "worse"])
def test_a_difference_is_put_down_to_teacher_or_objective_as_the_tests_have_it(
    side: Verdict,
) -> None:
    (teacher,) = told(vote_labels=side, vote_control=side, control_labels="level")
    assert teacher == (
        f"The teacher: {side} than the baseline, and than squared error to the true labels, in "
        "certified L2 radius."
    )
    (objective,) = told(vote_labels=side, vote_control="level", control_labels=side)
    assert objective.startswith(f"The objective: {side} than the baseline, as squared error")
    (both,) = told(vote_labels=side, vote_control=side, control_labels=side)
    assert both.startswith(f"Teacher and objective: {side} than squared error")
    (neither,) = told(vote_labels=side, vote_control="level", control_labels="level")
    assert neither.startswith("Open: ")


@pytest.mark.parametrize("side", ["better", "worse"])
def test_teacher_and_objective_may_pull_apart(side: Verdict) -> None:
    alike, apart = told(vote_labels="level", vote_control=side, control_labels=OTHER[side])
    assert alike == "The vote's student is not told apart from the baseline in any row."
    assert apart == (
        f"Against each other: the teacher makes {side}, and the objective {OTHER[side]}, "
        "certified L2 radius."
    )


@pytest.mark.parametrize("side", ["better", "worse"])
def test_soft_labels_are_told_from_those_of_a_teacher(side: Verdict) -> None:
    told_of = {"vote_labels": side}
    (too,) = told(**told_of, vote_smoothing="level", smoothing_labels=side)
    assert too.startswith("Soft labels of no teacher do so too: label smoothing is")
    (less,) = told(**told_of, vote_smoothing=side, smoothing_labels=side)
    assert less.startswith("Soft labels of no teacher do so too, and less:")
    (beyond,) = told(**told_of, vote_smoothing=side, smoothing_labels="level")
    # Without the control nobody knows whether it is the teacher or the objective.
    assert beyond == (
        f"Not any soft labels: {side} than the baseline, by teacher and objective together, and "
        "than label smoothing, in certified L2 radius."
    )
    (unknown,) = told(**told_of, vote_smoothing="level", smoothing_labels="level")
    assert unknown.startswith("Open whether soft labels")


def test_without_the_control_nothing_is_put_down_to_the_teacher_alone() -> None:
    sentences = told(
        vote_labels="better", vote_smoothing="better", smoothing_labels="worse", vote_one="level",
        one_labels="better",
    )  # fmt: skip
    assert not [line for line in sentences if line.startswith(("The teacher", "The objective"))]
    assert len(sentences) == 2


def test_the_vote_is_told_from_one_version_by_the_control() -> None:
    known: dict[str, Verdict] = {
        "vote_labels": "better",
        "vote_control": "better",
        "control_labels": "level",
        # What one version does beside the baseline is of no account: the objective differs too.
        "one_labels": "worse",
    }
    assert told(**known, vote_one="better", one_control="better")[-1] == (
        "The vote: better than squared error to the true labels, and than the student of one "
        "version, in certified L2 radius."
    )
    assert told(**known, vote_one="level", one_control="better")[-1].startswith(
        "One version: better than squared error to the true labels, as the student of one version"
    )
    assert len(told(**known, vote_one="level", one_control="level")) == 1


def test_without_controls_or_pairs_nothing_is_said() -> None:
    assert told(vote_labels="better") == []
    assert told(vote_labels="too few", vote_control="too few", control_labels="too few") == []
