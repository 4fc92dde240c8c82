"""An answer as a page shows it: in paragraphs, the verdict in front of those that have one."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nversion.report.values import unbroken

__all__ = ["Paragraph", "in_paragraphs"]

_AGAINST = "Against "
"""How the parts of an answer begin that are verdicts of their own."""

_VERDICT = re.compile(rf"((?:{_AGAINST}[^:]+: )?[^:]{{1,140}}:) (?=\S)")


@dataclass(frozen=True)
class Paragraph:
    """A sentence or two of an answer: its verdict with the colon, "" if it has none; the rest."""

    verdict: str
    text: str


def in_paragraphs(answer: str) -> list[Paragraph]:
    """Return an answer sentence by sentence; together they are the answer, word for word."""
    sentences = re.split(r"(?<=[^A-Z]\.) (?=[A-Z])", unbroken(answer))
    return [_paragraph(one, first=place == 0) for place, one in enumerate(sentences)]


def _paragraph(sentence: str, *, first: bool) -> Paragraph:
    found = _VERDICT.match(sentence) if first or sentence.startswith(_AGAINST) else None
    if found is None:
        return Paragraph("", sentence)
    return Paragraph(found[1], sentence[found.end() :])
