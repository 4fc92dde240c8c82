"""What the project says of itself: licence, citation, version, architecture, recipes, map."""

from __future__ import annotations

import hashlib
import re
import runpy
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import nversion

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "nversion"
PARTS = sorted(
    path.stem
    for path in PACKAGE.iterdir()
    if (path.suffix == ".py" and not path.stem.startswith("__")) or (path / "__init__.py").is_file()
)
"""The packages and modules that lie directly in ours."""

APACHE = "0ffddef9e48f8a09aed5caf2d44f7ba1c1be2d9b8e0a6f693b1635b2d5566645"
"""SHA-256 of the licence's words as they were published, one space between them."""


def text(page: str) -> str:
    return (ROOT / page).read_text("utf-8")


def settings() -> dict[str, Any]:
    return tomllib.loads(text("pyproject.toml"))


def citation() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(text("CITATION.cff"))
    return read


def test_the_licence_is_apaches_to_the_letter() -> None:
    words = " ".join(text("LICENSE").split())
    assert hashlib.sha256(words.encode()).hexdigest() == APACHE
    assert settings()["project"]["license-files"] == ["LICENSE"]


def test_all_name_the_same_licence_and_authors() -> None:
    project, cited = settings()["project"], citation()
    assert project["license"] == cited["license"] == "Apache-2.0"
    assert project["authors"] == cited["authors"] == [{"name": "the nversion developers"}]


def test_the_version_number_has_one_source() -> None:
    told = settings()
    assert "version" not in told["project"]
    assert told["project"]["dynamic"] == ["version"]
    source = text(told["tool"]["hatch"]["version"]["path"])
    assert re.findall(r'__version__ = "(.*)"', source) == [nversion.__version__]
    assert "version" not in citation()


def test_the_citation_refers_to_the_study_of_2019() -> None:
    cited = citation()
    assert {"cff-version", "message", "title", "authors"} <= set(cited)
    (study,) = cited["references"]
    assert study["year"] == 2019
    assert study["title"] in " ".join(text("README.md").replace("*", "").split())
    families = [author["family-names"] for author in study["authors"]]
    assert families == ["Hildebrandt", "Kulkarni", "Williams"]


def test_each_release_in_the_changelog_has_kinds_that_are_kept() -> None:
    log = text("CHANGELOG.md")
    releases = re.findall(r"^## \[(.+?)\]", log, re.MULTILINE)
    assert releases[0] == "Unreleased"
    kinds = set(re.findall(r"^### (.+)$", log, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


@pytest.mark.parametrize("part", PARTS)
def test_every_part_is_on_the_architecture_page_and_in_the_contract(part: str) -> None:
    assert f"`{part}`" in text("docs/architecture.md")
    contract = settings()["tool"]["importlinter"]["contracts"][0]
    layers = {name for layer in contract["layers"] for name in layer.split(" | ")}
    assert f"nversion.{part}" in layers


def test_the_picture_shows_every_package() -> None:
    shown = set(re.findall(r'<text class="name"[^>]*>(.*?)</text>', text("docs/architecture.svg")))
    packages = {part for part in PARTS if (PACKAGE / part).is_dir()}
    assert packages <= shown


def test_there_are_five_recipes_of_at_most_ten_steps() -> None:
    recipes = text("CONTRIBUTING.md").partition("## Recipes")[2].partition("\n## ")[0]
    titles = re.findall(r"^### (.+)$", recipes, re.MULTILINE)
    assert titles == [
        "An attack",
        "A voter",
        "A layer that can be certified",
        "An objective",
        "A stage of a study",
    ]
    for recipe in re.split(r"^### .+$", recipes, flags=re.MULTILINE)[1:]:
        steps = re.findall(r"^(\d+)\. ", recipe, re.MULTILINE)
        assert steps == [str(n + 1) for n in range(len(steps))]
        assert 1 <= len(steps) <= 10


@pytest.mark.parametrize(
    "page", ["CONTRIBUTING.md", "docs/architecture.md", "benchmarks/README.md"]
)
def test_files_that_are_named_exist(page: str) -> None:
    named = re.findall(r"`((?:src|tests|docs|benchmarks|scripts)/[^`\s]+)`", text(page))
    assert [path for path in named if "NAME" not in path and not (ROOT / path).exists()] == []


def test_the_layers_recipe_names_what_is_there() -> None:
    recipe = text("CONTRIBUTING.md").partition("### A layer")[2].partition("\n### ")[0]
    sources = [path.read_text("utf-8") for path in (PACKAGE / "certification").rglob("*.py")]
    tests = text("tests/certification/networks.py")
    code = "\n".join([*sources, tests])
    for name in re.findall(r"`([A-Za-z_]+)`", recipe):
        assert re.search(rf"^\s*(def|class) {name}\b|^{name}\b", code, re.MULTILINE), name
    for module in re.findall(r"`([\w/]+\.py)`", recipe):
        assert (ROOT / module).exists() or (PACKAGE / "certification" / module).exists(), module


def test_every_file_of_certification_is_on_the_architecture_page() -> None:
    page = text("docs/architecture.md").partition("## Inside certification")[2]
    section = page.partition("\n## ")[0]
    files = (PACKAGE / "certification").rglob("*.py")
    parts = {path.parent.name if path.stem == "__init__" else path.stem for path in files}
    assert {part for part in parts - {"certification"} if f"`{part}`" not in section} == set()


def test_every_part_of_certification_has_its_place_in_the_contract() -> None:
    contracts = settings()["tool"]["importlinter"]["contracts"]
    (own,) = (c for c in contracts if c.get("containers") == ["nversion.certification"])
    assert own["exhaustive"]
    listed = {name for layer in own["layers"] for name in layer.split(" | ")}
    places = (PACKAGE / "certification").iterdir()
    assert listed == {p.stem for p in places if not p.stem.startswith("__")}


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "README.md"])
def test_make_has_the_targets_that_are_named(page: str) -> None:
    (phony,) = re.findall(r"^\.PHONY: (.+)$", text("Makefile"), re.MULTILINE)
    named = set(re.findall(r"`make ([a-z-]+)`", text(page)))
    assert named
    assert named <= set(phony.split())


def test_the_benchmarks_map_names_every_script() -> None:
    scripts = {path.name for path in (ROOT / "benchmarks").glob("*.py")}
    assert set(re.findall(r"`(\w+\.py)`", text("benchmarks/README.md"))) == scripts


def test_files_that_count_as_long_or_short_exist() -> None:
    names = runpy.run_path(str(ROOT / "conftest.py"))
    listed = (*names["LONG"], *names["SHORT"])
    assert [name for name in listed if not (ROOT / "tests" / name).exists()] == []
