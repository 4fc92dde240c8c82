"""Requirements on a study's results, such as ``program.whole.l2_median>=1.5``.

A requirement names a value by its dotted key (:mod:`nversion.evidence.keys`) and says what it must
be. What was not measured never fulfils one.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from nversion.errors import InputError
from nversion.evidence.keys import LENGTH, QUOTED, found_at
from nversion.reading import shortened

__all__ = ["OPERATORS", "Judgement", "Requirement", "judge", "requirements_in"]

OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = MappingProxyType(
    {
        ">=": operator.ge,
        "<=": operator.le,
        "==": operator.eq,
        ">": operator.gt,
        "<": operator.lt,
    }
)

FORM = re.compile(rf'\s*((?:{QUOTED}|[^"<>=!])+?)\s*([<>=!]+)\s*(.*?)\s*', re.DOTALL)

EXAMPLE = "program.whole.l2_median>=1.5"


@dataclass(frozen=True)
class Requirement:
    """One requirement.

    Attributes:
        key: of the value, dotted.
        relation: ">=", "<=", ">", "<" or "==".
        wanted: what the value is compared with.
    """

    key: str
    relation: str
    wanted: float | bool | str

    def __str__(self) -> str:
        return f"{self.key} {self.relation} {_written(self.wanted)}"

    @classmethod
    def parse(cls, text: str) -> Requirement:
        """Return the requirement that a text such as ``program.accuracy>=0.9`` says.

        Raises:
            InputError: it is not of that form, or asks for a text to be larger or smaller.
        """
        match = FORM.fullmatch(text)
        if match is None or not match[3]:
            raise InputError(f"{text!r} is no requirement; one is written as in {EXAMPLE!r}")
        key, relation, wanted = match[1], match[2], _value(match[3], text)
        if relation not in OPERATORS:
            raise InputError(
                f"{text!r}: {relation!r} is none of {', '.join(OPERATORS)}; a requirement is "
                f"written as in {EXAMPLE!r}"
            )
        if relation != "==" and isinstance(wanted, bool | str):
            raise InputError(f"{text!r}: only a number can be {relation} something, not {match[3]}")
        return cls(key, relation, wanted)


@dataclass(frozen=True)
class Judgement:
    """What became of a requirement.

    Attributes:
        requirement: that was judged.
        found: the value at its key; None where it was not measured.
        passed: whether the value is as required.
    """

    requirement: Requirement
    found: float | bool | str | None
    passed: bool

    @property
    def reason(self) -> str:
        """The value, in words: what was found, or that it was not measured."""
        if self.found is None:
            return "not measured (null), which never passes"
        return _written(self.found)

    def to_json(self) -> dict[str, Any]:
        """Return the judgement as JSON values."""
        return {
            "requirement": str(self.requirement),
            "key": self.requirement.key,
            "relation": self.requirement.relation,
            "wanted": self.requirement.wanted,
            "found": self.found,
            "passed": self.passed,
        }


def judge(values: Mapping[str, Any], requirements: Iterable[Requirement]) -> list[Judgement]:
    """Return what becomes of each requirement on a study's results.

    Args:
        values: the JSON values of ``results.json``.
        requirements: to be judged, all of them even where one fails.

    Raises:
        InputError: results have no such key, or its value cannot be compared like that.
    """
    return [_judged(values, requirement) for requirement in requirements]


def requirements_in(text: str) -> list[Requirement]:
    """Return the requirements in a text, one a line; empty lines and what follows # count not.

    Raises:
        InputError: a line is none; the message has its number.
    """
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if wanted := line.partition("#")[0].strip():
            try:
                found.append(Requirement.parse(wanted))
            except InputError as error:
                raise InputError(f"line {number}: {error}") from None
    return found


def _judged(values: Mapping[str, Any], requirement: Requirement) -> Judgement:
    found = found_at(values, requirement.key)
    if found is None:
        return Judgement(requirement, None, passed=False)
    if isinstance(found, list):
        raise InputError(
            f"{requirement.key} is a list of {len(found)}; name one of it, or its length "
            f"({requirement.key}.{LENGTH})"
        )
    if isinstance(found, dict):
        raise InputError(
            f"{requirement.key} is no single value; name one of: {', '.join(list(found)[:12])}"
        )
    if _kind(found) != _kind(requirement.wanted):
        raise InputError(
            f"{requirement.key} is {_kind(found)} ({shortened(found)}), and cannot be compared "
            f"with {_kind(requirement.wanted)} ({shortened(requirement.wanted)})"
        )
    passed = OPERATORS[requirement.relation](found, requirement.wanted)
    return Judgement(requirement, found, bool(passed))


def _value(text: str, whole: str) -> float | bool | str:
    """Return the value that the right side of a requirement says."""
    if text in ("true", "false"):
        return text == "true"
    try:
        number = float(text)
    except ValueError:
        return text.removeprefix('"').removesuffix('"')
    if not math.isfinite(number):
        raise InputError(f"{whole!r}: nothing that was measured is {text}; give a finite number")
    return number


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "true or false"
    return "a text" if isinstance(value, str) else "a number"


def _written(value: float | bool | str) -> str:
    """Return a value as it is given on the command line."""
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else f"{value:.6g}"
