"""The study's four questions, each answered from the numbers by a rule that is printed beside it.

An answer claims a difference only where it is more than chance, by test image and after correction
for the number of comparisons, and says how large it is. Where there are fewer test images than
:data:`~nversion.evaluation.clustered.FEWEST`, it says that these are too few to tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from nversion.errors import InputError, StudyError
from nversion.evaluation.clustered import FEWEST, holm
from nversion.study.attack_answer import ATTACK_RULE, which_attack
from nversion.study.sections import (
    Comparison,
    Question,
    Results,
    TwinRow,
    UnderAttackRow,
)
from nversion.study.twins import SIGNIFICANT, compare_twins
from nversion.study.whole_answer import WHOLE_RULE, withstands_itself
from nversion.study.wording import (
    join,
    p_value,
    percent,
    too_few,
    verdict,
    with_minus,
)

__all__ = ["answer_questions", "with_answers"]

T = TypeVar("T")

_TEST = (
    "A difference counts if it is more than chance at 5 %: whole test images change sides in a "
    "permutation test, and Holm's correction is made for the number of comparisons. Below "
    f"{FEWEST} test images there are too few to say."
)


_OLDER = "these results, which hold no comparison by test image"


def answer_questions(results: Results) -> list[Question]:
    """Return the questions, each with answer, rule, and the keys of the results they rest on.

    Args:
        results: everything but the key "questions".

    Raises:
        StudyError: they lack a number that an answer rests on.
    """
    for key in ("versions", "attacks", "program", "distillation"):
        if key not in results.model_fields_set:
            raise _lacking(key)
    return [
        Question(
            question="How robust are neural networks?",
            answer=_how_robust(results),
            rule="At each radius, the share of attacked images on which no attack of the study "
            "found a change within the radius that alters the prediction; all of them were right "
            "before. What the attacks did not find may exist, so it is at most that. Robust at a "
            "radius means that at least half of the images hold. Intervals are by test image.",
            rests_on=["under_attack", "versions", "attacks"],
        ),
        Question(
            question="Which type of adversarial attack is most successful?",
            answer=_which_attack(results),
            rule=ATTACK_RULE,
            rests_on=["attacks"],
        ),
        Question(
            question="Can N-version programming defend against adversarial attacks?",
            answer=(
                f"Against images made for its members (zero knowledge): "
                f"{_does_voting_defend(results)} Against attacks on itself (full knowledge): "
                f"{withstands_itself(results)}"
            ),
            rule="Against images made for its members: yes if the program beats both the best "
            "single version, on images that were not made against that version, and the baseline, "
            "one network trained alone, on the "
            "same images; no if it loses to one of them and beats neither; in part if it beats "
            "only one. The best version is picked on the images that it is judged on, which "
            "flatters it: to beat it is harder than need be, and to lose to it counts only after "
            f"its p-value is multiplied by the number of versions. {WHOLE_RULE} {_TEST}",
            rests_on=["comparisons", "program.whole"],
        ),
        Question(
            question="Can N-version programming make one more robust network?",
            answer=_does_distilling_transfer(results),
            rule="Yes if the student beats the baseline in every measure of robustness in the "
            "table that compares the two and does not lose test accuracy; no if it loses in some "
            f"of them and wins in none; in part if it wins in some. {_TEST}",
            rests_on=["distillation.comparison", "distillation.student_rank"],
        ),
    ]


def with_answers(results: Results) -> Results:
    """Return the results with the study's questions answered anew, like all other sentences.

    Results that lack a number which the answers rest on keep the answers that they have.
    """
    try:
        return results.model_copy(update={"questions": answer_questions(results)})
    except (StudyError, InputError):
        return results


def _lacking(key: str) -> StudyError:
    return StudyError(f"{key}: not in these results, and an answer rests on it")


def _known(value: T | None, key: str) -> T:
    """Return a value that an answer rests on.

    Raises:
        StudyError: it is not there.
    """
    if value is None:
        raise _lacking(key)
    return value


def _how_robust(results: Results) -> str:
    tests = [
        _known(row.test_accuracy, "versions.test_accuracy")
        for row in results.versions
        if row.status in ("trained", "loaded")
    ]
    if not tests:
        raise _lacking("versions")
    tried = sum(_known(row.tried, "attacks.tried") for row in results.attacks)
    succeeded = sum(_known(row.succeeded, "attacks.succeeded") for row in results.attacks)
    rows = results.under_attack
    known = (
        f"single networks classify {percent(min(tests))} to {percent(max(tests))} of the test "
        "images correctly"
    )
    if not tried:
        return f"It cannot be told: {known}, but no attack was run on them."
    unbounded = (
        f"Without a bound on the change, {percent(succeeded / tried)} of {tried:,} attack runs "
        "succeed."
    )
    if not rows:
        return f"It cannot be told at which radius from {_OLDER}: {known}. {unbounded}"
    clusters = rows[0].clusters
    word = too_few(clusters) if clusters < FEWEST else _where_robust(rows)
    shares = join([f"{percent(row.value)} {_range(row)} at {_radius(row)}" for row in rows])
    return (
        f"{word}: {known}; of {rows[0].images:,} images that they had right (from "
        f"{clusters:,} test images), at most these shares hold under attack: {shares}. {unbounded}"
    )


def _where_robust(rows: Sequence[UnderAttackRow]) -> str:
    holding = [row for row in rows if row.value >= 0.5]
    if not holding:
        return "Not at any usual radius"
    if len(holding) == len(rows):
        return "At every usual radius, as far as these attacks can tell"
    where = join([_radius(row) for row in holding])
    return f"At {where}, as far as these attacks can tell, and not beyond"


def _radius(row: UnderAttackRow) -> str:
    radius = "8/255" if row.radius == 8 / 255 else f"{row.radius:g}"
    return f"{'L∞' if row.norm == 'linf' else 'L2'} {radius}"


def _range(row: UnderAttackRow) -> str:
    return f"({100 * row.low:.1f} to {100 * row.high:.1f})"


def _which_attack(results: Results) -> str:
    rows = [
        (_known(row.name, "attacks.name"), _known(row.effectiveness, "attacks.effectiveness"), row)
        for row in results.attacks
        if row.tried
    ]
    return which_attack(rows) if rows else "No attack was run."


def _does_voting_defend(results: Results) -> str:
    if results.program.accuracy is None:
        return "There was no adversarial image to tell by."
    if not results.compared:
        return _defence_in_older_results(results)
    compared = _known(results.comparisons.adversarial, "comparisons.adversarial")
    versions = len(_known(results.program.versions, "program.versions"))
    best = compared.program_and_best_version
    baseline = _known(compared.program_and_baseline, "comparisons.adversarial")
    if best is None:
        return (
            f"It cannot be told: a program of {versions} has no version to be compared with on "
            "images that were not made against it."
        )
    corrected = holm([best.p_picked, baseline.p_value])
    fewest = min(best.clusters, baseline.clusters)
    outcomes = [_outcome(gain, p) for gain, p in zip((best, baseline), corrected, strict=True)]
    said = too_few(fewest) if fewest < FEWEST else verdict(outcomes)
    return (
        f"{said}: on {best.images:,} adversarial images that were not made against the best "
        f"single version ({best.name}), from {best.clusters:,} test images, the "
        f"program of {versions} classifies {percent(best.first)} correctly and that version "
        f"{percent(best.second)} ({_size(best, corrected[0])}); on all {baseline.images:,}, "
        f"the program {percent(baseline.first)} and the baseline {percent(baseline.second)} "
        f"({_size(baseline, corrected[1])}). {_on_clean_images(results)}"
        f"{_failing_together(results)}"
    )


def _failing_together(results: Results) -> str:
    """Return whether versions fail together more often than independence allows, if it is known."""
    together = results.reliability.test
    found = None if together is None else together.failures
    if found is None or found.p_value is None or found.coincidences is None:
        return ""
    if found.p_value >= SIGNIFICANT:
        return ""
    return (
        f" Its versions do not fail independently: two or more fail on {found.coincidences:,} of "
        f"them, where independence predicts {found.expected_coincidences or 0.0:,.1f} "
        f"({p_value(found.p_value)})."
    )


def _defence_in_older_results(results: Results) -> str:
    """Return what can be said where nothing was compared by test image: no verdict."""
    program, baseline = results.program, results.distillation.baseline
    versions = [
        (row.adversarial_accuracy_others, row.name)
        for row in results.versions
        if row.adversarial_accuracy_others
    ]
    if not versions:
        raise _lacking("versions.adversarial_accuracy_others")
    others, name = max(versions, key=lambda version: version[0])
    alone = _known(baseline.adversarial_accuracy, "distillation.baseline.adversarial_accuracy")
    return (
        f"It cannot be told from {_OLDER}: the program of "
        f"{len(_known(program.versions, 'program.versions'))} classifies "
        f"{percent(_known(program.accuracy, 'program.accuracy'))} of the adversarial set "
        f"correctly, the baseline {percent(alone)}, and the best single version "
        f"({name}) {percent(others)} of the images that were "
        f"not made against it. Of the clean test images the program classifies "
        f"{percent(_known(program.test_accuracy, 'program.test_accuracy'))} correctly and the "
        f"baseline "
        f"{percent(_known(baseline.test_accuracy, 'distillation.baseline.test_accuracy'))}."
    )


def _on_clean_images(results: Results) -> str:
    compared = _known(results.comparisons.test, "comparisons.test")
    best = _known(compared.program_and_best_version, "comparisons.test")
    baseline = _known(compared.program_and_baseline, "comparisons.test")
    corrected = holm([best.p_picked, baseline.p_value])
    return (
        f"Of {baseline.images:,} clean test images it classifies {percent(baseline.first)} "
        f"correctly, the best version on these ({best.name}) {percent(best.second)} "
        f"({_size(best, corrected[0])}), and the baseline {percent(baseline.second)} "
        f"({_size(baseline, corrected[1])})."
    )


def _does_distilling_transfer(results: Results) -> str:
    found = results.distillation.comparison
    older = found is None
    if older and "certification" not in results.model_fields_set:
        raise _lacking("certification")
    rows = compare_twins(results) if found is None else found
    robustness = [row for row in rows if row.measure != "test_accuracy"]
    known = [row.verdict for row in robustness if row.verdict != "too few"]
    if known:
        word = verdict(known)
        if word == "Yes" and any(row.verdict == "worse" for row in rows):
            word = "In part"
    else:
        word = too_few(max((row.source_images for row in robustness), default=0))
    if older:
        word = f"It cannot be told from {_OLDER} of all measures"
    parts = [
        f"{words} {join([_measure(row) for row in rows if row.verdict == kind])}"
        for kind, words in (
            ("better", "better than the baseline in"),
            ("worse", "worse than the baseline in"),
            ("level", "not distinguishable from the baseline in"),
        )
        if any(row.verdict == kind for row in rows)
    ]
    unknown = [row.name for row in rows if row.verdict == "too few"]
    if unknown:
        parts.append(f"on too few images to say in {join(unknown)}")
    said = f"of {len(rows)} measures, the student is {'; '.join(parts)}. " if parts else ""
    return f"{word}: {said}{_place(results)}"


def _place(results: Results) -> str:
    rank, of = results.distillation.student_rank, results.distillation.rank_of
    if not rank:
        return "It was not ranked among the versions."
    return (
        f"Its rank on the adversarial set is {rank} of {of}, which says little: the set holds "
        "images made against each version, and none made against the student."
    )


def _measure(row: TwinRow) -> str:
    """Return a row's name with the size of the difference, its interval and p-value."""
    radius = row.measure.startswith("certified")
    digits, scale, unit = (4, 1, "") if radius else (2, 100, " points")
    low, high = (f"{scale * end:+.{digits}f}" for end in (row.low, row.high))
    if row.verdict == "level":
        return with_minus(f"{row.name} ({low} to {high}{unit})")
    size = f"{scale * row.difference:+.{digits}f}{unit}"
    p = _known(row.p_holm, "distillation.comparison.p_holm")
    return with_minus(f"{row.name} ({size}, {low} to {high}, {p_value(p)})")


def _size(gain: Comparison, corrected: float) -> str:
    """Return the size of a difference of shares, its interval and p-value."""
    difference, low, high = (100 * part for part in (gain.difference, gain.low, gain.high))
    return with_minus(f"{difference:+.2f} points, {low:+.2f} to {high:+.2f}, {p_value(corrected)}")


def _outcome(gain: Comparison, corrected: float) -> str:
    if corrected >= SIGNIFICANT:
        return "level"
    return "better" if gain.difference > 0 else "worse"
