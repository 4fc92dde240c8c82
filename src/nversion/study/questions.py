"""The study's four questions, each answered in one sentence made from the numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nversion.evaluation.comparisons import distinguishable, paired_difference

__all__ = ["answer_questions"]


def answer_questions(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the questions with their answers and the keys of the results they rest on.

    Args:
        results: everything but the key "questions".
    """
    return [
        {
            "question": "How robust are neural networks?",
            "answer": _how_robust(results),
            "rests_on": ["versions", "attacks", "program.mean_individual"],
        },
        {
            "question": "Which type of adversarial attack is most successful?",
            "answer": _which_attack(results),
            "rests_on": ["attacks"],
        },
        {
            "question": "Can N-version programming defend against adversarial attacks?",
            "answer": _does_voting_defend(results),
            "rests_on": [
                "program.accuracy",
                "program.mean_individual",
                "program.best_individual",
            ],
        },
        {
            "question": "Can N-version programming make one more robust network?",
            "answer": _does_distilling_transfer(results),
            "rests_on": ["distillation"],
        },
    ]


def percent(share: float) -> str:
    """Return a share as text, with two decimals."""
    return f"{100 * share:.2f} %"


def _how_robust(results: Mapping[str, Any]) -> str:
    tests = [row["test_accuracy"] for row in results["versions"] if row["status"] == "trained"]
    tried = sum(row["tried"] for row in results["attacks"])
    succeeded = sum(row["succeeded"] for row in results["attacks"])
    single = results["program"]["mean_individual"]
    share = f"{percent(succeeded / tried)} of {tried:,}" if tried else "none of 0"
    text = (
        f"Not very: single networks that classify {percent(min(tests))} to {percent(max(tests))} "
        f"of the test images correctly were fooled by {share} attack runs"
    )
    if single is None:
        return text + "; no adversarial image was left to test them on."
    return text + f", and classify {percent(single)} of the adversarial set correctly on average."


def _which_attack(results: Mapping[str, Any]) -> str:
    rows = [row for row in results["attacks"] if row["tried"]]
    if not rows:
        return "No attack was run."
    best = max(row["effectiveness"] for row in rows)
    winners = [row["name"] for row in rows if row["effectiveness"] == best]
    worst = min(rows, key=lambda row: row["effectiveness"])
    text = (
        f"{_list(winners)} with {percent(best)} of its runs"
        if len(winners) == 1
        else (f"{_list(winners)}, each with {percent(best)} of its runs")
    )
    if worst["effectiveness"] == best:
        return text + "; no attack did worse."
    return text + f"; {worst['name']} did worst with {percent(worst['effectiveness'])}."


def _does_voting_defend(results: Mapping[str, Any]) -> str:
    program = results["program"]
    if program["accuracy"] is None:
        return "There was no adversarial image to tell by."
    versions = len(program["versions"])
    accuracy, best = program["accuracy"], program["best_individual"]
    p = program["against_best"]["p_value"]
    sure = "" if accuracy == best else f", paired p {'< 0.001' if p < 0.001 else f'= {p:.3f}'}"
    against = "more than" if accuracy > best else "as much as" if accuracy == best else "less than"
    verdict = (
        "Yes, against images made for its members"
        if accuracy > program["mean_individual"]
        else "Not here"
    )
    return (
        f"{verdict}: the program of {versions} classifies {percent(accuracy)} of the adversarial "
        f"set correctly, a single version {percent(program['mean_individual'])} on average, and it "
        f"gets {against} the best single version ({percent(best)}{sure}); the program itself was "
        "not the target of these attacks."
    )


def _does_distilling_transfer(results: Mapping[str, Any]) -> str:
    baseline = results["distillation"]["baseline"]
    student = results["distillation"]["student"]
    better: list[str] = []
    worse: list[str] = []
    level: list[str] = []
    for key, name, larger_is_better in (
        ("test_accuracy", "test accuracy", True),
        ("certified_l1", "certified L1 radius", True),
        ("certified_l2", "certified L2 radius", True),
        ("adversarial_accuracy", "accuracy on the adversarial set", True),
        ("adversarial_frequency", "adversarial frequency", False),
    ):
        ours, theirs = student.get(key), baseline.get(key)
        if ours is None or theirs is None:
            continue
        if not _told_apart(results, key, ours, theirs):
            level.append(name)
        else:
            (better if (ours > theirs) == larger_is_better else worse).append(name)
    rank = results["distillation"]["student_rank"]
    of = results["distillation"]["rank_of"]
    verdict = "Yes" if better and not worse else "No" if worse and not better else "Partly"
    if not better and not worse:
        verdict = "No difference was seen"
    parts = []
    if better:
        parts.append(f"better than the baseline in {_list(better)}")
    if worse:
        parts.append(f"worse in {_list(worse)}")
    if level:
        parts.append(f"not distinguishable from it in {_list(level)}")
    place = (
        f"ranks {rank} of {of} on the adversarial set, in which no image was made against it"
        if rank
        else "was not ranked"
    )
    return f"{verdict}: the student is {', '.join(parts) or 'like the baseline'}, and {place}."


def _told_apart(results: Mapping[str, Any], key: str, ours: float, theirs: float) -> bool:
    """Return whether student and baseline differ by more than chance in one measure.

    Shares do if their 95 % intervals lie apart, radii if the mean difference's leaves out 0.
    """
    if key.startswith("certified_l"):
        radii = results["certification"].get("norms", {}).get(key.removeprefix("certified_l"))
        if radii is None:
            return ours != theirs
        found = paired_difference(radii["student"]["radii"], radii["baseline"]["radii"])
        return found is not None and (found[1] > 0 or found[2] < 0)
    tries = {
        "test_accuracy": results["study"]["test_images"],
        "adversarial_accuracy": results["adversarial_set"]["size"],
        "adversarial_frequency": results["distillation"]["student"]["attack_runs"],
    }[key]
    return bool(tries) and distinguishable(ours, theirs, tries)


def _list(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
