from __future__ import annotations

import pytest

from nversion.report.text.answers import Paragraph, in_paragraphs


@pytest.mark.parametrize(
    ("answer", "parts"),
    [
        (
            "Against images made for its members (zero knowledge): In part: on 30 images, 97.50 % "
            "are right (p = 0.010). Of 60 clean ones: 99 %. Against attacks on itself (full "
            "knowledge): No: it falls at 1.40 [1.15, 1.51]. In L2 it is no better.",
            [
                (
                    "Against images made for its members (zero knowledge): In part:",
                    "on 30 images, 97.50\u202f% are right (p\u00a0=\u00a00.010).",
                ),
                ("", "Of 60 clean ones: 99\u202f%."),
                (
                    "Against attacks on itself (full knowledge): No:",
                    "it falls at 1.40 [1.15, 1.51].",
                ),
                ("", "In L2 it is no better."),
            ],
        ),
        ("No attack was run.", [("", "No attack was run.")]),
        ("Yes: of v1. Its rank is 1.", [("Yes:", "of v1."), ("", "Its rank is 1.")]),
        ("It is as B. Smith says.", [("", "It is as B. Smith says.")]),
    ],
)
def test_an_answer_is_shown_in_paragraphs(answer: str, parts: list[tuple[str, str]]) -> None:
    found = in_paragraphs(answer)
    assert found == [Paragraph(verdict, text) for verdict, text in parts]
    again = " ".join(f"{one.verdict} {one.text}".strip() for one in found)
    assert again.replace("\u202f", " ").replace("\u00a0", " ") == answer
