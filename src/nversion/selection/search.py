"""The search for a subset of versions: greedy, beam, or all of them.

Greedy adds the version that helps most, one at a time; a beam keeps several subsets of each size;
the exact search tries all. Of equal scores, the version that is better alone comes first, and then
the one with the lower number, so that nothing is left to chance.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from nversion.errors import InputError
from nversion.naming import did_you_mean
from nversion.selection.criteria import Criterion

__all__ = ["SEARCHES", "Choice", "beam", "exact", "greedy", "smallest"]

MOST_SUBSETS = 200_000
"""How many subsets the exact search tries."""

WIDTH = 10


@dataclasses.dataclass(frozen=True)
class Choice:
    """A choice of versions.

    Attributes:
        members: their numbers; in the order in which they were added, where they were.
        score: of them, by the criterion.
        full: the score of all versions.
        path: the best subset found of each size from 1 on, with its score.
        criterion: its name.
        search: its name.
    """

    members: tuple[int, ...]
    score: float
    full: float
    path: tuple[tuple[tuple[int, ...], float], ...]
    criterion: str
    search: str

    def to_json(self, names: Sequence[str] | None = None) -> dict[str, Any]:
        """Return everything as JSON values, with versions by name if `names` are given."""

        def named(members: Sequence[int]) -> list[Any]:
            return [one if names is None else names[one] for one in members]

        return {
            "criterion": self.criterion,
            "search": self.search,
            "members": named(self.members),
            "score": self.score,
            "full": self.full,
            "path": [{"members": named(one), "score": score} for one, score in self.path],
        }


def greedy(criterion: Criterion, size: int | None = None) -> Choice:
    """Return the choice of adding, one at a time, the version that helps most.

    Args:
        criterion: the score.
        size: how many versions; None for all of them, which orders them.

    Raises:
        InputError: there are not so many.
    """
    found = beam(criterion, size, width=1)
    return dataclasses.replace(found, search="greedy")


def beam(criterion: Criterion, size: int | None = None, *, width: int = WIDTH) -> Choice:
    """Return the choice of a search that keeps the `width` best subsets of each size.

    Raises:
        InputError: there are not so many versions, or a width below 1.
    """
    wanted = _size(criterion, size)
    if width < 1:
        raise InputError(f"width must be at least 1, not {width}")
    rank = _ranks(criterion)
    kept: list[tuple[int, ...]] = [()]
    path: list[tuple[tuple[int, ...], float]] = []
    for _ in range(wanted):
        grown: dict[frozenset[int], tuple[float, list[int], tuple[int, ...]]] = {}
        for members in kept:
            for version, score in enumerate(criterion.extensions(members).tolist()):
                more = (*members, version)
                if version in members or frozenset(more) in grown:
                    continue
                grown[frozenset(more)] = (-score, [rank[one] for one in more], more)
        best = sorted(grown.values())[:width]
        kept = [members for *_, members in best]
        path.append((kept[0], -best[0][0]))
    return _choice(criterion, path, "beam")


def exact(criterion: Criterion, size: int | None = None) -> Choice:
    """Return the best choice of all; its path has the best subset of each size up to `size`.

    Raises:
        InputError: there are not so many versions, or more than `MOST_SUBSETS` subsets to try.
    """
    wanted, versions = _size(criterion, size), criterion.versions
    subsets = sum(math.comb(versions, n) for n in range(1, wanted + 1))
    if subsets > MOST_SUBSETS:
        raise InputError(
            f"the exact search would try {subsets:,} subsets of {versions} versions, and "
            f"{MOST_SUBSETS:,} are the most; ask for a smaller size, or search greedily"
        )
    rank = _ranks(criterion)
    order = sorted(range(versions), key=rank.__getitem__)
    path: list[tuple[tuple[int, ...], float]] = []
    for n in range(1, wanted + 1):
        best: tuple[float, tuple[int, ...]] = (-math.inf, ())
        for first in itertools.combinations(range(versions), n - 1):
            # The last place is tried at once for every version of a higher rank.
            members = tuple(order[place] for place in first)
            scores = criterion.extensions(members)
            for version in order[(first[-1] + 1 if first else 0) :]:
                if scores[version] > best[0]:
                    best = (float(scores[version]), (*members, version))
        path.append((best[1], best[0]))
    return _choice(criterion, path, "exact")


SEARCHES: Mapping[str, Callable[[Criterion, int | None], Choice]] = {
    "greedy": greedy,
    "beam": beam,
    "exact": exact,
}
"""By name."""


def smallest(
    criterion: Criterion, *, search: str = "greedy", tolerance: float = 0.0, size: int | None = None
) -> Choice:
    """Return the smallest program found that is as good as all versions together.

    Args:
        criterion: the score.
        search: "greedy", "beam" or "exact".
        tolerance: by how much its score may be below that of all.
        size: look no further than so many; if none of them is as good, the best is returned.

    Raises:
        InputError: an unknown search, or as it raises.
    """
    if search not in SEARCHES:
        raise InputError(
            f"no search is called {search!r}{did_you_mean(search, SEARCHES)}; there are "
            f"{', '.join(SEARCHES)}"
        )
    if not tolerance >= 0.0:
        raise InputError(f"tolerance must not be negative, not {tolerance}")
    found = SEARCHES[search](criterion, size)
    for members, score in found.path:
        if score >= found.full - tolerance - 1e-12:
            return dataclasses.replace(found, members=members, score=score)
    members, score = max(found.path, key=lambda one: (one[1], -len(one[0])))
    return dataclasses.replace(found, members=members, score=score)


def _choice(criterion: Criterion, path: list[tuple[tuple[int, ...], float]], search: str) -> Choice:
    members, score = path[-1]
    full = criterion.score(range(criterion.versions))
    return Choice(members, score, full, tuple(path), criterion.name, search)


def _ranks(criterion: Criterion) -> list[int]:
    """Return each version's place among all, the best alone first."""
    alone = criterion.extensions(())
    ranks = np.empty(criterion.versions, dtype=np.int64)
    ranks[np.argsort(-alone, kind="stable")] = np.arange(criterion.versions)
    return [int(rank) for rank in ranks]


def _size(criterion: Criterion, size: int | None) -> int:
    if size is None:
        return criterion.versions
    if not 1 <= size <= criterion.versions:
        raise InputError(f"size must lie between 1 and {criterion.versions}, not {size}")
    return size
