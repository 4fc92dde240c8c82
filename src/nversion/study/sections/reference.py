"""The form of ``results.json`` for others: as a JSON Schema, and as a page to read.

Both are made from the sections, whose docstrings say what each key is, so neither can be out of
date: ``scripts/write_results_reference.py`` writes them, and a test holds them to the sections.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from typing import Any

from nversion.study.sections.base import Section
from nversion.study.sections.results import Results

__all__ = ["page", "schema"]

_INTRODUCTION = """# The form of results.json

A study writes all that it found to `results.json` in its folder, and `nversion report` reads it
from there. These are its keys. The same as a JSON Schema (draft 2020-12), to check a file by or to
make types from: [results.schema.json](results.schema.json).

A study that stopped half-way, or was made by an older version of nversion, lacks some keys; what is
missing is left out of the report. Keys that are not listed are passed over. A value of another type
than it must have is refused with its name. Shares and accuracies are fractions in [0, 1], distances
and radii in pixels of [0, 1], times in wall-clock seconds; all numbers are finite. In Python,
`nversion.study.Results.of` gives a file's values as attributes.
"""


def schema(whole: type[Section] = Results) -> dict[str, Any]:
    """Return the JSON Schema of ``results.json``, with a description of each key.

    Args:
        whole: the type of another file, to return its schema instead.
    """
    found = whole.model_json_schema()
    parts = {whole.__name__: found, **found["$defs"]}
    for kind in _sections(whole):
        part, (summary, keys) = parts[kind.__name__], _described(kind)
        part["description"] = summary
        for key, entry in part["properties"].items():
            # What is left out is not made up; and a title would only say the key again.
            entry.pop("default", None)
            entry.pop("title", None)
            entry["description"] = keys[key]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}


def page(whole: type[Section] = Results, introduction: str = _INTRODUCTION) -> str:
    """Return the page that lists all keys, as Markdown.

    Args:
        whole: the type of the file.
        introduction: what stands above the keys.
    """
    parts = [introduction]
    for kind in _sections(whole):
        summary, keys = _described(kind)
        title = "The whole file" if kind is whole else kind.__name__
        rows = [
            f"| `{key}` | {_in_words(entry)} | {keys[key]} |"
            for key, entry in kind.model_json_schema()["properties"].items()
        ]
        parts.append(
            f"## {title}\n\n{summary}\n\n| key | type | |\n|---|---|---|\n" + "\n".join(rows)
        )
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _sections(
    kind: type[Section], seen: set[type[Section]] | None = None
) -> Iterator[type[Section]]:
    """Yield a section and all that are in it, each once, in the order of the keys."""
    seen = set() if seen is None else seen
    if kind in seen:
        return
    seen.add(kind)
    yield kind
    for field in kind.model_fields.values():
        for inner in _inside(field.annotation):
            yield from _sections(inner, seen)


def _inside(annotation: Any) -> Iterator[type[Section]]:
    """Yield the sections in an annotation, such as ``dict[str, RadiiPair]``."""
    if inspect.isclass(annotation) and issubclass(annotation, Section):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _inside(argument)


def _described(kind: type[Section]) -> tuple[str, dict[str, str]]:
    """Return what a section's docstring says of it, and of each of its keys."""
    summary, keys = "", {}
    for base in reversed(kind.__mro__):
        if issubclass(base, Section):
            summary, _, attributes = inspect.cleandoc(base.__doc__ or "").partition("Attributes:\n")
            entries = re.split(r"^    (?=\w+: )", attributes, flags=re.MULTILINE)[1:]
            for entry in entries:
                key, _, text = entry.partition(": ")
                keys[key] = " ".join(text.split())
    return _plain(" ".join(summary.split())), {key: _plain(text) for key, text in keys.items()}


def _plain(text: str) -> str:
    """Return the text of a docstring without the marks of its cross-references."""
    return re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"`\1`", text).replace("``", "`")


def _in_words(entry: dict[str, Any]) -> str:
    """Return the type of a key in words."""
    if "anyOf" in entry:
        return " or ".join(_in_words(one) for one in entry["anyOf"])
    if "allOf" in entry:
        return _in_words(entry["allOf"][0])
    if "$ref" in entry:
        name = entry["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "enum" in entry:
        return ", ".join(json.dumps(value) for value in entry["enum"])
    if entry.get("type") == "array":
        return f"list of {_in_words(entry['items'])}"
    if entry.get("type") == "object":
        inner = entry.get("additionalProperties")
        return f"object of {_in_words(inner)}" if isinstance(inner, dict) else "object"
    return str(entry.get("type", "anything"))
