"""The top of the page for somebody who knows nothing of it: three sentences, and what is scant."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup, escape

from nversion.evaluation.clustered import FEWEST
from nversion.report.values import plural
from nversion.study.sections import Results

__all__ = ["INTRODUCTION", "WORDS", "Linker", "Word", "scant"]

INTRODUCTION = (
    "In N-version programming, several programs that were made apart solve the same task and vote, "
    "so that a mistake of one is outvoted by the others (Avizienis, 1985). Here the programs are "
    "neural networks: each version has an architecture of its own, all learn from the same images, "
    "and together they are the program. Adversarial images, changed so little that people see no "
    "difference in kind while a network errs, show whether versions err together; and a student "
    "that learns from the program\u2019s answers shows what of it fits into one network."
)


@dataclass(frozen=True)
class Word:
    """A word of the report: its key, how it is written, and what it means."""

    key: str
    term: str
    meaning: str

    @property
    def identity(self) -> str:
        """The id of its place on the page."""
        return f"word-{self.key}"


WORDS = (
    Word(
        "version",
        "version",
        "One trained network. Marks in the figures show its name: rest the pointer on them, touch "
        "them, or go to a figure with the tab key and along its marks with the arrow keys.",
    ),
    Word(
        "program",
        "program",
        "All versions together with a voter that turns their outputs into one verdict.",
    ),
    Word(
        "attack",
        "attack",
        "A method that looks for a small change of an image that makes a network err. Its norm "
        "says what small means: L0 counts changed pixels, L1 sums all changes, L2 is the Euclidean "
        "length, L∞ the largest change of one pixel; pixels go from 0 to 1.",
    ),
    Word(
        "adversarial-set",
        "adversarial set, adversarial images",
        "The perturbed images that the attacks made against the single versions. Where the program "
        "itself was the target, it is said.",
    ),
    Word(
        "adversarial-accuracy",
        "adversarial accuracy",
        "The share of the adversarial set that a network or the program gets right, images made "
        "against itself included.",
    ),
    Word(
        "effectiveness",
        "effectiveness, adversarial frequency",
        "The share of attack runs that succeed, against the versions and against student or "
        "baseline. An image that is already misclassified is no success.",
    ),
    Word(
        "student",
        "student, baseline",
        "Two networks of one architecture. The student learns from the program\u2019s labels, the "
        "baseline from the true ones.",
    ),
    Word(
        "certified-radius",
        "certified radius",
        "A lower bound on the size of any change that alters the prediction for one image, in one "
        "norm.",
    ),
    Word(
        "not-distinguishable",
        "not distinguishable",
        "The difference is not more than chance at 5\u202f%. Student and baseline, and the program "
        "and single networks, are compared image by image: in a permutation test whole test images "
        "change sides, with everything that was made of them, and the p-values are corrected for "
        "their number by Holm\u2019s method. Attacks are compared by whether their 95\u202f% "
        "Wilson intervals overlap. Where the number of test images is not known, values are "
        "compared as they are.",
    ),
    Word(
        "by-test-image",
        "by test image",
        "Adversarial images that were made from one test image stand and fall together. Intervals "
        "and tests count test images: the bootstrap draws whole test images again, with all images "
        "made from them.",
    ),
    Word(
        "interval",
        "95\u202f% interval",
        "What the data allow: were the test images drawn anew many times, about 95 of 100 such "
        "intervals would hold the true value.",
    ),
)
"""The words of the report, as they are explained at its end."""

_FORMS: tuple[tuple[str, str], ...] = (
    ("adversarial accuracy", "adversarial-accuracy"),
    ("adversarial frequency", "effectiveness"),
    ("adversarial set", "adversarial-set"),
    ("adversarial images", "adversarial-set"),
    ("certified radi(?:us|i)", "certified-radius"),
    ("not distinguishable", "not-distinguishable"),
    ("by test image", "by-test-image"),
    ("95[ \u202f]% interval", "interval"),
    ("effectiveness", "effectiveness"),
    ("attacks?", "attack"),
    ("versions?", "version"),
    ("program", "program"),
    ("students?", "student"),
    ("baseline", "student"),
)
_ANY = re.compile("|".join(rf"\b({form})\b" for form, _ in _FORMS), re.IGNORECASE)


class Linker:
    """Links each word of the report to its meaning where it is first used on the page."""

    def __init__(self) -> None:
        self._linked: set[str] = set()

    def __call__(self, text: str) -> Markup:
        """Return a text, escaped, in which words that were not linked before are links."""
        parts, end = [], 0
        for found in _ANY.finditer(text):
            key = _FORMS[(found.lastindex or 1) - 1][1]
            # "N-version programming" is the method's name, no use of the word.
            if key in self._linked or text[: found.start()].endswith("-"):
                continue
            self._linked.add(key)
            parts.append(escape(text[end : found.start()]))
            parts.append(Markup('<a class="word" href="#word-{}">{}</a>').format(key, found[0]))
            end = found.end()
        return Markup("").join([*parts, escape(text[end:])])


def scant(results: Results) -> list[str]:
    """Return where the data are too few to lean on, each in a sentence."""
    program, radii = results.program, results.certification
    whole = program.whole
    counts: Iterable[tuple[int | None, str]] = (
        (
            results.adversarial_set.source_images,
            "The adversarial images come from {}",
        ),
        (
            None if whole is None or not whole.subjects else whole.images,
            "Attacks on the program itself were run on {}",
        ),
        (radii.images if radii.norms or radii.norms_box else None, "Radii were certified on {}"),
    )
    found = [
        f"{words.format(plural(amount, 'test image'))}, and below {FEWEST} no comparison of them "
        "is told from chance."
        for amount, words in counts
        if amount is not None and amount < FEWEST
    ]
    versions = len(results.trained)
    if 0 < versions < 5:
        found.append(
            f"{plural(versions, 'version')} cannot outvote much: what "
            "is said of the program holds for these versions, and little of others."
        )
    return found
