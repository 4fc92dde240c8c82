from __future__ import annotations

import json
import re

import pytest

from nversion.errors import ArtefactError
from nversion.report import publish
from nversion.report.markdown import render_markdown


@pytest.fixture(scope="module")
def published(example, tmp_path_factory):
    results = example(4, failed=1)
    folder = tmp_path_factory.mktemp("publish") / "four"
    return results, publish(results, folder, "nversion study --versions 4")


def test_a_published_study_is_whole_and_leads_nowhere_else(published):
    results, readme = published
    folder, text = readme.parent, readme.read_text(encoding="utf-8")
    assert json.loads((folder / "results.json").read_text()) == results
    assert "$ nversion study --versions 4" in text
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert {"index.html", "results.json"} < set(links)
    assert all((folder / link).is_file() for link in links)
    assert not list(folder.rglob("*.safetensors"))


def test_tables_have_the_same_number_of_cells_in_every_row(published):
    text = published[1].read_text(encoding="utf-8")
    tables = re.findall(r"(?:^\|.*\|\n)+", text, flags=re.MULTILINE)
    assert len(tables) == 5
    for table in tables:
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(widths) == 1


def test_the_answers_and_the_numbers_of_the_page_are_there(published):
    results, readme = published
    text = readme.read_text(encoding="utf-8")
    for question in results["questions"]:
        assert question["question"] in text
        assert question["answer"] in text
    assert f"{results['distillation']['student']['certified_l2']:.4f}" in text
    assert "## What failed" in text or not results["study"].get("failures")


def test_what_is_not_there_is_left_out():
    assert render_markdown({}).startswith("# N-version study\n")


def test_a_border_in_a_text_is_no_border(example):
    results = example(2)
    results["versions"][0]["name"] = "a|b<c"
    assert r"a\|b&lt;c" in render_markdown(results)


def test_results_that_are_no_object_are_refused(tmp_path):
    with pytest.raises(ArtefactError, match="must be a JSON object"):
        publish([], tmp_path / "x")
    assert not (tmp_path / "x").exists()
