"""Files from outside, read within bounds: plain text, JSON and TOML, and the names they hold.

Whoever made a file may have meant harm, or have damaged it. So a file is read up to a limit and
not beyond, what it holds is nested no deeper and its numbers are no longer than ours ever are, and
a name in it is a plain one before it becomes part of a path. What does not keep to that is an error
that names the file, of the class that the caller asks for.
"""

from __future__ import annotations

import dataclasses
import json
import re
import tomllib
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from nversion.errors import ArtefactError, NVersionError
from nversion.naming import did_you_mean

__all__ = [
    "JSON_LIMIT",
    "TEXT_LIMIT",
    "check_expansion",
    "check_name",
    "checked",
    "cleaned",
    "describe_validation_error",
    "parse_json",
    "parse_toml",
    "printable",
    "read_bytes",
    "read_text",
    "read_toml",
    "shortened",
]

T = TypeVar("T")

TEXT_LIMIT = 1_000_000
"""The most bytes of a file that a person writes: a recipe, a configuration, an architecture."""

JSON_LIMIT = 64_000_000
"""The most bytes of a JSON file; the results of a hundred versions are 400 kB."""

DEPTH_LIMIT = 100
"""How deep JSON and TOML may be nested."""

LARGEST_INTEGER = 10**300
"""Integers beyond it are refused: they neither become floats nor, from 4,300 digits, text."""

ALTERNATIVE = re.compile(r"constrained-|literal\[")
"""What pydantic puts after the key of a value that may be a number or a word."""

NAME_LIMIT = 200
"""The most bytes of a name: with an ending it still is a file's name everywhere."""

UNPACKED_LIMIT, EXPANSION_LIMIT = 1 << 26, 200
"""Past so many bytes, data may be so many times as long unpacked as they are packed. Images shrink
to a third or a tenth; only what is made to fill the memory shrinks a thousandfold."""


def read_bytes(
    path: Path, limit: int = TEXT_LIMIT, error: type[NVersionError] = ArtefactError
) -> bytes:
    """Return what a plain file holds, of which no more than `limit` bytes and one are read.

    Raises:
        NVersionError: of class `error`: it is missing, a folder, a pipe, unreadable or longer.
    """
    try:
        if not path.is_file():
            what = "is not a plain file" if path.exists() else "no such file"
            raise error(f"{path}: {what}")
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as problem:
        raise error(f"{path}: cannot be read ({problem.strerror or problem})") from problem
    if len(content) > limit:
        raise error(f"{path}: more than {limit:,} bytes, which such a file never has")
    return content


def read_text(
    path: Path, limit: int = TEXT_LIMIT, error: type[NVersionError] = ArtefactError
) -> str:
    """Return the text of a UTF-8 file; `limit` and `error` as in :func:`read_bytes`.

    Raises:
        NVersionError: of class `error`, as in :func:`read_bytes`, or it is not UTF-8.
    """
    try:
        # Some editors begin a file with a mark of its encoding, which is no part of the text.
        return read_bytes(path, limit, error).decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise error(f"{path}: not readable as UTF-8 text ({problem})") from None


def parse_json(
    text: str | bytes, source: str | Path, error: type[NVersionError] = ArtefactError
) -> Any:
    """Return the value of a JSON text; `source` is where it is from, for the message.

    Raises:
        NVersionError: of class `error`: it is not JSON, holds NaN or infinite numbers, is nested
            deeper than `DEPTH_LIMIT` or holds an integer beyond `LARGEST_INTEGER`.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
        _check_value(value)
    except (ValueError, RecursionError) as problem:
        raise error(f"{source}: not readable as JSON ({_reason(problem)})") from None
    return value


def parse_toml(
    text: str, source: str | Path, error: type[NVersionError] = ArtefactError
) -> dict[str, Any]:
    """Return the values of a TOML text; `source` is where it is from, for the message.

    Raises:
        NVersionError: of class `error`: it is not TOML, or as in :func:`parse_json`; infinities
            and NaN are values of TOML.
    """
    try:
        values = tomllib.loads(text)
        _check_value(values)
    except (ValueError, RecursionError) as problem:
        raise error(f"{source}: not readable as TOML: {_reason(problem)}") from None
    return values


def read_toml(path: Path, error: type[NVersionError] = ArtefactError) -> dict[str, Any]:
    """Return the values of a TOML file.

    Raises:
        NVersionError: of class `error`, as in :func:`read_text` and :func:`parse_toml`.
    """
    return parse_toml(read_text(path, error=error), path, error)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number of JSON")


def _reason(problem: Exception) -> str:
    return "nested too deep" if isinstance(problem, RecursionError) else str(problem)


def _check_value(value: Any) -> None:
    """Raise ValueError where a parsed value is nested too deep or an integer is too large.

    Level by level and not by recursion, since dotted keys nest tables as deep as they please.
    """
    level = [value]
    for _ in range(DEPTH_LIMIT):
        for item in level:
            if type(item) is int and abs(item) > LARGEST_INTEGER:
                raise ValueError("an integer has more than 300 digits")
        level = [inner for item in level for inner in _parts(item)]
        if not level:
            return
    raise ValueError(f"nested more than {DEPTH_LIMIT} deep")


def _parts(item: Any) -> list[Any]:
    if isinstance(item, dict):
        return list(item.values())
    return item if isinstance(item, list) else []


def check_name(name: Any, what: str, error: type[NVersionError] = ArtefactError) -> str:
    """Return `name` if it is plain, so that it can be the name of a file and be shown.

    Args:
        name: what a file or a caller gave as a name.
        what: what has the name, to begin the message with.
        error: the class of the error.

    Raises:
        NVersionError: of class `error`: it is no text, empty or longer than `NAME_LIMIT` bytes,
            "." or "..", or holds a slash, a backslash or a character that cannot be written.
    """
    plain = (
        isinstance(name, str)
        and name.strip() not in ("", ".", "..")
        and not any(character in "/\\" for character in name)
        and printable(name, keep="") == name
        and len(name.encode()) <= NAME_LIMIT
    )
    if not plain:
        shown = shortened(name) if isinstance(name, str) else f"a {type(name).__name__}"
        raise error(
            f"{what}: a name must be plain text of 1 to {NAME_LIMIT} bytes without slashes and "
            f"control characters, not {shown}"
        )
    return str(name)


def printable(text: str, keep: str = "\n\t") -> str:
    """Return text that a terminal and a file take as text.

    Control characters but those in `keep`, lone surrogates, and code points that are no characters
    become replacement characters.
    """
    if text.isprintable():
        return text
    return "".join(
        one if one in keep or unicodedata.category(one) not in ("Cc", "Cs", "Cn") else "\ufffd"
        for one in text
    )


def cleaned(value: Any) -> Any:
    """Return a copy of a JSON value in which every text is :func:`printable`, keys too."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {printable(str(key)): cleaned(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [cleaned(item) for item in value]
    return value


def check_expansion(
    packed: int, unpacked: int, source: str | Path, error: type[NVersionError] = ArtefactError
) -> None:
    """Raise unless packed data may be as long as they say.

    Args:
        packed: bytes of the file.
        unpacked: bytes that it promises.
        source: where it is from, for the message.
        error: the class of the error.

    Raises:
        NVersionError: of class `error`: unpacked, they fill `UNPACKED_LIMIT` bytes and more than
            `EXPANSION_LIMIT` times what they fill packed.
    """
    if unpacked > max(UNPACKED_LIMIT, EXPANSION_LIMIT * packed):
        raise error(
            f"{source}: {packed:,} bytes that promise {unpacked:,} unpacked; images do not shrink "
            "like that, so it is damaged or made to fill the memory"
        )


def shortened(value: Any, length: int = 60) -> str:
    """Return how Python writes a value, in ASCII and cut to `length` characters, for a message."""
    written = ascii(value)
    return written if len(written) <= length else f"{written[:length]}..."


def checked(
    kind: type[T],
    values: Mapping[str, Any],
    source: str | Path,
    error: type[NVersionError] = ArtefactError,
) -> T:
    """Return the dataclass `kind` made from values out of a JSON file, each of the type it has.

    Raises:
        NVersionError: of class `error`: a value is missing, unknown or of another type; one line
            for each.
    """
    known = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if unknown := [name for name in values if name not in known]:
        raise error(f"{source}: {shortened(unknown[0])}: no such key")
    try:
        return TypeAdapter(kind).validate_json(json.dumps(values), strict=True)
    except ValidationError as problem:
        raise error(describe_validation_error(str(source), problem, kind)) from problem


def describe_validation_error(
    source: str,
    error: ValidationError,
    model: type[Any],
    origins: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Return one line per problem: where it was given, what is wrong and what would be right.

    Args:
        source: the file, or what else the values are from.
        error: what is wrong.
        model: the pydantic model or dataclass that the values were to become; its keys are those
            that there are.
        origins: by key, what else than `source` gave it, such as an option of the command line.
    """
    found: dict[str, str] = {}
    for problem in error.errors(include_url=False):
        parts = [str(part) for part in problem["loc"]]
        if parts and ALTERNATIVE.match(parts[-1]):
            parts.pop()
        keys = [".".join(parts[:end]) for end in range(len(parts), 0, -1)]
        where = next((origins[key] for key in keys if key in origins), None)
        where = where or f"{source}: {keys[0] if keys else '(whole)'}"
        if where not in found:
            found[where] = _wrong(problem, parts, model)
        elif problem["type"] == "literal_error":
            # The other half of a choice between a number and a word.
            found[where] += f"; or {problem['ctx']['expected']}"
    return "\n".join(f"{where}: {what}" for where, what in found.items())


def _wrong(problem: Any, parts: Sequence[str], model: type[Any]) -> str:
    """Return what is wrong with the value at a key, and what would be right."""
    kind, given = problem["type"], problem["input"]
    if kind == "extra_forbidden":
        known = _keys(model, parts[:-1])
        return f"no such key{did_you_mean(parts[-1], known)}; there are: {', '.join(known)}"
    if kind == "missing":
        return "is missing"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        known = _keys(model, parts)
        example = f", such as {'.'.join([*parts, known[0]])}" if known else ""
        return f"is a section, not {shortened(given)}; set a key of it{example}"
    if kind == "value_error":
        return str(problem["ctx"]["error"])
    hint = ""
    if kind == "literal_error":
        hint = did_you_mean(given, re.findall("'([^']+)'", problem["ctx"]["expected"]))
    message = problem["msg"].replace("Input should be", "must be")
    return f"{message}, not {shortened(given)}{hint}"


def _keys(model: Any, parts: Sequence[str]) -> list[str]:
    """Return the keys that there are in the section at some place; none where it is no section."""
    for part in parts:
        field = getattr(model, "model_fields", {}).get(part)
        model = field and field.annotation
    if dataclasses.is_dataclass(model):
        return [field.name for field in dataclasses.fields(model)]
    return list(getattr(model, "model_fields", {}))
