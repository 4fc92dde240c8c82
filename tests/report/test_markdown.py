from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from nversion.report import publish
from nversion.report.markdown import plain, render_markdown
from nversion.study.sections import Results


@pytest.fixture(scope="module")
def published(
    example: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], Path]:
    results = example(4, failed=1)
    folder = tmp_path_factory.mktemp("publish") / "four"
    return results, publish(Results.of(results), folder, "nversion study --versions 4")


def test_a_published_study_is_whole_and_leads_nowhere_else(
    published: tuple[dict[str, Any], Path],
) -> None:
    results, readme = published
    folder, text = readme.parent, readme.read_text(encoding="utf-8")
    assert json.loads((folder / "results.json").read_text()) == results
    assert "$ nversion study --versions 4" in text
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert {"index.html", "results.json"} < set(links)
    assert all((folder / link).is_file() for link in links)
    assert not list(folder.rglob("*.safetensors"))


def test_tables_have_the_same_number_of_cells_in_every_row(
    published: tuple[dict[str, Any], Path],
) -> None:
    text = published[1].read_text(encoding="utf-8")
    tables = re.findall(r"(?:^\|.*\|\n)+", text, flags=re.MULTILINE)
    assert len(tables) == 10
    for table in tables:
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(widths) == 1


def test_the_answers_and_the_numbers_of_the_page_are_there(
    published: tuple[dict[str, Any], Path],
) -> None:
    results, readme = published
    text = readme.read_text(encoding="utf-8")
    for question in results["questions"]:
        assert question["question"] in text
        assert question["answer"] in text
    assert f"{results['distillation']['student']['certified_l2']:.4f}" in text
    assert "## What failed" in text or not results["study"].get("failures")


def test_each_answer_has_its_rule_beside_it(example: Callable[..., dict[str, Any]]) -> None:
    results = example(2)
    results["questions"][0]["rule"] = "At least half of the images hold."
    text = render_markdown(Results.of(results))
    assert "Rule: At least half of the images hold." in text
    assert text.count("Rule: not recorded.") == 3


def test_what_is_not_there_is_left_out() -> None:
    assert render_markdown(Results.of({})).startswith("# N-version study\n")


def test_a_border_in_a_text_is_no_border(example: Callable[..., dict[str, Any]]) -> None:
    results = example(2)
    results["versions"][0]["name"] = "a|b<c"
    assert r"a\|b&lt;c" in render_markdown(Results.of(results))


HOSTILE = (
    "x](http://a.example) ![y](http://b.example/p.png) <img src=c onerror=d> `e` *f* __g__ ~~h~~\n"
    "\n# i\n\n---\n- j\n1. k\n> l\n```\nhttps://m.example www.n.example @o p@q.example &amp; \\ |"
)


def _hostile(value: Any) -> Any:
    """Return results with every text in them replaced, but for what is told apart by it."""
    if isinstance(value, dict):
        return {
            key: item if key in ("status", "precision", "kind") else _hostile(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_hostile(item) for item in value]
    return HOSTILE if isinstance(value, str) else value


def test_text_from_results_stays_text(example: Callable[..., dict[str, Any]]) -> None:
    results = example(3, failed=1)
    tokens, plain = (
        MarkdownIt("gfm-like", {"linkify": False}).parse(
            render_markdown(Results.of(values), command, [], "index.html")
        )
        for values, command in ((_hostile(results), f"$ {HOSTILE}"), (results, "nversion study"))
    )
    inner = [child for token in tokens for child in token.children or ()]
    links = [child.attrs["href"] for child in inner if child.type == "link_open"]
    assert links == ["index.html", "results.json"]
    kinds = {child.type for child in inner} - {"text", "softbreak", "text_special"}
    assert kinds <= {"link_open", "link_close", "strong_open", "strong_close"}
    assert {token.type for token in tokens} <= {token.type for token in plain}
    assert [t.tag for t in tokens if t.type == "heading_open"].count("h1") == 1
    shown = "".join(child.content for child in inner)
    assert " ".join(HOSTILE.split()) in shown
    rendered = render_markdown(Results.of(_hostile(results)))
    assert "://" not in rendered  # else it is a link where addresses are recognised
    assert "www." not in rendered
    assert "@" not in rendered
    assert HOSTILE.strip() in next(token.content for token in tokens if token.type == "fence")


def test_results_with_characters_that_cannot_be_written_are_published(
    example: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    results = example(2)
    results["study"]["name"] = "a\ud800b\x1b"
    text = publish(Results.of(results), tmp_path / "x").read_text(encoding="utf-8")
    assert text.startswith("# N-version study: a\ufffdb\ufffd\n")
    known = json.loads((tmp_path / "x" / "results.json").read_text(encoding="utf-8"))
    assert known["study"]["name"] == "a\ufffdb\ufffd"


@pytest.mark.parametrize("text", ["-0.5 points", "98.4 %", "1.5 x", "#1 of 2", "a - b", "v001"])
def test_usual_text_is_left_as_it_is(text: str) -> None:
    assert plain(text) == text
