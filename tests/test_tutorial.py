"""The tutorial runs from nothing to a report, and its notebook is the same text."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = "tutorial.md"
NOTEBOOK = ROOT / "docs" / "tutorial.ipynb"


def test_the_notebook_is_made_from_the_page() -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "write_notebook.py"))
    text = (ROOT / "docs" / PAGE).read_text("utf-8")
    assert NOTEBOOK.read_text("utf-8") == script["written"](text), "run scripts/write_notebook.py"


def test_every_cell_of_code_is_one_of_the_page() -> None:
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    text = (ROOT / "docs" / PAGE).read_text("utf-8")
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(code) == text.count("```python")
    assert len({cell["id"] for cell in cells}) == len(cells)


@pytest.mark.long
def test_the_notebook_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
    said = capsys.readouterr().out
    assert "of 50 fooled" in said
    assert "none below" in said
    assert (tmp_path / "studies/tutorial/report/index.html").is_file()
