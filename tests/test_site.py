"""The site: every page has its place, every block of code runs or says why not."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import nversion as nv
from nversion.cli.reference import commands, examples, page

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("**/*.md"))
CONCEPTS = sorted((DOCS / "concepts").glob("*.md"))

DASH = "\u2013"

RUN_BY = {
    "guide/attacks.md": "test_attacks_guide.py",
    "guide/certification.md": "test_guides.py",
    "guide/evidence.md": "test_guides.py",
    "guide/faults.md": "test_guides.py",
    "guide/objectives.md": "test_guides.py",
    "guide/own-networks.md": "test_own_networks_guide.py",
    "guide/own-study.md": "test_guides.py",
    "guide/programs.md": "test_guides.py",
    "guide/plugins.md": "test_plugins_guide.py",
    "guide/reliability.md": "test_reliability_guide.py",
    "guide/report.md": "test_guides.py",
    "guide/study-2019.md": "test_guides.py",
    "guide/voting.md": "test_guides.py",
    "tutorial.md": "test_tutorial.py",
    "reference/architectures.md": "architectures/test_documentation.py",
}
"""Which tests run the Python of which page; that of the concepts runs here."""

COMMANDS = dict(commands())


def config() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))
    return read


def in_nav(entries: list[dict[str, Any]]) -> list[str]:
    found: list[str] = []
    for entry in entries:
        for value in entry.values():
            found += in_nav(value) if isinstance(value, list) else [value]
    return found


def test_every_page_has_its_place() -> None:
    placed = in_nav(config()["nav"])
    assert len(set(placed)) == len(placed)
    assert set(placed) == {"index.md", *(path.relative_to(DOCS).as_posix() for path in PAGES)}


def test_the_command_reference_is_made_from_the_commands() -> None:
    assert (DOCS / "reference" / "commands.md").read_text("utf-8") == page()


def test_the_python_reference_has_every_public_name() -> None:
    named = re.findall(r"^::: ([\w.]+)$", (DOCS / "reference/api.md").read_text("utf-8"), re.M)
    shown = {name.rpartition(".")[2] for name in named}
    own = {"NVersionError": "errors", "attacks": "create"}
    missing = {own.get(name, name) for name in nv.__all__ if name != "__version__"} - shown
    assert missing == set()
    for name in named:
        module, _, attribute = name.rpartition(".")
        loaded = __import__(module, fromlist=[attribute])
        assert (
            hasattr(loaded, attribute) or (ROOT / "src" / f"{name.replace('.', '/')}.py").exists()
        )


@pytest.mark.parametrize("path", CONCEPTS, ids=lambda path: path.stem)
def test_the_python_of_a_concept_runs(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = "\n".join(re.findall(r"```python\n(.*?)```", path.read_text("utf-8"), re.DOTALL))
    exec(compile(code, path.name, "exec"), {})
    said = capsys.readouterr().out.splitlines()
    if path.stem == "coincident-failures":
        alike, together, apart, seldom = (float(line.rpartition(" ")[2]) for line in said)
        assert alike > 50 > 3 > abs(apart)
        assert together > 20 * seldom
    if path.stem == "certificates":
        pairs = [tuple(map(float, re.findall(r"\d\.\d+", line))) for line in said]
        assert len(pairs) == 5
        assert all(radius <= distance for radius, distance in pairs)


@pytest.mark.parametrize("path", CONCEPTS, ids=lambda path: path.stem)
def test_a_concept_cites_each_of_its_references(path: Path) -> None:
    text, _, listed = path.read_text("utf-8").partition("## References")
    numbers = [int(number) for number in re.findall(r"^(\d+)\. ", listed, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))
    cited: set[int] = set()
    for group in re.findall(rf"\[(\d+(?:[,{DASH}] ?\d+)*)\](?!\()", text.replace("[0, 1]", "")):
        for part in group.split(","):
            first, _, last = part.strip().partition(DASH)
            cited |= set(range(int(first), int(last or first) + 1))
    assert cited == set(numbers)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(DOCS).as_posix())
def test_the_python_of_each_page_is_run_by_a_test(path: Path) -> None:
    if "```python" in path.read_text("utf-8") and path not in CONCEPTS:
        test = ROOT / "tests" / RUN_BY[path.relative_to(DOCS).as_posix()]
        assert path.name in test.read_text("utf-8") or path.stem in test.stem


def check_call(line: str) -> None:
    """Fail unless a line calls a command that there is, with options that it has."""
    words = shlex.split(line.partition("  #")[0].partition(" > ")[0])[1:]
    name = next((" ".join(words[:n]) for n in (2, 1) if " ".join(words[:n]) in COMMANDS), None)
    if name is None:
        assert words[0].startswith("-"), line
        return
    command = COMMANDS[name]
    known = {"--help"}
    for parameter in command.params:
        known |= {*parameter.opts, *parameter.secondary_opts}
    given = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
    assert given <= known, line


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_examples_with_options_that_exist(name: str) -> None:
    shown = examples(COMMANDS[name])
    assert shown, f"nversion {name} --help shows no example"
    assert any(line.startswith(f"nversion {name}") for line in shown)
    for line in shown:
        check_call(line)


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", *PAGES], ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_the_commands_of_a_page_exist(path: Path) -> None:
    for block in re.findall(r"```console\n(.*?)```", path.read_text("utf-8"), re.DOTALL):
        joined = block.replace("\\\n", " ")
        for line in re.findall(r"^\$ (?:\.venv/bin/)?(nversion .*)$", joined, re.MULTILINE):
            check_call(line)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("study --verions 3", "--versions"),
        ("gate x --requre a", "--require"),
        ("compare a b --oot c", "--out"),
        ("evidense x", "evidence"),
        ("evidence x --as cyclondx", "did you mean 'cyclonedx'"),
        ("architectures lst", "list"),
    ],
)
def test_what_was_meant_is_said(arguments: str, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nversion", *arguments.split()],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_the_site_is_built_strictly(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    pytest.importorskip("material")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stderr
    home = (tmp_path / "index.html").read_text("utf-8")
    assert "guide/study.html" in home
    text = "".join(path.read_text("utf-8") for path in tmp_path.glob("*/*.html"))
    loaded = re.findall(r'<(?:script|img|iframe)[^>]*src="(https?:[^"]+)"', text)
    loaded += re.findall(r'<link[^>]*rel="stylesheet"[^>]*href="(https?:[^"]+)"', text)
    assert loaded == []
