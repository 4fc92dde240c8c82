"""Student against baseline in the report: what the study found in each row of table III.

A study compares the two image by image and keeps what it found, by test image and corrected for the
number of rows. Results of older studies hold less: for these, radii and test accuracies are
compared here, and adversarial images, many of which come from one test image, not at all.
"""

from __future__ import annotations

from nversion.evaluation.comparisons import distinguishable, paired_difference
from nversion.report.values import count, decimal, infinite_radii, join, norm_name, p_value
from nversion.study.sections import Network, RadiiPair, Results, TwinRow

__all__ = [
    "certified_radii",
    "comparison_of",
    "favour",
    "radii_of",
    "student_against_baseline",
    "told_apart",
    "value_of",
]

_MEASURES = (
    ("test_accuracy", "test accuracy", True),
    ("certified_l1", "certified L1 radius", True),
    ("certified_l2", "certified L2 radius", True),
    ("adversarial_accuracy", "adversarial accuracy", True),
    ("adversarial_frequency", "adversarial frequency", False),
)


def comparison_of(results: Results, measure: str) -> TwinRow | None:
    """Return what the study found in one row of table III, or None where it has not compared."""
    rows = results.distillation.comparison or ()
    return next((row for row in rows if row.measure == measure), None)


def radii_of(results: Results, measure: str) -> RadiiPair | None:
    """Return the radii of a measure; None if it is not of radii, or there are none."""
    if not measure.startswith("certified_l"):
        return None
    known = results.certification
    norm = measure.removeprefix("certified_l")
    if norm.endswith("_random_target"):
        return known.norms_random_target.get(norm.removesuffix("_random_target"))
    if norm.endswith("_box"):
        return known.norms_box.get(norm.removesuffix("_box"))
    return known.norms.get(norm)


def value_of(network: Network, measure: str) -> float | None:
    """Return a network's value in a row of table III that is no row of radii beside the plain."""
    return {
        "test_accuracy": network.test_accuracy,
        "certified_l1": network.certified_l1,
        "certified_l2": network.certified_l2,
        "adversarial_accuracy": network.adversarial_accuracy,
        "adversarial_frequency": network.adversarial_frequency,
    }[measure]


def told_apart(results: Results, measure: str) -> bool | None:
    """Return whether student and baseline can be told apart in one row of table III.

    None where the results do not hold what it takes to say so.
    """
    row = comparison_of(results, measure)
    if row is not None:
        return row.verdict in ("better", "worse")
    if measure.startswith("certified_l"):
        return _radii_differ(radii_of(results, measure))
    twins = results.distillation
    student, baseline = value_of(twins.student, measure), value_of(twins.baseline, measure)
    tries = results.study.test_images if measure == "test_accuracy" else None
    if student is None or baseline is None or not tries:
        return None
    return distinguishable(student, baseline, tries)


def favour(results: Results, measure: str, difference: float) -> tuple[str, str, str]:
    """Return whom a row of table III favours, a remark, and whose colour that has ("" for none).

    Args:
        results: of the study.
        measure: the row's key.
        difference: student minus baseline.
    """
    row = comparison_of(results, measure)
    if row is not None and row.verdict == "too few":
        return "too few to say", f"{count(row.source_images)} images", ""
    if difference == 0:
        return "neither", "", ""
    known = told_apart(results, measure)
    p = row.p_holm if row is not None else None
    remark = "" if p is None else p_value(p)
    if known is False:
        return "not distinguishable", remark, ""
    if known is None:
        return "not known", "no interval", ""
    better = "student" if (difference > 0) != (measure == "adversarial_frequency") else "baseline"
    return better, remark, better


def student_against_baseline(results: Results) -> str | None:
    """Say in which measures the student is better and in which worse (table III)."""
    found = results.distillation.comparison
    if not found:
        return _of_older_results(results)
    parts = []
    for verdict, words in (
        ("better", "better in"),
        ("worse", "worse in"),
        ("level", "not distinguishable in"),
        ("too few", "on too few images to say in"),
    ):
        names = [row.name for row in found if row.verdict == verdict]
        parts += [f"{words} {join(names)}"] if names else []
    return f"Against the baseline the student is {'; '.join(parts)}." if parts else None


def _of_older_results(results: Results) -> str | None:
    better: list[str] = []
    worse: list[str] = []
    level: list[str] = []
    unsure: list[str] = []
    twins = results.distillation
    for key, name, more_is_better in _MEASURES:
        student, baseline = value_of(twins.student, key), value_of(twins.baseline, key)
        if student is None or baseline is None:
            continue
        known = told_apart(results, key)
        if student == baseline or known is False:
            level.append(name)
            continue
        if known is None:
            unsure.append(name)
            continue
        (better if (student > baseline) == more_is_better else worse).append(name)
    if not better and not worse and not level and not unsure:
        return None
    parts = [
        f"{word} {join(names)}"
        for word, names in (("better in", better), ("worse in", worse))
        if names
    ]
    if level:
        parts.append(f"not distinguishable in {join(level)}")
    if unsure:
        parts.append(f"for want of an interval not compared in {join(unsure)}")
    closing = "; the measures disagree" if better and worse else ""
    return f"Against the baseline the student is {'; '.join(parts)}{closing}."


def certified_radii(results: Results) -> str | None:
    """Say how the student's certified radii compare with the baseline's (figure 8)."""
    said = []
    for norm, radii in sorted(results.certification.norms.items()):
        student, baseline = radii.student.mean, radii.baseline.mean
        if student is None or baseline is None:
            continue
        name = norm_name(norm)
        pair = f"{decimal(student)} against {decimal(baseline)}"
        if infinite_radii(radii.student) or infinite_radii(radii.baseline):
            pair += ", infinite ones left out"
        if student != baseline and told_apart(results, f"certified_l{norm}") is False:
            said.append(f"not distinguishable in {name} ({pair})")
        else:
            word = "larger" if student > baseline else "smaller" if student < baseline else "equal"
            said.append(f"{word} in {name} ({pair})")
    if not said:
        return None
    return f"The student's mean certified radius, against the baseline's, is {join(said)}."


def _radii_differ(radii: RadiiPair | None) -> bool | None:
    """Return whether the radii of student and baseline can be told apart.

    None where there are none of the same images for both.
    """
    if radii is None or len(radii.student.radii) != len(radii.baseline.radii):
        return None
    pairs = [
        (ours, theirs)
        for ours, theirs in zip(radii.student.radii, radii.baseline.radii, strict=True)
        if ours is not None and theirs is not None
    ]
    difference = paired_difference([ours for ours, _ in pairs], [theirs for _, theirs in pairs])
    return None if difference is None else difference[1] > 0 or difference[2] < 0
