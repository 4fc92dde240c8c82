"""The top of the report: what was run, the four answers, and the key numbers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from nversion.report.reference import Study2019, reference_for
from nversion.report.tables import one_line
from nversion.report.values import (
    MISSING,
    Results,
    count,
    decimal,
    duration,
    finite,
    interval,
    join,
    lookup,
    number,
    numbers,
    ordinal,
    percent,
    plural,
    rows,
    text,
    trained,
)

__all__ = [
    "KeyNumber",
    "Question",
    "config",
    "facts",
    "failures",
    "key_numbers",
    "lede",
    "networks",
    "questions",
    "title",
]


NO_RULE = (
    "not recorded. This answer is of an older version of nversion, which took adversarial images "
    "from one test image for independent and judged versions on images made against them; run the "
    "study again for an answer by the present rules."
)
"""What stands in the place of the rule in results of older studies."""


@dataclass(frozen=True)
class Question:
    """One of the study's questions, its answer, the rule behind it, and the values it rests on."""

    question: str
    answer: str
    rule: str
    rests_on: list[tuple[str, str]]


@dataclass(frozen=True)
class KeyNumber:
    """A number to know: what it is, a remark, the 2019 study's, and whose colour it has."""

    label: str
    value: str
    note: str = ""
    then: str = ""
    role: str = ""


def title(results: Results) -> str:
    """Return the report's title."""
    name = text(results, "study.name") or text(results, "study.dataset")
    return f"N-version study: {name}" if name else "N-version study"


def lede(results: Results) -> str:
    """Return one sentence on what was done, from what there is."""
    good = len(trained(results))
    dataset = text(results, "study.dataset")
    attacks = len(rows(results, "attacks"))
    parts = [f"{plural(good, 'network')} trained{f' on {dataset}' if dataset else ''}"]
    if attacks:
        parts.append(f"attacked by {plural(attacks, 'method')}")
    if lookup(results, "program"):
        parts.append("put to the vote as one program")
    if lookup(results, "distillation"):
        parts.append("distilled into a single student")
    return f"{join(parts)}."


def facts(results: Results) -> list[tuple[str, str]]:
    """Return what was run and where, as terms and values; what is unknown is left out."""
    workers, versions = number(results, "study.workers"), number(results, "study.versions")
    failed = len(rows(results, "versions")) - len(trained(results))
    where = [part for part in (text(results, "study.device"),) if part]
    where += [plural(int(workers), "worker")] if workers else []
    software = [
        f"{name} {release}"
        for name in ("nversion", "torch", "python")
        if (release := text(results, f"study.{name}"))
    ]
    known = (
        ("Dataset", text(results, "study.dataset")),
        ("Images", _images(results)),
        ("Classes", _classes(results)),
        ("Versions", f"{count(versions)}{f', {failed} failed' if failed else ''}"),
        ("Recipe", text(results, "study.recipe")),
        ("Voter", text(results, "study.voter")),
        ("Seed", text(results, "study.seed")),
        ("Where", ", ".join(where)),
        ("Wall-clock time", _wall_clock(results)),
        ("Software", ", ".join(software)),
        ("Commit", text(results, "study.commit")),
    )
    return [(term, value) for term, value in known if value and value != MISSING]


def _wall_clock(results: Results) -> str:
    """Return how long the work took that the results consist of, and beside it what was lost."""
    taken = duration(number(results, "study.wall_seconds.total"))
    lost = number(results, "study.discarded_seconds") or 0.0
    return f"{taken}, and {duration(lost)} of work thrown away" if lost >= 1 else taken


def _images(results: Results) -> str:
    """Return how many images there are to learn from and to test on, and how large they are."""
    train, test = (number(results, f"study.{split}_images") for split in ("train", "test"))
    parts = [f"{count(train)} for training"] if train is not None else []
    parts += [f"{count(test)} for testing"] if test is not None else []
    shape = numbers(results, "study.shape")
    if len(shape) == 3 and None not in shape:
        channels, height, width = (count(side) for side in shape)
        colour = {"1": "greyscale", "3": "colour"}.get(channels, f"{channels} channels")
        parts.append(f"each {width}\u00d7{height} pixels, {colour}")
    return ", ".join(parts)


def _classes(results: Results) -> str:
    names = lookup(results, "study.class_names")
    if not isinstance(names, list) or not names:
        return ""
    shown = [str(name) for name in names]
    listed = ", ".join(shown if len(shown) <= 20 else [*shown[:20], "..."])
    return f"{len(shown)}: {listed}"


def failures(results: Results) -> list[tuple[str, str]]:
    """Return the units of work that failed, each with its error."""
    return [
        (text(row, "unit") or MISSING, text(row, "error") or "no reason was given")
        for row in rows(results, "study.failures")
    ]


def questions(results: Results) -> list[Question]:
    """Return the study's questions with their answers, as the results give them."""
    found = []
    for row in rows(results, "questions"):
        keys = row.get("rests_on")
        found.append(
            Question(
                text(row, "question") or MISSING,
                text(row, "answer") or "No answer was given.",
                text(row, "rule") or NO_RULE,
                [(str(key), _as_stored(results, str(key))) for key in keys]
                if isinstance(keys, list)
                else [],
            )
        )
    return found


def key_numbers(results: Results) -> list[KeyNumber]:
    """Return the numbers to know, those that there are."""
    then = reference_for(results)
    found = [*_program_numbers(results, then), *_other_numbers(results, then)]
    return [known for known in found if known.value != MISSING]


def _program_numbers(results: Results, then: Study2019 | None) -> list[KeyNumber]:
    versions = lookup(results, "program.versions")
    program = f"Program of {len(versions)}" if isinstance(versions, list) else "Program"
    ends = [number(results, f"program.accuracy_{end}") for end in ("low", "high")]
    sure = "" if None in ends else f"95\u202f% interval by test image {interval(*ends)}"
    return [
        KeyNumber(
            f"{program}, adversarial images",
            percent(number(results, "program.accuracy")),
            sure,
            percent(then.program) if then else "",
            "program",
        ),
        *_best_version(results, then),
        KeyNumber(
            "Mean of the single versions, adversarial images",
            percent(number(results, "program.mean_individual")),
            "images made against each of them included",
            percent(then.mean_individual) if then else "",
            "versions",
        ),
        KeyNumber(
            "Baseline, adversarial images",
            percent(number(results, "distillation.baseline.adversarial_accuracy")),
            "one network trained alone",
            percent(then.baseline["adversarial_accuracy"]) if then else "",
            "baseline",
        ),
        KeyNumber(
            f"{program}, test images",
            percent(number(results, "program.test_accuracy")),
            _baseline_on_test(results),
            role="program",
        ),
    ]


def _baseline_on_test(results: Results) -> str:
    baseline = number(results, "distillation.baseline.test_accuracy")
    return "" if baseline is None else f"baseline {percent(baseline)}"


def _best_version(results: Results, then: Study2019 | None) -> list[KeyNumber]:
    """Return the best version's accuracy on images not made against it, where that is known."""
    path = "comparisons.adversarial.program_and_best_version"
    if (others := number(results, f"{path}.second")) is not None:
        return [
            KeyNumber(
                "Best single version, images not made against it",
                percent(others),
                f"{text(results, f'{path}.name') or MISSING}; the program on the same images "
                f"{percent(number(results, f'{path}.first'))}",
                role="versions",
            )
        ]
    name = text(results, "program.best_individual_name")
    return [
        KeyNumber(
            "Best single version, adversarial images",
            percent(number(results, "program.best_individual")),
            f"{f'{name}; ' if name else ''}images made against it included",
            percent(then.best_individual) if then else "",
            "versions",
        )
    ]


def _other_numbers(results: Results, then: Study2019 | None) -> list[KeyNumber]:
    shares = [finite(attack.get("effectiveness")) for attack in rows(results, "attacks")]
    known = [share for share in shares if share is not None]
    sources = number(results, "adversarial_set.source_images")
    rank, of = (number(results, f"distillation.{key}") for key in ("student_rank", "rank_of"))
    student, baseline = (
        number(results, f"distillation.{who}.certified_l2") for who in ("student", "baseline")
    )
    return [
        KeyNumber(
            "Mean effectiveness of the attacks",
            percent(sum(known) / len(known) if known else None),
            plural(len(known), "attack"),
            percent(then.mean_effectiveness, 1) if then else "",
        ),
        KeyNumber(
            "Adversarial set",
            count(number(results, "adversarial_set.size")),
            "images" if sources is None else f"images, from {count(sources)} test images",
        ),
        KeyNumber(
            "Rank of the student, adversarial images",
            MISSING if rank is None else ordinal(int(rank)),
            "" if of is None else f"of {int(of)}; the versions carry the images made against them",
            f"{ordinal(then.student_rank)} of {then.rank_of}" if then else "",
            "student",
        ),
        KeyNumber(
            "Mean certified L2 radius of the student",
            decimal(student),
            "" if baseline is None else f"baseline {decimal(baseline)}",
            str(then.student["certified_l2"]) if then else "",
            "student",
        ),
    ]


def networks(results: Results) -> list[tuple[str, str]]:
    """Return how student and baseline were made, as terms and values."""
    known = (
        ("Architecture", one_line(text(results, "distillation.architecture"))),
        ("Recipe", text(results, "distillation.recipe")),
        ("Objective", text(results, "distillation.objective")),
    )
    return [(term, value) for term, value in known if value and value != MISSING]


def config(results: Results) -> str | None:
    """Return the whole configuration as indented JSON, or None."""
    value = lookup(results, "study.config")
    return json.dumps(value, indent=2, ensure_ascii=False) if isinstance(value, dict) else None


def _as_stored(results: Results, path: str) -> str:
    """Return a value of the results as they store it, to six digits; one of many parts as ""."""
    value: Any = lookup(results, path)
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if isinstance(value, dict | list) or value is None else json.dumps(value)
