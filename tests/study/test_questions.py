from __future__ import annotations

from typing import Any

import pytest

from nversion.study.questions import answer_questions
from nversion.study.sections import Results


def gain(difference: float, p: float, clusters: int = 100, **more: Any) -> dict[str, Any]:
    """Return a comparison of two shares."""
    return {
        "first": 0.9 + difference,
        "second": 0.9,
        "difference": difference,
        "low": difference - 0.02,
        "high": difference + 0.03,
        "p_value": p,
        "images": 10 * clusters,
        "clusters": clusters,
        **more,
    }


def row(measure: str, verdict: str, difference: float = 0.01) -> dict[str, Any]:
    """Return a row of table III."""
    return {
        "measure": measure,
        "name": measure.replace("_", " "),
        "verdict": verdict,
        "difference": difference,
        "low": difference - 0.02,
        "high": difference + 0.03,
        "student": 0.9,
        "baseline": 0.9 - difference,
        "p_value": 0.01,
        "images": 200,
        "p_holm": None if verdict == "too few" else 0.012,
        "source_images": 4 if verdict == "too few" else 200,
    }


def results(
    best: dict[str, Any] | None = None,
    baseline: dict[str, Any] | None = None,
    rows: list[dict[str, Any]] | None = None,
    held: tuple[float, float] = (0.9, 0.1),
    clusters: int = 100,
) -> dict[str, Any]:
    """Return as much of a study's results as the answers rest on."""
    clean = {"name": "v2", "p_picked": 1.0, **gain(-0.01, 0.2)}
    return {
        "versions": [
            {"status": "trained", "test_accuracy": 0.97},
            {"status": "trained", "test_accuracy": 0.99},
            {"status": "failed", "test_accuracy": None},
        ],
        "attacks": [
            attack("gradient", 0.77, 0.6, 0.9),
            attack("deepfool", 1.0, 0.95, 1.0),
            attack("newtonfool", 0.99, 0.93, 0.999),
        ],
        "under_attack": [
            {
                "norm": norm,
                "radius": radius,
                "value": value,
                "low": value - 0.05,
                "high": value + 0.05,
                "images": 130,
                "clusters": clusters,
            }
            for norm, radius, value in (("linf", 8 / 255, held[0]), ("l2", 0.5, held[1]))
        ],
        "program": {"versions": ["v1", "v2"], "accuracy": 0.92},
        "comparisons": {
            "adversarial": {
                "program_and_best_version": best,
                "program_and_baseline": baseline or gain(0.03, 0.001),
            },
            "test": {
                "program_and_best_version": clean,
                "program_and_baseline": gain(-0.005, 0.3),
            },
        },
        "distillation": {
            "comparison": rows if rows is not None else [row("test_accuracy", "level")],
            "student_rank": 1,
            "rank_of": 3,
        },
    }


def attack(name: str, share: float, low: float, high: float) -> dict[str, Any]:
    return {
        "name": name,
        "tried": 100,
        "succeeded": round(100 * share),
        "effectiveness": share,
        "test_images": 90,
        "effectiveness_low": low,
        "effectiveness_high": high,
    }


def best(difference: float, p: float, clusters: int = 97) -> dict[str, Any]:
    return gain(difference, p, clusters, name="v1", p_picked=p)


def answer(place: int, **given: Any) -> str:
    known = Results.of(results(**{"best": best(0.02, 0.001), **given}))
    return _first_half(str(answer_questions(known)[place].answer))


def _first_half(said: str) -> str:
    """Return what is said of images made for members; of the other questions, all of it."""
    first = said.partition("(zero knowledge): ")[2] or said
    return first.partition(" Against attacks on itself")[0]


@pytest.mark.parametrize(
    ("best_version", "baseline", "verdict"),
    [
        (best(0.02, 0.001), gain(0.03, 0.001), "Yes: on 970 adversarial images"),
        (best(0.02, 0.001), gain(0.03, 0.2), "In part: "),
        (best(-0.02, 0.001), gain(0.03, 0.001), "In part: "),
        (best(-0.02, 0.001), gain(-0.001, 0.9), "No: "),
        (best(0.02, 0.131), gain(0.03, 0.17), "No difference can be told from chance: "),
        # Each alone is below 5 %; together, by Holm, neither is.
        (best(0.02, 0.04), gain(0.03, 0.03), "No difference can be told from chance: "),
        (best(0.02, 0.001, 8), gain(0.03, 0.001, 9), "Too few to say (8 test images; the least"),
    ],
)
def test_the_program_defends_only_if_it_beats_best_version_and_baseline(
    best_version: dict[str, Any], baseline: dict[str, Any], verdict: str
) -> None:
    assert answer(2, best=best_version, baseline=baseline).startswith(verdict)


def test_the_third_answer_gives_sizes_and_what_happens_on_clean_images() -> None:
    said = answer(2, best=best(0.02, 0.131), baseline=gain(0.03, 0.17))
    assert "best single version (v1), from 97 test images, the program of 2 classifies" in said
    assert "92.00 % correctly and that version 90.00 % (+2.00 points, +0.00 to +5.00, p =" in said
    assert "Of 1,000 clean test images it classifies 89.50 % correctly, the best version" in said
    assert "(v2) 90.00 % (\u22121.00 points, \u22123.00 to +2.00, p = 1.000), and the base" in said


def test_a_program_of_one_version_has_no_best_version_to_beat() -> None:
    assert answer(2, best=None).startswith("It cannot be told: a program of 2 has no version")
    nothing = results(best=best(0.02, 0.1))
    nothing["program"]["accuracy"] = None
    said = _first_half(str(answer_questions(Results.of(nothing))[2].answer))
    assert said == "There was no adversarial image to tell by."


@pytest.mark.parametrize(
    ("verdicts", "test", "said"),
    [
        (["better", "better"], "level", "Yes: of 3 measures, the student is better than"),
        (["better", "better"], "worse", "In part: "),
        (["better", "level"], "level", "In part: "),
        (["better", "worse"], "level", "In part: "),
        (["worse", "level"], "better", "No: "),
        (["level", "level"], "worse", "No difference can be told from chance: "),
        (["better", "too few"], "level", "Yes: "),
        (["too few", "too few"], "better", "Too few to say (4 test images; the least is 30): "),
    ],
)
def test_the_student_is_more_robust_only_by_all_rows(
    verdicts: list[str], test: str, said: str
) -> None:
    rows = [row("test_accuracy", test)]
    rows += [row(key, v) for key, v in zip(("certified_l1", "frequency"), verdicts, strict=True)]
    assert answer(3, rows=rows).startswith(said)


def test_the_fourth_answer_gives_sizes_and_names_the_rows_with_too_few_images() -> None:
    rows = [
        row("test_accuracy", "worse", -0.03),
        row("certified_l1", "better", 0.04),
        row("certified_l2", "level", 0.001),
        row("adversarial_frequency", "too few"),
    ]
    assert answer(3, rows=rows) == (
        "In part: of 4 measures, the student is better than the baseline in certified l1 "
        "(+0.0400, +0.0200 to +0.0700, p = 0.012); worse than the baseline in test "
        "accuracy (\u22123.00 points, "
        "\u22125.00 to +0.00, p = 0.012); not distinguishable from the baseline in certified l2 "
        "(\u22120.0190 to +0.0310); on too few images to say in adversarial frequency. Its rank on "
        "the adversarial set is 1 of 3, which says little: the set holds images made against each "
        "version, and none made against the student."
    )


def test_how_robust_says_at_which_radius() -> None:
    said = answer(0)
    assert said.startswith("At L\u221e 8/255, as far as these attacks can tell, and not beyond: ")
    assert "classify 97.00 % to 99.00 % of the test images" in said
    assert "90.00 % (85.0 to 95.0) at L\u221e 8/255 and 10.00 % (5.0 to 15.0) at L2 0.5" in said
    assert answer(0, held=(0.4, 0.1)).startswith("Not at any usual radius: ")
    assert answer(0, held=(0.9, 0.5)).startswith("At every usual radius, as far as these attacks")
    assert answer(0, clusters=12).startswith("Too few to say (12 test images")


def test_the_most_successful_attack_is_told_from_the_others_only_by_its_interval() -> None:
    assert answer(1) == (
        "Iterated gradient (deepfool and newtonfool) succeeds in 99.50 % of 200 runs. Behind "
        "them: one gradient (gradient) succeeds in 77.00 % of 100 runs."
    )


def test_types_and_distances_are_named_where_all_attacks_succeed() -> None:
    rows = [
        attack(name, share, 0.9, 1.0) | {"norm": norm, key: size}
        for name, share, norm, key, size in (
            ("deepfool", 1.0, "l2", "median_l2", 1.5),
            ("carlini-wagner", 0.99, "l2", "median_l2", 1.0625),
            ("slsqp", 0.5, "l2", "median_l2", 0.1),  # fails too often to be compared by size
            ("gradient-sign", 1.0, "linf", "median_linf", 0.25),
            ("adef", 1.0, "l2", "median_l2", 3.0),
        )
    ]
    known = Results.of(results(best=best(0.0, 1.0)) | {"attacks": rows})
    said = str(answer_questions(known)[1].answer)
    assert said.startswith("One gradient (gradient-sign) succeeds in 100.00 % of 100 runs; defor")
    assert "; iterated gradient (deepfool, carlini-wagner and slsqp) succeeds in 83.00 %" in said
    assert "these cannot be told apart by these images" in said
    assert said.endswith(
        "The smallest changes are found in L2 by carlini-wagner (median 1.06, 99.00 % of its runs) "
        "and in L∞ by gradient-sign (median 0.25, 100.00 % of its runs)."
    )


def test_every_answer_has_its_rule_beside_it() -> None:
    for question in answer_questions(Results.of(results(best=best(0.02, 0.1)))):
        assert str(question.rule).endswith(".")
        assert question.rests_on


def test_results_of_older_studies_get_the_numbers_that_they_hold_and_no_verdict() -> None:
    older = results(best=best(0.02, 0.001))
    del older["comparisons"], older["under_attack"], older["distillation"]["comparison"]
    for attack_row in older["attacks"]:
        del attack_row["test_images"]
    for place, version in enumerate(older["versions"]):
        version |= {"name": f"v{place}", "adversarial_accuracy_others": (0.97, 0.9854, None)[place]}
    older["program"] |= {"accuracy": 0.9715, "test_accuracy": 0.9868}
    older["distillation"]["baseline"] = {"adversarial_accuracy": 0.973, "test_accuracy": 0.991}
    radii = [0.1 + 0.001 * n for n in range(40)]
    pair = {"student": {"radii": [r + 0.1 for r in radii]}, "baseline": {"radii": radii}}
    older |= {"study": {"seed": 7}, "certification": {"norms": {"2": pair}}}
    robust, attacks, voting, twins = (
        str(one.answer) for one in answer_questions(Results.of(older))
    )
    assert robust.startswith("It cannot be told at which radius from these results, which hold no")
    assert attacks.endswith("these cannot be told apart by these images.")
    assert _first_half(voting).startswith("It cannot be told from these results")
    assert "program of 2 classifies 97.15 % of the adversarial set correctly, the base" in voting
    assert "baseline 97.30 %, and the best single version (v1) 98.54 % of the images" in voting
    assert twins.startswith("It cannot be told from these results")
    assert "better than the baseline in certified L2 radius (+0.1000, +0.1000 to" in twins
