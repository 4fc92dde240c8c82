"""The guide to plugins: its Python runs, and what it says of packages is the example's."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

from .conftest import blocks

ROOT = Path(__file__).resolve().parents[1]
GUIDE = ROOT / "docs" / "guide" / "plugins.md"


def test_the_python_runs() -> None:
    # In a process of its own, as what it registers stays.
    code = "\n".join(blocks(GUIDE, "python"))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "radii torch.Size([2])\nfound torch.bool\n"


def test_the_groups_are_the_examples() -> None:
    (table,) = blocks(GUIDE, "toml")
    said = tomllib.loads(table)["project"]["entry-points"]
    example = tomllib.loads((ROOT / "examples/plugin/pyproject.toml").read_text("utf-8"))
    assert said.keys() == example["project"]["entry-points"].keys()
