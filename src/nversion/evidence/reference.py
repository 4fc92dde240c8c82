"""The form of evidence for others: as a JSON Schema, and as a page to read."""

from __future__ import annotations

from typing import Any

from nversion.evidence.record import Evidence
from nversion.study.sections import reference

__all__ = ["page", "schema"]

_INTRODUCTION = """# The form of evidence

`nversion evidence STUDY` writes this. The same as a JSON Schema (draft 2020-12):
[evidence.schema.json](evidence.schema.json). The first key, `format`, names the form; its number
grows where a reader of the form before would go wrong. What the keys mean is explained in
[Evidence to hand in](../guide/evidence.md).
"""


def schema() -> dict[str, Any]:
    """Return the JSON Schema of evidence, with a description of each key."""
    return reference.schema(Evidence)


def page() -> str:
    """Return the page that lists all keys, as Markdown."""
    return reference.page(Evidence, _INTRODUCTION)
