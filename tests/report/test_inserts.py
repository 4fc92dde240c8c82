"""Results between the markers of a page are what the published folders hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nversion.errors import ArtefactError, InputError
from nversion.report import insert
from nversion.report.inserts import kinds_of_inserts
from nversion.report.values import decimal

END = "<!-- nversion: end -->"


@pytest.fixture
def page(example: Callable[..., dict[str, Any]], tmp_path: Path) -> Path:
    """A page beside two published studies, the second of another dataset and older."""
    for name, versions, dataset in (("first", 4, "mnist"), ("second", 3, "digits")):
        results = example(versions, dataset=dataset)
        if name == "second":
            del results["program"]["whole"]
        (tmp_path / "out" / name).mkdir(parents=True)
        (tmp_path / "out" / name / "results.json").write_text(json.dumps(results))
    return tmp_path / "README.md"


def between(page: Path, marker: str) -> list[str]:
    page.write_text(f"before\n\n<!-- nversion: {marker} -->\nOUTDATED\n{END}\n\nafter\n")
    assert insert(page) == 1
    text = page.read_text("utf-8")
    assert text.startswith(f"before\n\n<!-- nversion: {marker} -->\n\n")
    assert text.endswith(f"\n\n{END}\n\nafter\n")
    assert "OUTDATED" not in text
    assert insert(page) == 1
    assert page.read_text("utf-8") == text
    return text.partition(" -->\n\n")[2].removesuffix(f"\n\n{END}\n\nafter\n").split("\n")


def test_a_table_has_both_studies_and_that_of_2019(page: Path) -> None:
    heads, rule, *rows = between(page, "table out/first out/second")
    assert heads == (
        "|  | 2019 | [4 versions](out/first/README.md) | [3 versions](out/second/README.md) |"
    )
    assert {row.count("|") for row in (heads, rule, *rows)} == {5}
    cells = {row.split(" | ")[0].removeprefix("| "): row.split(" | ")[1:] for row in rows}
    results = json.loads((page.parent / "out/first/results.json").read_text())
    accuracy = f"{100 * results['program']['accuracy']:.2f}"
    assert cells["**the program** there"][:2] == ["96.86\u202f%", f"{accuracy}\u202f%"]
    itself = next(row for name, row in cells.items() if "attacked itself" in name)
    subjects = results["program"]["whole"]["subjects"]
    (whole,) = (one for one in subjects if one["name"] == "program of 4")
    assert itself[1].endswith(f"/ {decimal(whole['norms']['2']['median'])}")
    assert itself[2].startswith("\u2013")
    longer = between(page, "long-table out/first out/second")
    assert len(longer) > len(rows) + 2


def test_a_study_of_another_dataset_stands_alone(page: Path) -> None:
    heads = between(page, "table out/second")[0]
    assert "2019" not in heads


def test_figure_and_sentence_are_of_the_named_study(page: Path) -> None:
    (figure,) = between(page, "figure out/first/")
    assert figure.endswith("](out/first/program.svg)")
    assert "Attacked itself" in figure
    (sentence,) = between(page, "sentence out/first")
    assert "the program of 4 falls at a median L2 of" in sentence
    (sentence,) = between(page, "sentence out/second")
    assert sentence.endswith("The program itself was not attacked.")


def test_text_from_results_makes_no_element(page: Path) -> None:
    path = page.parent / "out/first/results.json"
    results = json.loads(path.read_text())
    results["study"]["commit"] = "<img src=x> | [a](b)"
    path.write_text(json.dumps(results))
    rows = between(page, "table out/first")
    assert r"&lt;img src=x&gt; \| \[a\](b)" in rows[-1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nothing", "has no place to insert results"),
        ("a\n<!-- nversion: table out/first -->\nb\n", "line 2: the marker has no line"),
        (
            f"<!-- nversion: table out/first -->\n<!-- nversion: figure out/first -->\n{END}",
            "line 1: the marker has no line",
        ),
        (f"{END}\n", "line 1: `<!-- nversion: end -->` ends nothing"),
        (f"<!-- nversion: tabel out/first -->\n{END}", "did you mean 'table'"),
        (f"<!-- nversion: table -->\n{END}", "name a published study's folder"),
    ],
)
def test_a_wrong_marker_is_named_and_the_page_left_alone(page: Path, text: str, words: str) -> None:
    page.write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        insert(page)
    assert str(page) in str(caught.value)
    assert page.read_text() == text


def test_a_folder_or_page_that_is_not_there_is_named(page: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        insert(page)
    page.write_text(f"<!-- nversion: table out/third -->\n{END}")
    with pytest.raises(ArtefactError, match="out/third"):
        insert(page)


def test_the_kinds_are_those_of_the_guide() -> None:
    guide = Path(__file__).resolve().parents[2] / "docs" / "guide" / "report.md"
    assert [k for k in kinds_of_inserts() if f"`{k}`" not in guide.read_text("utf-8")] == []
