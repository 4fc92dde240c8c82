"""Write docs/tutorial.ipynb from docs/tutorial.md: one text, read as a page or run as a notebook.

    python scripts/write_notebook.py

Blocks of Python become cells of code, all else cells of text, whose links lead to pages of docs/. A
notebook is JSON, so nothing of Jupyter is needed to write it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE, NOTEBOOK = DOCS / "tutorial.md", DOCS / "tutorial.ipynb"


def notebook(text: str) -> dict[str, Any]:
    """Return a page's text as a notebook of format 4.5."""
    parts = re.split(r"```python\n(.*?)```\n", text, flags=re.DOTALL)
    cells = []
    for place, part in enumerate(parts):
        # An odd one is what the pattern caught: the inside of a block.
        kind = "code" if place % 2 else "markdown"
        if part.strip():
            lines = part.strip("\n").splitlines(keepends=True)
            cell = {"cell_type": kind, "id": f"cell-{place}", "metadata": {}, "source": lines}
            cells.append(cell | ({"execution_count": None, "outputs": []} if place % 2 else {}))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def written(text: str) -> str:
    """Return the notebook of a page as it stands in its file."""
    return json.dumps(notebook(text), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    NOTEBOOK.write_text(written(PAGE.read_text("utf-8")), "utf-8")
