from __future__ import annotations

from typing import Any

import pytest

from nversion.study.questions import answer_questions


def results(**changes: Any) -> dict[str, Any]:
    """Return as much of a study's results as the answers rest on."""
    baseline = {
        "test_accuracy": 0.99,
        "certified_l1": 0.15,
        "certified_l2": 0.06,
        "adversarial_accuracy": 0.95,
        "adversarial_frequency": 0.99,
        "attack_runs": 1000,
    }
    radii = [0.1 + 0.01 * place for place in range(20)]
    further = [radius + 0.05 + 0.001 * (place % 2) for place, radius in enumerate(radii)]
    norm = {"baseline": {"radii": radii}, "student": {"radii": further}}
    return {
        "study": {"test_images": 10_000},
        "versions": [{"status": "trained", "test_accuracy": 0.97}],
        "attacks": [
            {"name": "gradient", "tried": 13, "succeeded": 10, "effectiveness": 10 / 13},
            {"name": "deepfool", "tried": 13, "succeeded": 13, "effectiveness": 1.0},
        ],
        "adversarial_set": {"size": 1000},
        "program": {
            "accuracy": 0.97,
            "mean_individual": 0.8,
            "best_individual": 0.9,
            "versions": ["a", "b"],
            "against_best": {"p_value": 0.0001},
        },
        "certification": {"norms": {"1": norm, "2": norm}},
        "distillation": {
            "baseline": baseline,
            "student": {**baseline, "certified_l1": 0.2, "certified_l2": 0.11, **changes},
            "student_rank": 1,
            "rank_of": 3,
        },
    }


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "Yes: the student is better than the baseline in certified L1 radius and"),
        ({"test_accuracy": 0.97}, "Partly: the student is better than the baseline in"),
        ({"test_accuracy": 0.97}, "worse in test accuracy, not distinguishable from it in"),
        ({"adversarial_frequency": 0.985}, "accuracy on the adversarial set and adversarial freq"),
        ({"adversarial_accuracy": 0.99}, "certified L2 radius and accuracy on the adversarial set"),
    ],
)
def test_the_student_is_better_only_where_chance_does_not_explain_it(
    changes: dict[str, float], words: str
) -> None:
    assert words in answer_questions(results(**changes))[3]["answer"]


def test_every_question_is_answered_from_the_numbers() -> None:
    answers = [question["answer"] for question in answer_questions(results())]
    assert "fooled by 88.46 % of 26 attack runs" in answers[0]
    assert answers[1].startswith("deepfool with 100.00 % of its runs; gradient did worst")
    assert "gets more than the best single version (90.00 %, paired p < 0.001)" in answers[2]
