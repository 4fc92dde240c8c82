"""The text format of architectures: reading and writing it.

One layer a line: a name, then its parameters. Commas and blanks separate alike, capitals do not
matter, ``#`` starts a comment, empty lines are skipped, and line ends may be of any system. The
files of the 2019 study (``flattern`` and all) are in this format.

The forms are read off the layer classes: fields without a default are required, fields with one
may be left out, and keyword-only fields are written ``name=value``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, Field, fields
from typing import Any

from nversion.architectures.layers import ACTIVATIONS, LAYER_TYPES, Layer
from nversion.errors import ArchitectureError

__all__ = ["LAYER_LIMIT", "form", "layer_text", "read_layers", "write_layers"]

LAYER_LIMIT = 1000
"""The most layers a text may have."""

PROBLEM_LIMIT = 10
"""How many bad lines an error lists: a file that is no architecture at all has many."""

_WORDS = {layer.word: layer for layer in LAYER_TYPES}
_SPELLINGS = {"flattern": "flatten"}
_WHOLE = re.compile(r"[+-]?[0-9]{1,12}")
_DECIMAL = re.compile(r"[+-]?([0-9]{1,30}\.?[0-9]{0,30}|\.[0-9]{1,30})(e[+-]?[0-9]{1,3})?")


def read_layers(text: str, source: str) -> tuple[Layer, ...]:
    """Read the layers of a text.

    Args:
        text: the architecture's text.
        source: where it comes from, for the error: a file's name.

    Raises:
        ArchitectureError: the text has no layers or too many, or lines that cannot be read; the
            message names the source, the first such lines with their numbers, and what is
            accepted.
    """
    layers: list[Layer] = []
    problems: list[str] = []
    wanted: list[type[Layer]] = []
    for number, line, tokens in _lines(text):
        if len(layers) + len(problems) >= LAYER_LIMIT:
            raise ArchitectureError(f"{source}: more than {LAYER_LIMIT} layers")
        layer = _WORDS.get(_SPELLINGS.get(tokens[0], tokens[0]))
        try:
            if layer is None:
                raise ArchitectureError(f"no layer is called {_shown(tokens[0])}")
            layers.append(layer(**_arguments(layer, tokens[1:])))
        except ArchitectureError as error:
            problems.append(f"{source}, line {number}: {_shown(line)}: {error}")
            wanted.extend(LAYER_TYPES if layer is None else [layer])
    if problems:
        raise ArchitectureError(_report(source, problems, wanted))
    if not layers:
        problem = f"{source}: no layers; write one a line (`flatten` alone is a linear classifier)"
        raise ArchitectureError(_report(source, [problem], LAYER_TYPES))
    return tuple(layers)


def _report(source: str, problems: Sequence[str], wanted: Sequence[type[Layer]]) -> str:
    """Return the message for a text's problems, with the forms of the layers concerned."""
    lines = list(problems[:PROBLEM_LIMIT])
    if len(problems) > PROBLEM_LIMIT:
        lines.append(f"{source}: and {len(problems) - PROBLEM_LIMIT} more lines like these")
    forms = [f"  {form(layer)}" for layer in LAYER_TYPES if layer in wanted]
    if any("ACTIVATION" in text for text in forms):
        forms.append(f"  where ACTIVATION is {', '.join(ACTIVATIONS[:-1])} or {ACTIVATIONS[-1]}")
    return "\n".join([*lines, "accepted:", *forms])


def write_layers(layers: tuple[Layer, ...]) -> str:
    """Return the canonical text of the layers: one a line, ending with a line feed."""
    return "".join(f"{layer_text(layer)}\n" for layer in layers)


def layer_text(layer: Layer) -> str:
    """Return the canonical text of one layer, without what equals its default."""
    words = [layer.word]
    pending: list[str] = []
    for field in _fields(type(layer)):
        value = getattr(layer, field.name)
        if field.kw_only:
            if value != field.default:
                words.append(f"{field.name}={value}")
            continue
        # A default is written only if a later positional parameter needs its place kept.
        pending.append(str(value))
        if field.default is MISSING or value != field.default:
            words.extend(pending)
            pending.clear()
    return ", ".join(words)


def form(layer: type[Layer]) -> str:
    """Return the accepted form of a layer, as messages and the documentation show it."""
    parts = [layer.word]
    for field in _fields(layer):
        name = field.name.upper()
        if field.kw_only:
            parts.append(f"[, {field.name}={name}]")
        elif field.default is MISSING:
            parts.append(f", {name}")
        else:
            parts.append(f"[, {name}]")
    return "".join(parts)


def _lines(text: str) -> Iterator[tuple[int, str, list[str]]]:
    """Yield the number, the text and the words of every line that holds a layer."""
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text.removeprefix("\ufeff")), start=1):
        content = "=".join(part.strip() for part in line.partition("#")[0].lower().split("="))
        tokens = content.replace(",", " ").split()
        if tokens:
            yield number, line.strip(), tokens


def _arguments(layer: type[Layer], tokens: list[str]) -> dict[str, Any]:
    """Return the fields' values by name, from positional words and then name=value words."""
    known = {field.name: field for field in _fields(layer)}
    positional = [field for field in known.values() if not field.kw_only]
    values: dict[str, Any] = {}
    for position, token in enumerate(tokens):
        name, equals, text = token.partition("=")
        if not equals:
            if any("=" in earlier for earlier in tokens[:position]):
                raise ArchitectureError(f"{_shown(token)} must come before the name=value words")
            if position >= len(positional):
                raise ArchitectureError(f"{_shown(token)} is one parameter too many")
            name, text = positional[position].name, token
        elif name not in known:
            raise ArchitectureError(f"it has no parameter {_shown(name)}")
        if name in values:
            raise ArchitectureError(f"{name} is given twice")
        values[name] = _value(known[name], text)
    missing = [field.name for field in known.values() if _required(field, values)]
    if missing:
        raise ArchitectureError(f"{' and '.join(missing)} missing")
    return values


def _value(field: Field[Any], text: str) -> int | float | str:
    # With postponed annotations a field's type is its name.
    if field.type == "int":
        if not _WHOLE.fullmatch(text):
            raise ArchitectureError(f"{field.name} must be a whole number, not {_shown(text)}")
        return int(text)
    if field.type == "float":
        if not _DECIMAL.fullmatch(text):
            raise ArchitectureError(f"{field.name} must be a number, not {_shown(text)}")
        return float(text)
    return text[:40]


def _required(field: Field[Any], values: dict[str, Any]) -> bool:
    return field.default is MISSING and field.name not in values


def _fields(layer: type[Layer]) -> tuple[Field[Any], ...]:
    return fields(layer)  # type: ignore[arg-type]  # every layer type is a dataclass


def _shown(text: str) -> str:
    """Return untrusted text quoted, with control characters escaped, and cut to one line."""
    return repr(text if len(text) <= 60 else text[:57] + "...")
