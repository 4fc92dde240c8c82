"""Write docs/reference/results.md and evidence.md, and their JSON Schemas, from the types."""

from __future__ import annotations

from pathlib import Path

from nversion.evidence import reference as evidence
from nversion.files import write_json, write_text
from nversion.study.sections.reference import page, schema

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "reference"

if __name__ == "__main__":
    write_text(FOLDER / "results.md", page())
    write_json(FOLDER / "results.schema.json", schema())
    write_text(FOLDER / "evidence.md", evidence.page())
    write_json(FOLDER / "evidence.schema.json", evidence.schema())
