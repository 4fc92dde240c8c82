from __future__ import annotations

import re
from pathlib import Path

import pytest

from nversion.report.inserts import inserted

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.long
def test_the_readmes_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("4 images")
    pairs = [tuple(map(float, re.findall(r"\d\.\d\d", line))) for line in said[1:]]
    assert len(pairs) == 4
    assert all(proved < nearest for proved, nearest in pairs)


@pytest.mark.parametrize("name", ["README.md", "docs/results/README.md"])
def test_results_in_a_page_are_those_that_were_published(name: str) -> None:
    page = ROOT / name
    text = page.read_text("utf-8")
    new, places = inserted(text, page)
    assert places
    assert new == text, f"nversion report docs/results/mnist-10 --insert {name} has not been run"


PAGES = [
    *sorted(ROOT.glob("*.md")),
    ROOT / "benchmarks/README.md",
    *sorted(ROOT.glob("docs/**/*.md")),
]


@pytest.mark.parametrize("page", [path.relative_to(ROOT).as_posix() for path in PAGES])
def test_links_between_pages_lead_somewhere(page: str) -> None:
    path = ROOT / page
    for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text("utf-8")):
        assert (path.parent / target).exists(), f"{page} links to {target}"
