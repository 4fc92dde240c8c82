"""Student against baseline in the report: what the study found in each row of table III.

A study compares the two image by image and keeps what it found, by test image and corrected for the
number of rows. Results of older studies hold less: for these, radii and test accuracies are
compared here, and adversarial images, many of which come from one test image, not at all.
"""

from __future__ import annotations

from nversion.evaluation.comparisons import distinguishable, paired_difference
from nversion.report.values import (
    Results,
    count,
    decimal,
    finite,
    infinite_radii,
    join,
    lookup,
    norm_name,
    number,
    numbers,
    p_value,
    rows,
    text,
)

__all__ = [
    "certified_radii",
    "comparison_of",
    "favour",
    "radii_path",
    "student_against_baseline",
    "told_apart",
]

_MEASURES = (
    ("test_accuracy", "test accuracy", True),
    ("certified_l1", "certified L1 radius", True),
    ("certified_l2", "certified L2 radius", True),
    ("adversarial_accuracy", "adversarial accuracy", True),
    ("adversarial_frequency", "adversarial frequency", False),
)

_PROTOCOLS = (
    ("_random_target", "norms_random_target"),
    ("_box", "norms_box"),
    ("", "norms"),
)


def comparison_of(results: Results, measure: str) -> Results | None:
    """Return what the study found in one row of table III, or None where it has not compared."""
    found = [r for r in rows(results, "distillation.comparison") if r.get("measure") == measure]
    return found[0] if found else None


def radii_path(measure: str) -> str | None:
    """Return where in the results the radii of a measure are; None if it is not of radii."""
    if not measure.startswith("certified_l"):
        return None
    for ending, protocol in _PROTOCOLS:
        if measure.endswith(ending):
            norm = measure.removeprefix("certified_l").removesuffix(ending)
            return f"certification.{protocol}.{norm}"
    return None


def told_apart(results: Results, measure: str) -> bool | None:
    """Return whether student and baseline can be told apart in one row of table III.

    None where the results do not hold what it takes to say so.
    """
    row = comparison_of(results, measure)
    if row is not None:
        return row.get("verdict") in ("better", "worse")
    path = radii_path(measure)
    if path is not None:
        return _radii_differ(results, path)
    student, baseline = (
        number(results, f"distillation.{who}.{measure}") for who in ("student", "baseline")
    )
    tries = number(results, "study.test_images") if measure == "test_accuracy" else None
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
    if row is not None and row.get("verdict") == "too few":
        return "too few to say", f"{count(finite(row.get('source_images')))} images", ""
    if difference == 0:
        return "neither", "", ""
    known = told_apart(results, measure)
    p = finite(row.get("p_holm")) if row is not None else None
    remark = "" if p is None else p_value(p)
    if known is False:
        return "not distinguishable", remark, ""
    if known is None:
        return "not known", "no interval", ""
    better = "student" if (difference > 0) != (measure == "adversarial_frequency") else "baseline"
    return better, remark, better


def student_against_baseline(results: Results) -> str | None:
    """Say in which measures the student is better and in which worse (table III)."""
    found = rows(results, "distillation.comparison")
    if not found:
        return _of_older_results(results)
    parts = []
    for verdict, words in (
        ("better", "better in"),
        ("worse", "worse in"),
        ("level", "not distinguishable in"),
        ("too few", "on too few images to say in"),
    ):
        names = [text(row, "name") or "?" for row in found if row.get("verdict") == verdict]
        parts += [f"{words} {join(names)}"] if names else []
    return f"Against the baseline the student is {'; '.join(parts)}." if parts else None


def _of_older_results(results: Results) -> str | None:
    better: list[str] = []
    worse: list[str] = []
    level: list[str] = []
    unsure: list[str] = []
    for key, name, more_is_better in _MEASURES:
        student, baseline = (
            number(results, f"distillation.{who}.{key}") for who in ("student", "baseline")
        )
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
    norms = lookup(results, "certification.norms")
    said = []
    for norm in sorted(map(str, norms)) if isinstance(norms, dict) else ():
        path = f"certification.norms.{norm}"
        student, baseline = (
            number(results, f"{path}.{who}.mean") for who in ("student", "baseline")
        )
        if student is None or baseline is None:
            continue
        name = norm_name(norm)
        pair = f"{decimal(student)} against {decimal(baseline)}"
        if any(infinite_radii(results, f"{path}.{who}") for who in ("student", "baseline")):
            pair += ", infinite ones left out"
        if student != baseline and told_apart(results, f"certified_l{norm}") is False:
            said.append(f"not distinguishable in {name} ({pair})")
        else:
            word = "larger" if student > baseline else "smaller" if student < baseline else "equal"
            said.append(f"{word} in {name} ({pair})")
    if not said:
        return None
    return f"The student's mean certified radius, against the baseline's, is {join(said)}."


def _radii_differ(results: Results, path: str) -> bool | None:
    """Return whether the radii of student and baseline at a path can be told apart.

    None where the results do not hold the radii of the same images for both.
    """
    student, baseline = (numbers(results, f"{path}.{who}.radii") for who in ("student", "baseline"))
    if len(student) != len(baseline):
        return None
    pairs = [
        (ours, theirs)
        for ours, theirs in zip(student, baseline, strict=True)
        if ours is not None and theirs is not None
    ]
    difference = paired_difference([ours for ours, _ in pairs], [theirs for _, theirs in pairs])
    return None if difference is None else difference[1] > 0 or difference[2] < 0
