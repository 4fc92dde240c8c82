from __future__ import annotations

from typing import Any

import pytest

from nversion.study.sections import Results
from nversion.study.whole_answer import withstands_itself

IMAGES = 40


def distances(median: float | None) -> dict[str, Any]:
    return {"median": median, "low": 0.5, "high": 2.0, "distances": [median] * IMAGES}


def gain(name: str, kind: str, norm: str, verdict: str, difference: float) -> dict[str, Any]:
    return {
        "name": name,
        "kind": kind,
        "norm": norm,
        "verdict": verdict,
        "first": 1.0,
        "second": 1.0 - difference,
        "difference": difference,
        "low": difference - 0.1,
        "high": difference + 0.1,
        "p_value": 0.01,
        "p_holm": 0.02,
        "images": IMAGES,
        "clusters": IMAGES,
    }


def results(program: float | None, version: float, verdicts: list[str], images: int) -> Results:
    subjects = [
        {"name": "program of 1", "kind": "program", "versions": 1, "norms": {"2": distances(0.9)}},
        {
            "name": "program of 5",
            "kind": "program",
            "versions": 5,
            "norms": {"2": distances(program)},
        },
        {"name": "v003", "kind": "version", "versions": 1, "norms": {"2": distances(version)}},
        {"name": "baseline", "kind": "baseline", "versions": 1, "norms": {"2": distances(0.8)}},
    ]
    gains = [
        gain("v003", "version", "2", verdicts[0], 0.2),
        gain("baseline", "baseline", "2", verdicts[1], 0.4),
    ]
    whole = {"images": images, "subjects": subjects, "gains": gains}
    return Results.of({"program": {"whole": whole}})


@pytest.mark.parametrize(
    ("verdicts", "word"),
    [
        (["better", "better"], "Yes"),
        (["level", "better"], "In part"),
        (["worse", "level"], "No"),
        (["level", "level"], "No difference can be told from chance"),
    ],
)
def test_the_verdict_follows_from_the_tests(verdicts: list[str], word: str) -> None:
    said = withstands_itself(results(1.3, 1.1, verdicts, IMAGES))
    assert said.startswith(
        f"{word}: on 40 test images, the program of 5 falls at a median L2 of 1.3"
    )
    assert "no better" not in said


def test_a_program_that_falls_no_later_than_its_best_version_is_said_to() -> None:
    said = withstands_itself(results(1.1, 1.1, ["level", "better"], IMAGES))
    assert said.endswith("In L2 the program is no better than its best version.")


def test_few_images_and_none_and_withstood() -> None:
    assert withstands_itself(results(1.3, 1.1, ["too few"] * 2, 10)).startswith("Too few to say")
    assert withstands_itself(Results.of({})) == "the program itself was not attacked."
    said = withstands_itself(results(None, 1.1, ["better", "better"], IMAGES))
    assert "median L2 of none (half of the images or more withstood)" in said
