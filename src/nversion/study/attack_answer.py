"""The second answer: which type of attack succeeds most, and which attack comes nearest."""

from __future__ import annotations

from collections.abc import Sequence

from nversion.attacks.kinds import KINDS, about
from nversion.study.sections import AttackRow
from nversion.study.wording import join, percent

__all__ = ["ATTACK_RULE", "which_attack"]

ATTACK_RULE = (
    "Types are ranked by the share of all their runs that succeed, however large the change. A "
    "type falls behind if none of its attacks has a 95 % interval that reaches that of the most "
    "effective attack; an interval counts each test image as one try. The nearest attack of a norm "
    "has the smallest median change over its successes, among those made for that norm that "
    "succeed at least 0.9 times as often as the best of them."
)

_COMPARABLE = 0.9
_NAMED = 3


def which_attack(rows: Sequence[tuple[str, float, AttackRow]]) -> str:
    """Return which types of attack lead, and which attacks change images least.

    Args:
        rows: of each attack that was run: name, share of runs that succeed, and its row.
    """
    types = _by_type(rows)
    best = max(share for _, share, _ in rows)
    floor = max(_ends(row)[0] for _, share, row in rows if share == best)
    lead = [one for one in types if any(_ends(row)[1] >= floor for _, _, row in types[one])]
    behind = [one for one in types if one not in lead]
    parts = [_told(one, types[one]) for one in lead]
    text = "; ".join(parts)
    if len(lead) > 1:
        text += "; these cannot be told apart by these images"
    if behind:
        text += f". Behind them: {'; '.join(_told(one, types[one]) for one in behind)}"
    elif len(types) == 1:
        text += "; all attacks here are of this type"
    text = f"{text[0].upper()}{text[1:]}."
    near = _nearest(rows)
    return f"{text} {near}".strip()


def _by_type(
    rows: Sequence[tuple[str, float, AttackRow]],
) -> dict[str, list[tuple[str, float, AttackRow]]]:
    """Return the attacks by their type, the type whose runs succeed most first."""
    found = {kind: [row for row in rows if about(row[0]).kind == kind] for kind in KINDS}
    known: dict[str, list[tuple[str, float, AttackRow]]] = {
        kind: listed for kind, listed in found.items() if listed
    }
    return dict(sorted(known.items(), key=lambda item: -_share(item[1])))


def _share(rows: Sequence[tuple[str, float, AttackRow]]) -> float:
    tried = sum(row.tried or 0 for _, _, row in rows)
    return sum(share * (row.tried or 0) for _, share, row in rows) / max(tried, 1)


def _told(kind: str, rows: Sequence[tuple[str, float, AttackRow]]) -> str:
    tried = sum(row.tried or 0 for _, _, row in rows)
    names = [name for name, _, _ in rows]
    listed = join(names) if len(names) <= _NAMED else f"{len(names)} attacks"
    runs = "run" if tried == 1 else "runs"
    return f"{kind} ({listed}) succeeds in {percent(_share(rows))} of {tried:,} {runs}"


def _nearest(rows: Sequence[tuple[str, float, AttackRow]]) -> str:
    """Say which attack of each norm changes images least."""
    parts = []
    for norm, title in (("0", "L0"), ("1", "L1"), ("2", "L2"), ("inf", "L∞")):
        own = [
            (name, share, size)
            for name, share, row in rows
            if _norm(row) == norm and (size := _median(row, norm)) is not None
        ]
        top = max((share for _, share, _ in own), default=0.0)
        able = [one for one in own if one[1] >= _COMPARABLE * top]
        if able:
            name, share, size = min(able, key=lambda one: one[2])
            parts.append(f"in {title} by {name} (median {size:.3g}, {percent(share)} of its runs)")
    return f"The smallest changes are found {join(parts)}." if parts else ""


def _norm(row: AttackRow) -> str:
    return str(row.norm or "").lower().removeprefix("l")


def _median(row: AttackRow, norm: str) -> float | None:
    medians = {"0": row.median_l0, "1": row.median_l1, "2": row.median_l2, "inf": row.median_linf}
    return medians[norm]


def _ends(attack: AttackRow) -> tuple[float, float]:
    """Return an attack's interval; all there is where it is not known by test image."""
    low, high = attack.effectiveness_low, attack.effectiveness_high
    return (0.0, 1.0) if attack.test_images is None or low is None or high is None else (low, high)
