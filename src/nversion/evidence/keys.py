"""Dotted keys: one value among many nested ones, such as ``attacks.deepfool.effectiveness``.

A part of a key names a key of an object, an entry of a list by its name or by its place from 0
(-1 is the last), or, as ``length``, how many entries a list has. A part with dots or blanks in it
stands in double quotes, as in TOML, with a backslash before a quote or a backslash in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nversion.errors import InputError
from nversion.naming import did_you_mean
from nversion.reading import shortened
from nversion.study.sections import Results, Section

__all__ = ["LENGTH", "QUOTED", "found_at", "parts_of", "quoted"]

LENGTH = "length"
"""The part of a key that is the length of a list."""

NAMES = ("measure", "name", "unit", "question")
"""The keys by which entries of a list are called, the first that an entry has."""

QUOTED = r'"(?:[^"\\]|\\.)*"'
"""A part in quotes, as a regular expression."""

PART = re.compile(rf'({QUOTED})|([^".]+)', re.DOTALL)

SHOWN = 12
"""How many of the keys that there are a message lists."""


def parts_of(key: str) -> list[str]:
    """Return the parts of a dotted key.

    Raises:
        InputError: a part is empty, or its quotes do not close.
    """
    parts, at = [], 0
    while True:
        match = PART.match(key, at)
        part = "" if match is None else _unquoted(match[1]) or (match[2] or "").strip()
        if match is None or not part:
            raise InputError(
                f"{key!r}: a part of the key is empty or badly quoted; it is written as in "
                "program.whole.l2_median"
            )
        parts.append(part)
        at = match.end()
        if at == len(key):
            return parts
        if key[at] != ".":
            raise InputError(f"{key!r}: parts of a key have dots between them")
        at += 1


def quoted(part: str) -> str:
    """Return a part of a key as it is written, in quotes where it needs them."""
    if re.fullmatch(r"[\w:+@-]+", part):
        return part
    escaped = part.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _unquoted(part: str | None) -> str:
    return re.sub(r"\\(.)", r"\1", (part or "")[1:-1], flags=re.DOTALL)


def found_at(values: Mapping[str, Any], key: str) -> Any:
    """Return the value at a dotted key of a study's results.

    Args:
        values: the JSON values of ``results.json``.
        key: as this module has it.

    Returns:
        The value; None where results may hold one and these do not.

    Raises:
        InputError: results have no such key; the message says which there are.
    """
    value: Any = values
    known: type[Section] | None = Results
    walked: list[str] = []
    for part in parts_of(key):
        if isinstance(value, Mapping):
            value, known = _of_object(value, part, walked, known)
        elif isinstance(value, Sequence) and not isinstance(value, str):
            value, known = _of_list(value, part, walked), None
        elif value is None:
            # Not measured: what would be in it is not there either.
            _check_known(part, walked, known)
            known = _section_at(known, part)
        else:
            raise InputError(f"{'.'.join(walked)} is {shortened(value)}, and has no {part!r} in it")
        walked.append(part)
    return value


def _of_object(
    value: Mapping[str, Any], part: str, walked: Sequence[str], known: type[Section] | None
) -> tuple[Any, type[Section] | None]:
    if part not in value:
        _check_known(part, walked, known, value)
        return None, _section_at(known, part)
    return value[part], _section_at(known, part)


def _check_known(
    part: str,
    walked: Sequence[str],
    known: type[Section] | None,
    present: Mapping[str, Any] | None = None,
) -> None:
    """Raise unless results may have the key `part` where `walked` leads."""
    possible = [*(present or ()), *(known.model_fields if known else ())]
    if part in possible or (known is None and present is None):
        return
    raise _unknown(part, walked, list(dict.fromkeys(possible)))


def _of_list(value: Sequence[Any], part: str, walked: Sequence[str]) -> Any:
    if part == LENGTH:
        return len(value)
    named = [(label, entry) for entry in value for label in _labels(entry)]
    found = [entry for label, entry in named if label == part]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(
            f"{'.'.join(walked)}: {len(found)} entries are called {part!r}; give a place, from 0"
        )
    if re.fullmatch(r"-?\d{1,9}", part):
        place = int(part)
        if not -len(value) <= place < len(value):
            raise InputError(f"{'.'.join(walked)} has {len(value)} entries, none at {place}")
        return value[place]
    raise _unknown(part, walked, [*(label for label, _ in named), LENGTH])


def _labels(entry: Any) -> Iterator[str]:
    """Yield what an entry of a list may be called by."""
    if not isinstance(entry, Mapping):
        return
    name = next((entry[key] for key in NAMES if isinstance(entry.get(key), str)), None)
    if name is not None:
        yield name
    elif "radius" in entry:
        norm, radius = entry.get("norm"), entry["radius"]
        yield f"{norm}@{radius:g}" if norm is not None else f"{radius:g}"


def _section_at(known: type[Section] | None, part: str) -> type[Section] | None:
    """Return the section that a key of another holds; None if it is no section, or not known."""
    field = known.model_fields.get(part) if known else None
    if field is None:
        return None
    kinds = (field.annotation, *getattr(field.annotation, "__args__", ()))
    return next((one for one in kinds if isinstance(one, type) and issubclass(one, Section)), None)


def _unknown(part: str, walked: Sequence[str], there_are: Sequence[str]) -> InputError:
    where = f"{'.'.join(walked)}: " if walked else "results.json: "
    listed = ", ".join(quoted(one) for one in there_are[:SHOWN]) + (
        ", ..." if len(there_are) > SHOWN else ""
    )
    return InputError(
        f"{where}there is no {shortened(part)}{did_you_mean(part, there_are)}; "
        f"there {'is' if len(there_are) == 1 else 'are'}: {listed or 'nothing'}"
    )
