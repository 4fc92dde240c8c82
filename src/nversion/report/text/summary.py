"""The top of the report: what was run, the four answers, and the key numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nversion.report.reference import Study2019, reference_for
from nversion.report.text.answers import Paragraph, in_paragraphs
from nversion.report.text.beside import best_itself, program_itself
from nversion.report.text.tables import one_line
from nversion.report.values import (
    MISSING,
    count,
    decimal,
    duration,
    interval,
    join,
    norm_name,
    ordinal,
    percent,
    plural,
)
from nversion.study.sections import Results, StudyFacts

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

    @property
    def paragraphs(self) -> list[Paragraph]:
        """The answer as a page shows it."""
        return in_paragraphs(self.answer)


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
    name = results.study.name or results.study.dataset
    return f"N-version study: {name}" if name else "N-version study"


def lede(results: Results) -> str:
    """Return one sentence on what was done, from what there is."""
    good = len(results.trained)
    dataset = results.study.dataset
    attacks = len(results.attacks)
    loaded = sum(version.origin is not None for _, version in results.trained)
    parts = [f"{plural(good - loaded, 'network')} trained{f' on {dataset}' if dataset else ''}"]
    if loaded:
        parts = [*(parts if good > loaded else []), f"{plural(loaded, 'network')} taken from files"]
    if attacks:
        parts.append(f"attacked by {plural(attacks, 'method')}")
    if results.program.model_fields_set:
        parts.append("put to the vote as one program")
    if results.distillation.model_fields_set:
        parts.append("distilled into a single student")
    return f"{join(parts)}."


def facts(results: Results) -> list[tuple[str, str]]:
    """Return what was run and where, as terms and values; what is unknown is left out."""
    study = results.study
    failed = len(results.versions) - len(results.trained)
    where = [study.device] if study.device else []
    where += [plural(study.workers, "worker")] if study.workers else []
    software = [
        f"{name} {release}"
        for name, release in (
            ("nversion", study.nversion),
            ("torch", study.torch),
            ("python", study.python),
        )
        if release
    ]
    known = (
        ("Dataset", study.dataset),
        ("Images", _images(study)),
        ("Classes", _classes(study)),
        ("Versions", f"{count(study.versions)}{f', {failed} failed' if failed else ''}"),
        ("Recipe", study.recipe),
        ("Voter", study.voter),
        ("Seed", "" if study.seed is None else str(study.seed)),
        ("Where", ", ".join(where)),
        ("Wall-clock time", _wall_clock(study)),
        ("Software", ", ".join(software)),
        ("Commit", study.commit),
    )
    return [(term, value) for term, value in known if value and value != MISSING]


def _wall_clock(study: StudyFacts) -> str:
    """Return how long the work took that the results consist of, and beside it what was lost."""
    taken = duration(study.wall_seconds.get("total"))
    lost = study.discarded_seconds or 0.0
    return f"{taken}, and {duration(lost)} of work thrown away" if lost >= 1 else taken


def _images(study: StudyFacts) -> str:
    """Return how many images there are to learn from and to test on, and how large they are."""
    splits = ((study.train_images, "training"), (study.test_images, "testing"))
    parts = [f"{count(images)} for {what}" for images, what in splits if images is not None]
    if study.shape and len(study.shape) == 3:
        channels, height, width = (count(side) for side in study.shape)
        colour = {"1": "greyscale", "3": "colour"}.get(channels, f"{channels} channels")
        parts.append(f"each {width}\u00d7{height} pixels, {colour}")
    return ", ".join(parts)


def _classes(study: StudyFacts) -> str:
    names = study.class_names
    if not names:
        return ""
    listed = ", ".join(names if len(names) <= 20 else [*names[:20], "..."])
    return f"{len(names)}: {listed}"


def failures(results: Results) -> list[tuple[str, str]]:
    """Return the units of work that failed, each with its error."""
    return [
        (failure.unit or MISSING, failure.error or "no reason was given")
        for failure in results.study.failures
    ]


def questions(results: Results) -> list[Question]:
    """Return the study's questions with their answers, as the results give them."""
    stored = results.to_json()
    return [
        Question(
            asked.question or MISSING,
            asked.answer or "No answer was given.",
            asked.rule or NO_RULE,
            [(key, _as_stored(stored, key)) for key in asked.rests_on],
        )
        for asked in results.questions
    ]


def key_numbers(results: Results) -> list[KeyNumber]:
    """Return the numbers to know, those that there are."""
    then = reference_for(results)
    found = [*_program_numbers(results, then), *_other_numbers(results, then)]
    return [known for known in found if known.value != MISSING]


def _program_numbers(results: Results, then: Study2019 | None) -> list[KeyNumber]:
    known, baseline = results.program, results.distillation.baseline
    program = "Program" if known.versions is None else f"Program of {len(known.versions)}"
    ends = (known.accuracy_low, known.accuracy_high)
    sure = "" if None in ends else f"95\u202f% interval by test image {interval(*ends)}"
    return [
        KeyNumber(
            f"{program}, adversarial images",
            percent(known.accuracy),
            sure,
            percent(then.program) if then else "",
            "program",
        ),
        *_best_version(results, then),
        *_itself(results, program),
        KeyNumber(
            "Mean of the single versions, adversarial images",
            percent(known.mean_individual),
            "images made against each of them included",
            percent(then.mean_individual) if then else "",
            "versions",
        ),
        KeyNumber(
            "Baseline, adversarial images",
            percent(baseline.adversarial_accuracy),
            "one network trained alone",
            percent(then.baseline["adversarial_accuracy"]) if then else "",
            "baseline",
        ),
        KeyNumber(
            f"{program}, test images",
            percent(known.test_accuracy),
            "" if baseline.test_accuracy is None else f"baseline {percent(baseline.test_accuracy)}",
            role="program",
        ),
    ]


def _itself(results: Results, program: str) -> list[KeyNumber]:
    """Return how far the program is from falling when it is the target, in each norm."""
    numbers = []
    for norm in ("2", "inf"):
        best = best_itself(results, norm)
        note = "the smallest change that any attack found, median over test images"
        if best is not None:
            note = f"best version ({best[0]}) {decimal(best[1])}; {note}"
        title = f"{program} attacked itself, {norm_name(norm)}"
        numbers.append(
            KeyNumber(title, decimal(program_itself(results, norm)), note, role="program")
        )
    return numbers


def _best_version(results: Results, then: Study2019 | None) -> list[KeyNumber]:
    """Return the best version's accuracy on images not made against it, where that is known."""
    adversarial = results.comparisons.adversarial
    if adversarial and (gain := adversarial.program_and_best_version):
        return [
            KeyNumber(
                "Best single version, images not made against it",
                percent(gain.second),
                f"{gain.name or MISSING}; the program on the same images {percent(gain.first)}",
                role="versions",
            )
        ]
    name = results.program.best_individual_name
    return [
        KeyNumber(
            "Best single version, adversarial images",
            percent(results.program.best_individual),
            f"{f'{name}; ' if name else ''}images made against it included",
            percent(then.best_individual) if then else "",
            "versions",
        )
    ]


def _other_numbers(results: Results, then: Study2019 | None) -> list[KeyNumber]:
    shares = [attack.effectiveness for attack in results.attacks]
    known = [share for share in shares if share is not None]
    size, sources = results.adversarial_set.size, results.adversarial_set.source_images
    twins = results.distillation
    rank, of = twins.student_rank, twins.rank_of
    student, baseline = twins.student.certified_l2, twins.baseline.certified_l2
    return [
        KeyNumber(
            "Mean effectiveness of the attacks",
            percent(sum(known) / len(known) if known else None),
            plural(len(known), "attack"),
            percent(then.mean_effectiveness, 1) if then else "",
        ),
        KeyNumber(
            "Adversarial set",
            count(size),
            "images" if sources is None else f"images, from {count(sources)} test images",
        ),
        KeyNumber(
            "Rank of the student, adversarial images",
            MISSING if rank is None else ordinal(rank),
            "" if of is None else f"of {of}; the versions carry the images made against them",
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
        ("Architecture", one_line(results.distillation.architecture)),
        ("Recipe", results.distillation.recipe),
        ("Objective", results.distillation.objective),
    )
    return [(term, value) for term, value in known if value and value != MISSING]


def config(results: Results) -> str | None:
    """Return the whole configuration as indented JSON, or None."""
    value = results.study.config
    return None if value is None else json.dumps(value, indent=2, ensure_ascii=False)


def _as_stored(stored: Mapping[str, Any], path: str) -> str:
    """Return the value at a dotted path as it is stored, to six digits; one of many parts as ""."""
    value: Any = stored
    for key in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(key)
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if isinstance(value, dict | list) or value is None else json.dumps(value)
