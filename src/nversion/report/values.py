"""Read results that may be incomplete, and write numbers as people read them.

``results.json`` comes from a file that users can edit, and a study that stopped half-way lacks
keys. So nothing in the report indexes the results directly: a value that is absent, of the wrong
type or not finite reads as None, an absent list as empty. Shares are fractions in [0, 1]; they
are shown in per cent, with the two decimals that the study of 2019 used.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

__all__ = [
    "MISSING",
    "Results",
    "change",
    "cleaned",
    "count",
    "decimal",
    "duration",
    "finite",
    "infinite_radii",
    "interval",
    "join",
    "lookup",
    "norm_name",
    "number",
    "numbers",
    "ordinal",
    "p_value",
    "percent",
    "plural",
    "points",
    "rounded_percent",
    "rows",
    "text",
    "trained",
]

Results: TypeAlias = Mapping[str, Any]
"""What ``results.json`` holds."""

MISSING = "\u2013"
"""How a value that is not there is shown."""

_NARROW = "\u202f"  # A narrow space that does not break: between a number and its unit.
_MINUS = "\u2212"
_DASH = "\u2013"


def cleaned(value: Any) -> Any:
    """Return a copy of a JSON value in which every text can be written to a file.

    Control characters, lone surrogates and code points without a character, which JSON can carry
    but UTF-8 or XML cannot, become replacement characters. Line ends and tabs stay.
    """
    if isinstance(value, str):
        return "".join(map(_writable, value))
    if isinstance(value, Mapping):
        return {cleaned(str(key)): cleaned(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [cleaned(item) for item in value]
    return value


def _writable(character: str) -> str:
    usable = character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cs", "Cn")
    return character if usable else "\ufffd"


def lookup(results: Results, path: str) -> Any:
    """Return the value at a dotted path such as ``program.accuracy_by_n.3``, or None."""
    value: Any = results
    for key in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(key)
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value


def finite(value: Any) -> float | None:
    """Return a finite number as a float, and anything else as None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def number(results: Results, path: str) -> float | None:
    """Return the finite number at a dotted path, or None."""
    return finite(lookup(results, path))


def numbers(results: Results, path: str) -> list[float | None]:
    """Return the list of numbers at a dotted path; what is not a finite number in it is None."""
    value = lookup(results, path)
    return [finite(item) for item in value] if isinstance(value, list) else []


def rows(results: Results, path: str) -> list[Results]:
    """Return the list of mappings at a dotted path, empty if there is none."""
    value = lookup(results, path)
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def text(results: Results, path: str) -> str | None:
    """Return the text at a dotted path; a number becomes its text, anything else None."""
    value = lookup(results, path)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(value) if str(value).strip() else None


def infinite_radii(results: Results, path: str) -> str:
    """Say how many of the radii at a path are infinite and so not in their mean; "" if none is."""
    infinite = number(results, f"{path}.infinite")
    return f"{count(infinite)} of {len(numbers(results, f'{path}.radii'))}" if infinite else ""


def trained(results: Results) -> list[tuple[int, Results]]:
    """Return the versions that were trained, each with its place in the list, from 1."""
    listed = enumerate(rows(results, "versions"), start=1)
    return [(place, version) for place, version in listed if version.get("status") != "failed"]


def percent(share: float | None, decimals: int = 2) -> str:
    """Write a share in [0, 1] in per cent: 0.9686 as 96.86 %."""
    if share is None:
        return MISSING
    return f"{_signed(100 * share, decimals)}{_NARROW}%"


def rounded_percent(share: float) -> str:
    """Write a share in whole per cent, and one that is too small for that as < 1 %."""
    return f"<{_NARROW}{percent(0.01, 0)}" if 0 < share < 0.005 else percent(share, 0)


def points(difference: float) -> str:
    """Write the size of a difference of two shares in percentage points."""
    size = f"{abs(100 * difference):.2f}"
    return f"{size} percentage point{'' if size == '1.00' else 's'}"


def p_value(p: float) -> str:
    """Write a p-value: p = 0.012, p < 0.001."""
    return "p\u00a0<\u00a00.001" if p < 0.001 else f"p\u00a0=\u00a0{p:.3f}"


def change(difference: float, low: float | None, high: float | None) -> str:
    """Write a difference of shares with its interval: +1.97 points, −0.3 to +4.5."""
    written = f"{100 * difference:+.2f} points"
    if low is not None and high is not None:
        written += f", {100 * low:+.1f} to {100 * high:+.1f}"
    return written.replace("-", _MINUS)


def interval(low: float | None, high: float | None) -> str:
    """Write an interval of shares: 96.4–97.2 %."""
    if low is None or high is None:
        return MISSING
    return f"{100 * low:.1f}{_DASH}{100 * high:.1f}{_NARROW}%"


def decimal(value: float | None, digits: int = 3) -> str:
    """Write a number to `digits` significant digits, never in powers of ten."""
    if value is None:
        return MISSING
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return _signed(value, min(decimals, 9))


def count(value: float | None) -> str:
    """Write a whole number, with thousands set apart: 12,345."""
    return MISSING if value is None else f"{round(value):,}"


def duration(seconds: float | None) -> str:
    """Write a time in the units that fit: 0.4 s, 12.3 s, 3 min 20 s, 2 h 5 min."""
    if seconds is None:
        return MISSING
    if round(seconds, 1) < 60:
        return f"{seconds:.1f}{_NARROW}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}{_NARROW}min {whole % 60}{_NARROW}s"
    minutes = round(whole / 60)
    return f"{minutes // 60}{_NARROW}h {minutes % 60}{_NARROW}min"


def plural(amount: int, noun: str) -> str:
    """Write an amount with its noun: 1 version, 10 versions."""
    return f"{amount:,} {noun}{'' if amount == 1 else 's'}"


def ordinal(place: int) -> str:
    """Write a place: 1st, 2nd, 3rd, 4th, 11th, 21st."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place}{'th' if place % 100 in (11, 12, 13) else ending}"


def norm_name(norm: str | float) -> str:
    """Write a norm, given as 2, "2", "l2" or "inf", as L2 or L∞."""
    bare = str(norm).lower().removeprefix("l").removesuffix(".0")
    return f"L{'∞' if bare == 'inf' else bare}"


def join(words: Iterable[str]) -> str:
    """Join words as in a sentence: a, b and c."""
    listed: Sequence[str] = list(words)
    if len(listed) < 2:
        return "".join(listed)
    return f"{', '.join(listed[:-1])} and {listed[-1]}"


def _signed(value: float, decimals: int) -> str:
    written = f"{value:,.{decimals}f}"
    if float(written.replace(",", "")) == 0:
        return written.lstrip("-")
    return written.replace("-", _MINUS)
