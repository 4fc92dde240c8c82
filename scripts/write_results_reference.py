"""Write the pages in docs/reference that are made from the code, and the JSON Schemas."""

from __future__ import annotations

from pathlib import Path

from nversion.cli import reference as commands
from nversion.evidence import reference as evidence
from nversion.files import write_json, write_text
from nversion.study.sections.reference import page, schema

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "reference"

if __name__ == "__main__":
    write_text(FOLDER / "results.md", page())
    write_json(FOLDER / "results.schema.json", schema())
    write_text(FOLDER / "commands.md", commands.page())
    write_text(FOLDER / "evidence.md", evidence.page())
    write_json(FOLDER / "evidence.schema.json", evidence.schema())
