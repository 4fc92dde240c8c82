from __future__ import annotations

import base64
import csv
import hashlib
import itertools
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib
import pytest

from nversion.errors import ArtefactError
from nversion.report import write_report
from nversion.report.blocks import row_ids
from nversion.report.figures import FIGURES, draw
from nversion.report.figures.data import csv_text
from nversion.report.figures.overview import boxes, overview
from nversion.report.page import draw_all, render
from nversion.report.text import summary
from nversion.report.text.intro import scant
from nversion.report.values import decimal, percent
from nversion.study.sections import Results

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Reads a page, and holds what is wrong with it."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.faults: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.headings: list[int] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.feed(source)
        self.close()
        self.faults += [f"<{tag}> is never closed" for tag in self.open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        if len(names) != len(set(names)):
            self.faults.append(f"<{tag}> repeats an attribute")
        values = {name: value or "" for name, value in attrs}
        self.tags.append((tag, values))
        self.ids += [values["id"]] if "id" in values else []
        self.links += [values[name] for name in ("href", "src", "srcset") if name in values]
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes something else")

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


@pytest.fixture(scope="module")
def written(
    example: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], Path]:
    results = example(10, failed=1)
    folder = tmp_path_factory.mktemp("study") / "report"
    return results, write_report(Results.of(results), folder)


@pytest.fixture(scope="module")
def page(written: tuple[dict[str, Any], Path]) -> Page:
    return Page(written[1].read_text(encoding="utf-8"))


def check(source: str) -> Page:
    """Read a page and hold it to what every page must be."""
    page = Page(source)
    assert page.faults == []
    assert len(page.ids) == len(set(page.ids))
    assert page.headings[0] == 1
    assert page.headings.count(1) == 1
    for before, after in itertools.pairwise(page.headings):
        assert after <= before + 1, "a heading level is skipped"
    targets = {link[1:] for link in page.links if link.startswith("#")}
    assert targets <= set(page.ids)
    for link in page.links:
        assert link.startswith(("#", "data:")), link
    # One script, the page's own, which its content policy knows by its hash.
    head, *scripts = source.split("<script>")
    assert len(scripts) == 1
    script, tail = scripts[0].split("</script>")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in head
    assert not re.search(r"https?:|@import|<script|javascript:|\son\w+=", head + tail)
    for tag, values in page.tags:
        if tag == "html":
            assert values["lang"]
        if tag == "svg":
            assert values["aria-label"]
        labelled = values.get("aria-labelledby")
        assert labelled is None or labelled in page.ids
    return page


def test_page_is_well_formed_and_loads_nothing(written: tuple[dict[str, Any], Path]) -> None:
    check(written[1].read_text(encoding="utf-8"))


@pytest.mark.parametrize("count", [1, 100])
def test_page_holds_at_the_extremes(example: Callable[..., dict[str, Any]], count: int) -> None:
    results = example(count)
    page = check(render(Results.of(results), draw_all(Results.of(results))))
    assert f"{count} network" in page.words


def test_every_figure_is_on_the_page_and_on_disk(
    written: tuple[dict[str, Any], Path], page: Page
) -> None:
    folder = written[1].parent
    for key in FIGURES:
        assert key in page.ids
        assert (folder / "figures" / f"{key}.png").read_bytes().startswith(b"\x89PNG")
        assert (folder / "figures" / f"{key}.svg").read_text("utf-8").startswith("<?xml")
    saved = {values["download"] for tag, values in page.tags if "download" in values}
    assert saved >= {f"{key}.svg" for key in FIGURES}
    pictures = {"figure-3-attacks.csv"}
    assert saved >= {f"{key}.csv" for key in FIGURES} - pictures
    assert {path.name for path in folder.iterdir()} == {"index.html", "figures"}


def test_numbers_and_answers_are_those_of_the_results(
    written: tuple[dict[str, Any], Path], page: Page
) -> None:
    results, _ = written
    words = page.words
    for share in (
        results["program"]["accuracy"],
        results["program"]["best_individual"],
        results["program"]["mean_individual"],
        *(version["test_accuracy"] for version in results["versions"] if version["test_accuracy"]),
        *(attack["effectiveness"] for attack in results["attacks"]),
    ):
        assert f"{100 * share:.2f} %" in words
    for item in results["questions"]:
        assert item["question"] in words
        assert item["answer"] in words
    assert f"program.accuracy = {results['program']['accuracy']:.6g}" in words
    assert results["study"]["commit"] in words
    assert "versions/010-dense : the loss is NaN" in words
    assert "1 unit of work failed" in words


def test_order_is_what_was_run_then_answers_then_numbers_then_figures(page: Page) -> None:
    words = page.words
    marks = ["Recipe", "How robust are neural networks?", "of the single versions", "Figure 2 Test"]
    places = [words.index(mark) for mark in marks]
    assert places == sorted(places)


def test_figures_and_tables_are_numbered_in_the_order_of_the_page(page: Page) -> None:
    for kind in ("Figure", "Table"):
        found = [
            int(n) for n in re.findall(rf"{kind} (\d+) [A-Z]", page.words.split("Key numb")[-1])
        ]
        first = 2 if kind == "Figure" else 1  # The picture of the study is figure 1.
        assert found == list(range(first, first + len(found)))
        assert len(found) >= 5
    assert "Figure 1 \u00b7 This study in one picture" in page.words
    assert "Study of 2019: figure 3 there: ten attacks" in page.words
    assert "In the study of 2019 this is table II." in page.words


def test_the_page_opens_with_what_the_method_is_and_says_each_word_where_it_is_first_used(
    page: Page,
) -> None:
    words = page.words
    assert words.index("In N-version programming, several programs") < words.index("Questions and")
    linked = [link for link in page.links if link.startswith("#word-")]
    assert linked[:2] == ["#word-version", "#word-program"]
    assert len(linked) == len(set(linked)) >= 6


def test_the_picture_of_the_study_has_its_numbers(
    example: Callable[..., dict[str, Any]],
) -> None:
    results = example(10, failed=1)
    results["study"] |= {"train_images": 60_000, "test_images": 10_000, "class_names": ["a", "b"]}
    known = Results.of(results)
    written = {box.key: " ".join((box.title, *box.lines)) for box in boxes(known)}
    assert "60,000 to learn from 10,000 to test on 2 classes" in written["images"]
    assert written["versions"].startswith("9 versions")
    assert f"adversarial {percent(results['program']['accuracy'])}" in written["program"]
    assert "10 attacks" in written["attacks"]
    for narrow in (False, True):
        picture = ET.fromstring(overview(known, narrow=narrow))
        shown = [text.text or "" for text in picture.iter("text")]
        assert {line for box in boxes(known) for line in (box.title, *box.lines)} <= set(shown)
    assert overview(Results.of({}), narrow=True)


def test_few_data_are_said_to_be_few(example: Callable[..., dict[str, Any]]) -> None:
    results = example(3)
    results["adversarial_set"]["source_images"] = 12
    said = " ".join(scant(Results.of(results)))
    assert "from 12 test images, and below 30 no comparison" in said
    assert "3 versions cannot outvote much" in said
    assert "program itself" not in said  # 30 images
    assert scant(Results.of(example(10))) == []
    assert scant(Results.of({})) == []


def test_rows_of_tables_have_places_of_their_own(page: Page) -> None:
    assert "table-2-attacks-carlini-wagner" in page.ids
    assert "#table-2-attacks-carlini-wagner" in page.links
    assert row_ids("t", ["a", "A b", "\u043a\u043b", "a", '"><'])[:4] == [
        "t-a",
        "t-a-b",
        "t-3",
        "t-a--4",
    ]


def test_tables_and_figures_can_be_had_as_csv(page: Page) -> None:
    files = {v["download"]: v["href"] for tag, v in page.tags if "download" in v}
    text = base64.b64decode(files["figure-5-program.csv"].split(",")[1]).decode()
    rows = list(csv.DictReader(text.splitlines()))
    assert {"N = 1", "N = 9"} <= {row["mark"].partition(":")[0] for row in rows}
    text = base64.b64decode(files["table-2-attacks.csv"].split(",")[1]).decode()
    assert len(list(csv.reader(text.splitlines()))) == 11
    assert csv_text(["a"], [["=1+1"], ["-2"], [-2.0]]) == "a\n'=1+1\n'-2\n-2.0\n"


def test_the_study_of_2019_is_named_on_mnist_only(example: Callable[..., dict[str, Any]]) -> None:
    assert "Hildebrandt" in render(Results.of(example(3)), {})
    results = example(3, dataset="digits")
    other = Page(render(Results.of(results), draw_all(Results.of(results)))).words
    assert "Hildebrandt" not in other
    assert "Study of 2019" not in other
    assert "96.86" not in other


def test_same_results_give_the_same_bytes(
    written: tuple[dict[str, Any], Path], tmp_path: Path
) -> None:
    results, page = written
    with matplotlib.rc_context({"font.size": 31, "axes.grid": True, "svg.hashsalt": "mine"}):
        again = write_report(Results.of(json.loads(json.dumps(results))), tmp_path / "report")
    first = {p.relative_to(page.parent): p.read_bytes() for p in page.parent.rglob("*.*")}
    second = {p.relative_to(again.parent): p.read_bytes() for p in again.parent.rglob("*.*")}
    assert first == second
    assert not any(b"<dc:date>" in content for content in first.values())


def test_hostile_names_stay_text(example: Callable[..., dict[str, Any]]) -> None:
    results = example(3)
    nasty = '"><script>alert(1)</script>${x}$ {{ 7*7 }} \u202e\x00\ud800 & </svg></style> \\frac'
    for version in results["versions"]:
        version.update(name=f"{nasty}{version['name']}", architecture=nasty, kind=nasty)
    names = [version["name"] for version in results["versions"]]
    results["program"].update(versions=names, best_individual_name=nasty)
    results["transfer"].update(sources=[nasty, "ключ", "c$_$"], targets=names)
    for attack in results["attacks"]:
        attack.update(name=nasty, reason=nasty, norm=nasty, in_adversarial_set=False)
    results["study"].update(dict.fromkeys(("name", "dataset", "recipe", "commit"), nasty))
    results["study"]["failures"] = [{"unit": nasty, "error": nasty}]
    results["study"]["wall_seconds"] = {nasty: 1.0, "total": 1.0}
    results["study"]["config"] = {nasty: [nasty]}
    results["questions"] = [{"question": nasty, "answer": nasty, "rests_on": [nasty]}]
    results["adversarial_set"]["perceptibility_rule"] = nasty
    results["certification"]["method"] = nasty
    results["certification"]["norms"][nasty] = results["certification"]["norms"]["1"]
    results["distillation"].update(recipe=nasty, objective=nasty, architecture=nasty)
    results["distillation"]["student"]["attacks"] = {nasty: 0.5}
    known = Results.of(results)
    source = render(known, draw_all(known))
    page = Page(source)
    assert page.faults == []
    assert source.count("<script") == source.count("</script>") == 1
    assert "alert(1)" not in source.split("<script>")[1]
    assert "</style>" in source
    assert source.count("</style>") == 1
    assert "49" not in page.words.split()
    assert "alert(1)" in page.words
    source.encode("utf-8")


@pytest.mark.parametrize(
    "key",
    [
        "study",
        "versions",
        "attacks",
        "adversarial_set",
        "transfer",
        "program",
        "distillation",
        "certification",
        "questions",
        "program.accuracy_by_n_orders",
        "program.versions",
        "program.accuracy",
        "distillation.student",
        "certification.norms",
        "study.wall_seconds",
    ],
)
def test_a_missing_key_costs_what_rests_on_it_and_no_more_and_a_wrong_one_is_named(
    example: Callable[..., dict[str, Any]], key: str
) -> None:
    *path, last = key.split(".")
    results = example(3)
    holder = results
    for name in path:
        holder = holder[name]
    del holder[last]
    check(render(Results.of(results), {}))
    for name in FIGURES:
        draw(Results.of(results), name)
    holder[last] = "nonsense"
    with pytest.raises(ArtefactError, match=f"mine.json: {re.escape(key)}: .*'nonsense'"):
        Results.of(results, "mine.json")


def test_empty_results_still_make_a_page(tmp_path: Path) -> None:
    page = write_report(Results.of({}), tmp_path / "deep" / "report")
    assert check(page.read_text("utf-8")).headings
    assert not list((tmp_path / "deep" / "report").rglob("*.png"))


def test_all_versions_failed(example: Callable[..., dict[str, Any]]) -> None:
    results = example(2)
    for version in results["versions"]:
        version.update(status="failed", error="the loss is NaN", test_accuracy=None)
    page = check(render(Results.of(results), {}))
    assert "0 networks trained" in page.words
    assert draw(Results.of(results), "figure-2-test-accuracy") is None


def test_figures_that_are_no_longer_supported_are_removed(
    example: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    write_report(Results.of({"versions": example(3)["versions"]}), tmp_path)
    left = {path.stem for path in (tmp_path / "figures").iterdir()}
    assert "figure-2-test-accuracy" in left
    (tmp_path / "figures" / "mine.png").touch()
    write_report(Results.of({}), tmp_path)
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["mine.png"]


def test_lost_work_stands_beside_the_time_that_counts(
    example: Callable[..., dict[str, Any]],
) -> None:
    results = example()
    known = dict(summary.facts(Results.of(results)))
    assert "thrown away" not in known["Wall-clock time"]
    results["study"]["discarded_seconds"] = 83.0
    lost = dict(summary.facts(Results.of(results)))["Wall-clock time"]
    assert lost.startswith(known["Wall-clock time"])
    assert "min" in lost
    assert lost.endswith("of work thrown away")


def test_each_answer_has_its_rule_beside_it_and_an_older_one_says_that_it_has_none(
    example: Callable[..., dict[str, Any]],
) -> None:
    results = example(3)
    results["questions"][0]["rule"] = "At least half of the images hold."
    page = render(Results.of(results), {})
    assert page.count("<strong>Rule:</strong>") == 4
    assert "<strong>Rule:</strong> At least half of the images hold." in page
    assert page.count("This answer is of an older version of nversion") == 3


def test_the_top_says_what_the_images_are(example: Callable[..., dict[str, Any]]) -> None:
    results = example(3)
    assert "<dt>Images</dt>" not in render(Results.of(results), {})
    results["study"] |= {
        "train_images": 60_000,
        "test_images": 10_000,
        "shape": [3, 28, 32],
        "class_names": ["cat", "dog <b>"],
    }
    page = render(Results.of(results), {})
    assert "60,000 for training, 10,000 for testing, each 32\u00d728 pixels, colour" in page
    assert "2: cat, dog &lt;b&gt;" in page


def test_the_tiles_say_how_far_the_program_is_from_falling(
    example: Callable[..., dict[str, Any]],
) -> None:
    results = example(4)
    whole = results["program"]["whole"]
    size = dict.fromkeys(("first", "second", "difference", "low", "high", "p_value"), 0.1)
    size |= {"images": 30, "clusters": 30}
    (best,) = (one["name"] for one in whole["subjects"] if one["kind"] == "version")
    for norm in ("2", "inf"):
        of = {"name": best, "kind": "version", "norm": norm, "verdict": "level"}
        whole["gains"].append({**of, **size})
    page = render(Results.of(results), {})
    (program,) = (one for one in whole["subjects"] if one["name"] == "program of 4")
    for name, norm in (("L2", "2"), ("L\u221e", "inf")):
        tile = page.split(f"of 4 attacked itself, {name}")[1].split("</div>")[0]
        assert f'<span class="big">{decimal(program["norms"][norm]["median"])}<' in tile
        assert f"best version ({best})" in tile
    del results["program"]["whole"]
    assert "attacked itself, L2" not in render(Results.of(results), {})


def test_reports_of_former_settings_are_linked(
    example: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    folder = tmp_path / "report"
    for name, text in (("0a1b", json.dumps(example(3))), ("bad", "{")):
        (folder / "former" / name).mkdir(parents=True)
        (folder / "former" / name / "index.html").write_text("a page")
        (folder / "former" / name / "results.json").write_text(text)
    page = write_report(Results.of(example(2)), folder).read_text("utf-8")
    links = re.findall(r'<a href="(former/[^"]*)">([^<]*)</a>', page)
    assert [link for link, _ in links] == ["former/0a1b/index.html"]
    assert "3 versions" in links[0][1]
    assert "former settings" not in render(Results.of(example(2)), {})


def test_the_tiles_say_on_which_images_they_are_measured(
    example: Callable[..., dict[str, Any]],
) -> None:
    results = example(3)
    older = render(Results.of(results), {})
    assert "images made against it included" in older
    assert "of 4; the versions carry the images made against them" in older
    assert "interval by test image 8" not in older
    results["program"] |= {"accuracy_low": 0.889, "accuracy_high": 0.953}
    results["adversarial_set"]["source_images"] = 108
    rest = dict.fromkeys(("difference", "low", "high", "p_value", "p_picked"), 0.1)
    rest |= {"images": 108, "clusters": 108}
    found = {"name": "v5", "first": 0.9715, "second": 0.9854, **rest}
    results["comparisons"] = {"adversarial": {"program_and_best_version": found}}
    page = render(Results.of(results), {}).replace("\u202f", " ")
    assert "95 % interval by test image 88.9\u201395.3 %" in page
    assert "Best single version, images not made against it" in page
    assert "v5; the program on the same images 97.15 %" in page
    assert "from 108 test images" in page
