"""Requirements on results: what they say, what they find, and what is no requirement."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nversion.errors import InputError
from nversion.evidence import Requirement, found_at, judge
from nversion.evidence.keys import parts_of, quoted
from nversion.evidence.requirements import OPERATORS, requirements_in

ROOT = Path(__file__).resolve().parents[2]

VALUES: dict[str, Any] = {
    "study": {"name": "mine", "failures": []},
    "versions": [
        {"name": "a", "test_accuracy": 0.5},
        {"name": "b", "test_accuracy": None},
        {"name": "twice"},
        {"name": "twice"},
    ],
    "under_attack": [{"norm": "linf", "radius": 0.1, "value": 0.25}],
    "distillation": {"comparison": [{"measure": "test_accuracy", "name": "x", "difference": -0.1}]},
    "program": {"accuracy": 0.75, "accuracy_by_n": [0.5, 0.75], "against_best": None},
    "adversarial_set": {"storable": True},
    "whole": {"subjects": [{"name": "program of 3", "norms": {"l2": {"median": 1.5}}}]},
}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("program.accuracy", 0.75),
        ("versions.a.test_accuracy", 0.5),
        ("versions.0.test_accuracy", 0.5),
        ("program.accuracy_by_n.-1", 0.75),
        ("versions.length", 4),
        ('under_attack."linf@0.1".value', 0.25),
        ("distillation.comparison.test_accuracy.difference", -0.1),
        ('whole.subjects."program of 3".norms.l2.median', 1.5),
        # Known keys that this study lacks, or that are null, are values that were not measured.
        ("program.test_accuracy", None),
        ("program.against_best.low", None),
        ("comparisons.test.images", None),
        ("certification.program.images", None),
    ],
)
def test_a_key_finds_what_it_names(key: str, value: Any) -> None:
    assert found_at(VALUES, key) == value


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("program.acuracy", r"did you mean 'accuracy'\?"),
        ("progam.accuracy", r"did you mean 'program'\?"),
        ("versions.c.test_accuracy", "there is no 'c'; there are: a, b, twice"),
        ("versions.twice.name", "2 entries are called 'twice'"),
        ("versions.7.name", "versions has 4 entries, none at 7"),
        ("program.accuracy.low", "program.accuracy is 0.75, and has no 'low' in it"),
        ("program.against_best.lo", r"did you mean 'low'\?"),
        ("comparisons.test.imges", r"did you mean 'images'\?"),
        ("under_attack.linf", r'"linf@0\.1"'),
        ("program..accuracy", "empty or badly quoted"),
        ('program."accuracy', "badly quoted"),
        ("", "empty"),
    ],
)
def test_an_unknown_key_is_an_error_that_says_which_there_are(key: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        found_at(VALUES, key)


@given(st.lists(st.text(min_size=1), min_size=1))
def test_parts_are_given_back_as_they_were_quoted(parts: list[str]) -> None:
    key = ".".join(map(quoted, parts))
    assert parts_of(key) == parts
    assert Requirement.parse(f"{key}>=0.5").key == key


@given(
    st.floats(-10, 10),
    st.sampled_from(sorted(OPERATORS)),
    st.floats(allow_nan=False, allow_infinity=False),
)
def test_a_requirement_passes_where_the_relation_holds(
    found: float, relation: str, wanted: float
) -> None:
    requirement = Requirement.parse(f"program.accuracy {relation}{wanted!r}")
    assert requirement == Requirement("program.accuracy", relation, wanted)
    (judgement,) = judge({"program": {"accuracy": found}}, [requirement])
    assert judgement.passed is OPERATORS[relation](found, wanted)
    assert Requirement.parse(str(requirement)).relation == relation


@pytest.mark.parametrize("relation", sorted(OPERATORS))
def test_what_was_not_measured_never_passes(relation: str) -> None:
    (judgement,) = judge(VALUES, [Requirement.parse(f"versions.b.test_accuracy{relation}0")])
    assert not judgement.passed
    assert "not measured" in judgement.reason


def test_texts_and_truths_can_be_equal() -> None:
    wanted = ["study.name==mine", 'study.name=="mine"', "adversarial_set.storable==true"]
    assert all(one.passed for one in judge(VALUES, map(Requirement.parse, wanted)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("program.accuracy", "is no requirement"),
        ("program.accuracy>=", "is no requirement"),
        (">=1", "is no requirement"),
        ("program.accuracy=>1", "'=>' is none of"),
        ("program.accuracy!=1", "'!=' is none of"),
        ("program.accuracy>=nan", "finite"),
        ("program.accuracy<1e999", "finite"),
        ("study.name>=mine", "only a number"),
    ],
)
def test_what_is_no_requirement_is_refused(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Requirement.parse(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("versions>3", r"its length \(versions.length\)"),
        ("program>3", "name one of: accuracy"),
        ("study.name==3", "is a text"),
        ("program.accuracy==true", "is a number"),
    ],
)
def test_what_cannot_be_compared_is_refused(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        judge(VALUES, [Requirement.parse(text)])


def test_a_file_has_requirements_line_by_line() -> None:
    text = "# at least\nprogram.accuracy >= 0.5  # half\n\nstudy.failures.length==0\n"
    assert [one.key for one in requirements_in(text)] == [
        *("program.accuracy", "study.failures.length"),
    ]
    with pytest.raises(InputError, match="line 2: 'no' is no requirement"):
        requirements_in("\nno\n")


def test_every_number_of_a_published_study_can_be_required() -> None:
    values = json.loads((ROOT / "docs/results/mnist-10/results.json").read_text("utf-8"))

    def walk(value: Any, parts: list[str]) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(inner, [*parts, key])
        elif isinstance(value, list):
            # From the end: a place from 0 may be the radius of another entry, which goes first.
            for place, inner in enumerate(value[:3]):
                walk(inner, [*parts, str(place - len(value))])
        else:
            assert found_at(values, ".".join(f'"{part}"' for part in parts)) == value

    walk(values, [])
