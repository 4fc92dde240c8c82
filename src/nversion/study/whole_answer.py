"""The second half of the third answer: does the program withstand attacks on itself?"""

from __future__ import annotations

import math
from collections.abc import Sequence

from nversion.evaluation.clustered import FEWEST
from nversion.study.sections import Results, Whole, WholeDistances, WholeGain, WholeSubject
from nversion.study.wording import p_value, significant, too_few, verdict, with_minus

__all__ = ["WHOLE_RULE", "withstands_itself"]

WHOLE_RULE = (
    "Against attacks on itself: the smallest change that any attack found is compared image by "
    "image in L2 and in L∞, the program's with that of the attacked version that falls last (its "
    "p-value is multiplied by the number of versions that it was picked from) and with the "
    "baseline's; what attacks did not find may exist, for all of them."
)


def withstands_itself(results: Results) -> str:
    """Return what attacks on the program itself say of it, in a few sentences."""
    whole = results.program.whole
    if whole is None or not whole.subjects:
        return "the program itself was not attacked."
    program = max(
        (one for one in whole.subjects if one.kind == "program"), key=lambda one: one.versions
    )
    images = whole.images or 0
    judged = [gain.verdict for gain in whole.gains if gain.verdict != "too few"]
    if images < FEWEST:
        word = too_few(images)
    elif program.versions == 1:
        word = "It cannot be told of a program of one version"
    else:
        word = verdict(judged) if judged else "It cannot be told"
    parts = [_in_norm(whole, program, norm) for norm in program.norms]
    return f"{word}: on {images} test images, {'; '.join(parts)}.{_no_better(whole, program)}"


def _in_norm(whole: Whole, program: WholeSubject, norm: str) -> str:
    """Return the medians in one norm: the program's, the best version's and the baseline's."""
    name = "L∞" if norm == "inf" else f"L{norm}"
    rivals = [
        f"{_called(gain)} at {_median(_subject(whole, gain).norms[norm])} ({_size(gain)})"
        for gain in whole.gains
        if gain.norm == norm
    ]
    beside = f", {' and '.join(rivals)}" if rivals else ""
    return (
        f"the program of {program.versions} falls at a median {name} of "
        f"{_median(program.norms[norm])}{beside}"
    )


def _called(gain: WholeGain) -> str:
    return f"the best version ({gain.name})" if gain.kind == "version" else f"the {gain.name}"


def _subject(whole: Whole, gain: WholeGain) -> WholeSubject:
    return next(one for one in whole.subjects if (one.name, one.kind) == (gain.name, gain.kind))


def _median(found: WholeDistances) -> str:
    if found.median is None:
        return "none (half of the images or more withstood)"
    low = "0" if found.low is None else significant(found.low)
    high = "∞" if found.high is None else significant(found.high)
    return f"{significant(found.median)} [{low}, {high}]"


def _size(gain: WholeGain) -> str:
    size, low, high = (significant(one, "+") for one in (gain.difference, gain.low, gain.high))
    said = f"mean difference {size}, {low} to {high}"
    if gain.p_holm is not None:
        said += f", {p_value(gain.p_holm)}"
    return with_minus(said)


def _no_better(whole: Whole, program: WholeSubject) -> str:
    """Say so where the program falls no later than its best version."""
    behind = [
        norm
        for norm in program.norms
        for gain in whole.gains
        if gain.kind == "version"
        and gain.norm == norm
        and _number(program.norms[norm]) <= _number(_subject(whole, gain).norms[norm])
    ]
    if not behind or program.versions == 1:
        return ""
    return f" In {_norms(behind)} the program is no better than its best version."


def _number(found: WholeDistances) -> float:
    return math.inf if found.median is None else found.median


def _norms(norms: Sequence[str]) -> str:
    return " and ".join("L∞" if norm == "inf" else f"L{norm}" for norm in norms)
