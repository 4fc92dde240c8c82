"""Write numbers as people read them.

Shares are fractions in [0, 1]; they are shown in per cent, with the two decimals that the study of
2019 used. A value that is not there is shown as :data:`MISSING`.
"""

from __future__ import annotations

import math
import re

from nversion.study.sections import RadiiSummary
from nversion.study.wording import join

__all__ = [
    "MISSING",
    "change",
    "count",
    "decimal",
    "duration",
    "infinite_radii",
    "interval",
    "join",
    "norm_name",
    "ordinal",
    "p_value",
    "percent",
    "plural",
    "points",
    "rounded_percent",
    "signed_value",
    "unbroken",
]

MISSING = "\u2013"
"""How a value that is not there is shown."""

_NARROW = "\u202f"  # A narrow space that does not break: between a number and its unit.
_FIRM = "\u00a0"  # A space that does not break.
_MINUS = "\u2212"
_DASH = "\u2013"


def infinite_radii(radii: RadiiSummary) -> str:
    """Say how many radii are infinite and so not in their mean; "" if none is."""
    return f"{radii.infinite} of {len(radii.radii)}" if radii.infinite else ""


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


def signed_value(value: float, decimals: int) -> str:
    """Write a difference with its sign: +0.0312, −0.0041, 0.0000."""
    written = _signed(value, decimals)
    return f"+{written}" if float(written.replace(",", "").replace(_MINUS, "-")) > 0 else written


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


def _signed(value: float, decimals: int) -> str:
    written = f"{value:,.{decimals}f}"
    if float(written.replace(",", "")) == 0:
        return written.lstrip("-")
    return written.replace("-", _MINUS)


def unbroken(text: str) -> str:
    """Return a sentence whose lines end neither before a per cent sign nor within "p = 0.01"."""
    text = re.sub(r"(?<=\d) %", f"{_NARROW}%", text)
    return re.sub(r"\b([pz]) ([=<]) (?=\d)", rf"\1{_FIRM}\2{_FIRM}", text)
