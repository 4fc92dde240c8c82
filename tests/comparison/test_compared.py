"""Studies side by side: what differs is shown, what is the same is not, and text stays text."""

from __future__ import annotations

import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from nversion.comparison import compare
from nversion.comparison.compared import ABSENT
from nversion.comparison.page import page
from nversion.errors import InputError
from nversion.study.finished import FinishedStudy, open_study

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"
HOSTILE = "<script>alert('x')</script>&\"{{ 7 * 7 }}"

Make = Callable[..., FinishedStudy]


def results(name: str = "mine", *, accuracy: float = 0.9, verdict: str = "level") -> dict[str, Any]:
    twin = {
        "measure": "test_accuracy",
        "name": "test accuracy",
        "verdict": verdict,
        "p_holm": None,
        **dict.fromkeys(("student", "baseline", "difference", "low", "high", "p_value"), 0.5),
        **dict.fromkeys(("images", "source_images"), 100),
    }
    known = ("first", "second", "difference", "low", "high", "p_value")
    gain = {
        "name": "v001",
        "kind": "version",
        "norm": "2",
        "verdict": verdict,
        **dict.fromkeys(known, 0.5),
        **dict.fromkeys(("images", "clusters"), 100),
    }
    subject = {"name": "v001", "kind": "version", "versions": 1, "norms": {"2": {"median": 1.0}}}
    whole = {"subjects": [subject], "gains": [gain]}
    return {
        "study": {
            "name": name,
            "test_images": 100,
            "commit": "abc",
            "config": {"seed": 7, "attacks": {"names": ["fab", "apgd"], "options": {}}},
        },
        "versions": [{"name": "v001", "test_accuracy": 0.5}],
        "program": {"test_accuracy": accuracy, "whole": whole},
        "distillation": {"comparison": [twin], "student": {"test_accuracy": 0.8}},
        "questions": [{"question": "Does it?", "answer": f"Yes: {accuracy} of 100."}],
    }


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def write(values: dict[str, Any]) -> FinishedStudy:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        (folder / "results.json").write_text(json.dumps(values))
        return open_study(folder)

    return write


def test_the_same_study_differs_in_nothing(make: Make) -> None:
    found = compare({"a": make(results()), "b": make(results())})
    assert found.settings == ()
    assert found.changed == ()
    assert all(row.differences[0] and row.differences[0].value == 0 for row in found.numbers)


def test_what_differs_is_named(make: Make) -> None:
    other = results("other", accuracy=0.5, verdict="worse")
    other["study"]["config"]["attacks"] = {"names": ["fab"], "options": {"fab": {"steps": 3}}}
    found = compare({"a": make(results()), "b": make(other), "c": make({})})
    settings = {row.key: row.values for row in found.settings}
    assert settings["attacks.names"] == ("fab, apgd", "fab", ABSENT)
    assert settings["attacks.options.fab.steps"] == (ABSENT, "3", ABSENT)
    assert settings["(run) commit"] == ("abc", "abc", ABSENT)
    assert "name" not in settings
    assert [row.verdicts for row in found.changed] == [
        ("level", "worse", ABSENT),
        ("level", "worse", ABSENT),
    ]


def test_other_numbers_in_an_answer_are_no_other_verdict(make: Make) -> None:
    found = compare({"a": make(results()), "b": make(results(accuracy=0.5))})
    (row,) = (row for row in found.verdicts if row.name == "Does it?")
    assert not row.changed


def test_numbers_have_differences_and_versions_are_left_out(make: Make) -> None:
    found = compare({"a": make(results()), "b": make(results(accuracy=0.5))})
    assert [(row.subject, row.name) for row in found.numbers] == [
        ("program", "accuracy on the test images"),
        ("student", "accuracy on the test images"),
    ]
    (change,) = found.numbers[0].differences
    assert change is not None
    assert change.value == pytest.approx(-0.4)
    assert change.clear


def test_one_study_is_no_comparison(make: Make) -> None:
    with pytest.raises(InputError, match="two studies or more, not 1"):
        compare({"a": make(results())})


def test_published_studies_are_compared_and_the_json_is_json() -> None:
    names = ("mnist-10", "mnist-100")
    found = compare({name: open_study(RESULTS / name) for name in names})
    assert ("versions.count", ("10", "100")) in {(row.key, row.values) for row in found.settings}
    assert len(found.numbers) > 20
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["studies"] == list(names)


class Reader(HTMLParser):
    """Reads a page: which tags are open at its end, and what it links to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_shows_hostile_text_as_text(make: Make) -> None:
    values = results(HOSTILE, verdict="worse")
    values["study"]["config"][HOSTILE] = HOSTILE
    values["questions"][0] = {"question": HOSTILE, "answer": HOSTILE}
    text = page(compare({"a": make(results()), HOSTILE: make(values)}))
    read = Reader(text)
    assert read.open == []
    assert "script" not in read.tags
    assert "&lt;script&gt;" in text
    assert "{{ 7 * 7 }}" in text
    inside = [link.removeprefix("#") for link in read.links if link.startswith("#")]
    assert set(inside) <= set(read.ids)
    assert {link for link in read.links if not link.startswith("#")} == {"data:,"}


def test_a_page_of_empty_studies_says_so(make: Make) -> None:
    text = page(compare({"a": make({}), "b": make({})}))
    assert text.count("These studies hold none.") == 2
    assert "the same settings" in text
