from __future__ import annotations

from typing import Any

import pytest

from nversion.report.text import sentences, twins
from nversion.study.sections import AttackRow, Results


def plain(sentence: str | None) -> str:
    assert sentence is not None
    assert sentence.endswith(".")
    return sentence.replace("\u202f", " ").replace("\u00a0", " ")


def versions(*pairs: tuple[float, float]) -> dict[str, Any]:
    return {
        "versions": [
            {"name": f"v{n}", "status": "trained", "test_accuracy": t, "adversarial_accuracy": a}
            for n, (t, a) in enumerate(pairs, start=1)
        ]
    }


def program(accuracy: float, best: float, mean: float, size: int, images: int) -> dict[str, Any]:
    return {
        "program": {
            "versions": [f"v{n}" for n in range(size)],
            "accuracy": accuracy,
            "best_individual": best,
            "best_individual_name": "v7",
            "mean_individual": mean,
        },
        "adversarial_set": {"size": images},
    }


def test_every_sentence_is_silent_without_numbers() -> None:
    for name in sentences.__all__:
        speak = getattr(sentences, name)
        if name == "effectiveness_interval":
            continue
        assert speak(Results.of({})) is None, name
        empty: dict[str, Any] = {"versions": [], "attacks": [], "program": {}, "transfer": {}}
        assert speak(Results.of(empty)) is None, name


def test_test_accuracy_names_range_median_and_failures() -> None:
    results = versions((0.97, 0.5), (0.99, 0.6), (0.98, 0.7))
    results["versions"].append({"name": "v4", "status": "failed", "test_accuracy": None})
    assert plain(sentences.test_accuracy(Results.of(results))) == (
        "The 3 versions are right on 97.00 % to 99.00 % of the test images, half of them on "
        "98.00 % or more; 1 version failed and is left out."
    )
    assert plain(sentences.test_accuracy(Results.of(versions((0.97, 0.5))))) == (
        "The one version is right on 97.00 % of the test images."
    )


@pytest.mark.parametrize(
    ("pairs", "start"),
    [
        (((0.9, 0.8), (0.9, 0.7)), "All 2 versions are less accurate"),
        (((0.9, 0.8), (0.9, 0.95), (0.9, 0.6)), "2 of the 3 versions are less accurate"),
        (((0.9, 0.8), (0.9, 0.9), (0.9, 0.9)), "1 of the 3 versions is less accurate"),
        (((0.9, 0.9), (0.9, 0.95)), "None of the 2 versions is less accurate"),
        (((0.9, 0.8),), "The one version's accuracy is 10.00 percentage points lower"),
    ],
)
def test_adversarial_drop_counts_the_versions(pairs: Any, start: str) -> None:
    assert plain(sentences.adversarial_drop(Results.of(versions(*pairs)))).startswith(start)


def test_correlation_is_claimed_only_from_evidence() -> None:
    rising = [(0.9 + 0.001 * n, 0.5 + 0.01 * n) for n in range(20)]
    assert "tend to be more accurate" in plain(sentences.correlation(Results.of(versions(*rising))))
    assert "a strong correlation" in plain(sentences.correlation(Results.of(versions(*rising))))
    assert "p < 0.001, 20 versions" in plain(sentences.correlation(Results.of(versions(*rising))))
    falling = [(t, 1 - a) for t, a in rising]
    assert "tend to be less accurate" in plain(
        sentences.correlation(Results.of(versions(*falling)))
    )
    mixed = versions((0.90, 0.5), (0.91, 0.7), (0.92, 0.4), (0.93, 0.6))
    assert plain(sentences.correlation(Results.of(mixed))).startswith(
        "No correlation can be told from chance"
    )
    assert "so few versions could hide" in plain(sentences.correlation(Results.of(mixed)))
    assert "cannot show" in plain(
        sentences.correlation(Results.of(versions((0.9, 0.5), (0.91, 0.6))))
    )
    flat = versions((0.9, 0.5), (0.9, 0.6), (0.9, 0.7))
    assert "cannot be computed" in plain(sentences.correlation(Results.of(flat)))


def beside_best(
    results: dict[str, Any], first: float, second: float, low: float, high: float, p: float
) -> dict[str, Any]:
    """Return results with the comparison of the program and its best version."""
    gain = {"first": first, "second": second, "difference": first - second}
    known = {"images": 90, "clusters": 9, "low": low, "high": high, "p_value": p}
    found = {"name": "v7", "p_picked": p, **gain, **known}
    return {**results, "comparisons": {"adversarial": {"program_and_best_version": found}}}


SMALL = program(0.97, 0.90, 0.85, 10, 100)


@pytest.mark.parametrize(
    ("results", "said"),
    [
        (
            beside_best(SMALL, 0.96, 0.94, -0.003, 0.045, 0.13),
            "On the 90 that were not made against the best version (v7), it is right on 96.00 % "
            "and that version on 94.00 %: +2.00 points, \u22120.3 to +4.5, not distinguishable "
            "from chance (p = 0.130).",
        ),
        (beside_best(SMALL, 0.96, 0.9, 0.02, 0.09, 0.001), "more than chance (p = 0.001)."),
        (SMALL, "12.00 percentage points above the mean of its single versions, on which images"),
        (SMALL, "7.00 percentage points above the best of them (v7, 90.00 %) on the whole set, of"),
        (SMALL, "no interval by test image is known"),
        (program(0.90, 0.97, 0.85, 10, 100), "7.00 percentage points below the best of them"),
        (program(0.96, 0.96, 0.85, 10, 100), "as good as the best of them (v7, 96.00 %)"),
        (program(0.80, 0.96, 0.85, 10, 100), "5.00 percentage points below the mean"),
        (program(0.80, 0.80, 0.80, 1, 100), "A program of one version is that version"),
    ],
)
def test_program_gain_says_who_is_ahead_and_whether_that_can_be_told(
    results: dict[str, Any], said: str
) -> None:
    assert said in plain(sentences.program_gain(Results.of(results)))


def twin_row(name: str, verdict: str) -> dict[str, Any]:
    """Return a row of table III."""
    numbers = ("student", "baseline", "difference", "low", "high", "p_value", "p_holm")
    images = {"images": 9, "source_images": 9}
    key = name.replace(" ", "_")
    return {
        "measure": key,
        "name": name,
        **dict.fromkeys(numbers, 0.1),
        **images,
        "verdict": verdict,
    }


def student(ours: float, theirs: float, images: int) -> dict[str, Any]:
    return {
        "distillation": {
            "student": {"adversarial_accuracy": ours},
            "baseline": {"adversarial_accuracy": theirs},
            "student_rank": 2,
            "rank_of": 11,
        },
        "adversarial_set": {"size": images},
    }


def test_student_rank_and_twin() -> None:
    older = student(0.95, 0.80, 100)
    said = plain(sentences.student_rank(Results.of(older)))
    assert "the 2nd of 11 when it is ranked among the versions, which carry the images made" in said
    assert said.endswith("baseline (80.00 %); no interval by test image is known.")
    assert "exactly as often" in plain(sentences.student_rank(Results.of(student(0.9, 0.9, 10))))
    row = twin_row("adversarial accuracy", "level")
    older["distillation"]["comparison"] = [row]
    assert plain(sentences.student_rank(Results.of(older))).endswith(
        "but not distinguishable from it."
    )
    row["verdict"] = "better"
    assert plain(sentences.student_rank(Results.of(older))).endswith(
        "15.00 percentage points above the baseline (80.00 %)."
    )


def test_attacks_of_older_results_have_no_interval_that_counts_images_once() -> None:
    older = {"attacks": [{"name": n, "effectiveness": s} for n, s in (("a", 1.0), ("b", 0.5))]}
    assert plain(sentences.attack_effectiveness(Results.of(older))) == (
        "The 2 attacks succeed in 75.00 % of their runs on average, a in 100.00 %; no interval by "
        "test image is known."
    )
    row = AttackRow(name="a", effectiveness=0.5, effectiveness_low=0.4, effectiveness_high=0.6)
    assert sentences.effectiveness_interval(row) == (None, None)
    later = row.model_copy(update={"test_images": 50})
    assert sentences.effectiveness_interval(later) == (0.4, 0.6)


def attacks(*rows: tuple[str, float, float, float]) -> dict[str, Any]:
    keys = ("name", "effectiveness", "effectiveness_low", "effectiveness_high")
    return {"attacks": [dict(zip(keys, row, strict=True)) | {"test_images": 99} for row in rows]}


@pytest.mark.parametrize(
    ("results", "said"),
    [
        (attacks(("a", 0.5, 0.4, 0.6)), "The one attack, a, succeeds in 50.00 % of its runs."),
        (
            attacks(("a", 1.0, 0.9, 1.0), ("b", 1.0, 0.9, 1.0)),
            "Each of the 2 attacks succeeds in 100.00 % of its runs.",
        ),
        (
            attacks(("a", 0.5, 0.45, 0.55), ("b", 0.9, 0.85, 0.95), ("c", 0.1, 0.05, 0.15)),
            "The 3 attacks succeed in 50.00 % of their runs on average; b leads with 90.00 %.",
        ),
        (
            attacks(("a", 0.5, 0.4, 0.6), ("b", 0.6, 0.5, 0.7)),
            "on average; none is distinguishable from the most effective, b.",
        ),
        (
            attacks(("a", 0.99, 0.9, 1.0), ("b", 1.0, 0.95, 1.0), ("c", 0.1, 0.05, 0.15)),
            "only c can be told apart from the most effective, b (100.00 %).",
        ),
        (
            attacks(
                ("a", 0.99, 0.9, 1.0), ("b", 1.0, 0.95, 1.0), ("c", 0.1, 0, 0.2), ("d", 0, 0, 0.1)
            ),
            "b and a lead with up to 100.00 %, not distinguishable among them.",
        ),
    ],
)
def test_attack_effectiveness_names_leaders_only_if_they_lead(
    results: dict[str, Any], said: str
) -> None:
    assert said in plain(sentences.attack_effectiveness(Results.of(results)))


def test_student_against_baseline_weighs_each_measure() -> None:
    radii = [0.1 + 0.001 * n for n in range(50)]
    results = student(0.95, 0.96, 100)
    results["distillation"]["student"] |= {"certified_l1": 0.2, "certified_l2": 0.1}
    results["distillation"]["baseline"] |= {"certified_l1": 0.1, "certified_l2": 0.1001}
    results["distillation"]["student"] |= {"test_accuracy": 0.98, "adversarial_frequency": 0.9}
    results["distillation"]["baseline"] |= {"test_accuracy": 0.99, "adversarial_frequency": 0.95}
    noisy = [radius * (1.02 if n % 2 else 0.98) for n, radius in enumerate(radii)]
    results["certification"] = {
        "norms": {
            "1": {
                "student": {"radii": [r + 0.1 for r in noisy], "mean": 0.2},
                "baseline": {"radii": radii, "mean": 0.1},
            },
            "2": {
                "student": {"radii": noisy, "mean": 0.1},
                "baseline": {"radii": radii, "mean": 0.1001},
            },
        }
    }
    assert plain(twins.student_against_baseline(Results.of(results))) == (
        "Against the baseline the student is better in certified L1 radius; not distinguishable in "
        "certified L2 radius; for want of an interval not compared in test accuracy, adversarial "
        "accuracy and adversarial frequency."
    )
    results["study"] = {"test_images": 100}
    assert "not distinguishable in test accuracy and" in plain(
        twins.student_against_baseline(Results.of(results))
    )
    assert plain(twins.certified_radii(Results.of(results))) == (
        "The student's mean certified radius, against the baseline's, is larger in L1 (0.200 "
        "against 0.100) and not distinguishable in L2 (0.100 against 0.100)."
    )


def test_student_against_baseline_says_what_the_study_found() -> None:
    found = [
        twin_row("a", "better"),
        twin_row("b", "level"),
        twin_row("c", "level"),
        twin_row("d", "too few"),
    ]
    assert plain(
        twins.student_against_baseline(Results.of({"distillation": {"comparison": found}}))
    ) == (
        "Against the baseline the student is better in a; not distinguishable in b and c; on too "
        "few images to say in d."
    )


def test_transfer_keeps_own_images_apart() -> None:
    results = {
        "transfer": {
            "sources": ["a", "b"],
            "targets": ["a", "b"],
            "accuracy": [[0.0, 0.8], [0.6, 0.1]],
        }
    }
    assert plain(sentences.transfer(Results.of(results))) == (
        "An image made against one version fools another in 30.00 % of the cases on average, and "
        "the version it was made against in 95.00 %."
    )


def test_stage_times_finds_the_longest() -> None:
    results = {"study": {"wall_seconds": {"versions": 30.0, "attacks": 90.0, "total": 120.0}}}
    assert plain(sentences.stage_times(Results.of(results))) == (
        "The study took 2 min 0 s, of which 75 % went into the stage “attacks”."
    )


def test_version_sizes() -> None:
    results = versions((0.9, 0.8), (0.9, 0.8))
    results["versions"][0] |= {"kind": "dense", "parameters": 1200}
    results["versions"][1] |= {"kind": "convolutional", "parameters": 30}
    assert plain(sentences.version_sizes(Results.of(results))) == (
        "The study has 1 convolutional version and 1 dense version, with 30 to 1,200 parameters."
    )
