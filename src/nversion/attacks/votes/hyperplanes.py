"""The nearest point of several half-spaces at once, within a box: one step of vote-DeepFool.

A whole vote falls when enough members are on the other side of their boundaries *together*. With
each member's margin towards the rival taken as linear, the nearest such point solves

    min |d|   with   a_i . d >= b_i for all i of S,   low <= d <= high,

S being the members that have to be won. DeepFool (Moosavi-Dezfooli et al. 2016) has this for one
hyperplane. For several, in L2: for multipliers l >= 0 the minimiser is d = clip(A' l, low, high),
and where the box does not come into play the dual is a non-negative least squares problem over the
k by k Gram matrix (Lawson and Hanson, "Solving least squares problems", 1974, chapter 23). With
the box, the components that it holds are put aside and the problem is solved again for the others,
a semismooth Newton method. In Linf it is a linear programme, for which
:mod:`nversion.attacks.votes.interior` has a method of its own.

Which members S holds is a question of its own (:func:`cheapest`): those with the smallest distance
margin over norm first, then swaps as long as the common distance falls.

All of this is per image and in float64, so that no image's result depends on others.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import optimize

from nversion.attacks.votes.interior import least_cube

__all__ = ["HalfSpaces", "Solution", "cheapest", "single_distance"]

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

ROUNDS = 12
"""Newton steps over the set of components that the box holds, at the most."""

CLOSE = 1e-6
"""By what share of the largest gap a half-space may be missed,"""

MISSED = 100 * CLOSE
"""and by what share of it to count as reached at all."""

JITTER = 1e-12
"""Added to the Gram matrix's diagonal, relative to it: hyperplanes may be parallel."""

SWAPPED = 4
"""Members of each side that are tried in swaps: the dearest chosen, the cheapest left out."""

PASSES = 4


@dataclasses.dataclass(frozen=True)
class Solution:
    """The nearest point of half-spaces.

    Attributes:
        change: float64 [pixels].
        reached: whether it is in all of them.
    """

    change: Doubles
    reached: bool


@dataclasses.dataclass(frozen=True)
class HalfSpaces:
    """Half-spaces normals . d >= gaps of changes d of one image, and the box they must stay in.

    Attributes:
        normals: float64 [members, pixels].
        gaps: float64 [members]; at most 0 where no change is needed.
        low: float64 [pixels], at most 0.
        high: float64 [pixels], at least 0.
        norm: "l2" or "linf".
    """

    normals: Doubles
    gaps: Doubles
    low: Doubles
    high: Doubles
    norm: str

    def only(self, members: Integers) -> HalfSpaces:
        """Return those of some members."""
        return dataclasses.replace(self, normals=self.normals[members], gaps=self.gaps[members])

    def nearest(self, close: float = 1e-4) -> Solution:
        """Return the least change that is in all of them.

        Where there is none within the box, what is returned goes some way towards it.

        Args:
            close: for Linf, by what share of its length the change may be longer than the least.
        """
        if len(self.gaps) == 0 or bool((self.gaps <= 0).all()):
            return Solution(np.zeros_like(self.low), True)
        if self.norm == "l2":
            return Solution(*self._nearest_l2())
        return self._nearest_linf(close)

    def size(self, change: Doubles) -> float:
        """Return the norm of a change."""
        return float(np.linalg.norm(change) if self.norm == "l2" else np.abs(change).max())

    def _nearest_l2(self) -> tuple[Doubles, bool]:
        close = CLOSE * float(self.gaps.max())
        free = np.ones(len(self.low), dtype=bool)
        change, missed = np.zeros_like(self.low), np.inf
        for _ in range(ROUNDS):
            held = np.where(free, 0.0, change)
            multipliers = _multipliers(self.normals[:, free], self.gaps - self.normals @ held)
            pull = multipliers @ self.normals
            change = pull.clip(self.low, self.high)
            missed = float((self.gaps - self.normals @ change).max())
            slack = multipliers * (self.normals @ change - self.gaps)
            if missed <= close and bool((slack <= close * max(multipliers.max(), 1e-300)).all()):
                return change, True
            free = (pull > self.low) & (pull < self.high)
            if not bool(free.any()):
                break
        return self._by_ascent(change, missed, close)

    def _by_ascent(self, change: Doubles, missed: float, close: float) -> tuple[Doubles, bool]:
        """Return the nearest point by ascent of the dual, where Newton's steps went in circles."""
        scale = float((self.normals**2).sum(axis=1).max()) or 1.0

        def dual(multipliers: Doubles) -> tuple[float, Doubles]:
            pull = multipliers @ self.normals
            point = pull.clip(self.low, self.high)
            value = multipliers @ self.gaps - point @ pull + point @ point / 2
            return -float(value) * scale, -(self.gaps - self.normals @ point) * scale

        first = _multipliers(self.normals, self.gaps)
        bounds = [(0.0, None)] * len(self.gaps)
        found = optimize.minimize(dual, first, jac=True, bounds=bounds, method="L-BFGS-B")
        other = (found.x @ self.normals).clip(self.low, self.high)
        left = float((self.gaps - self.normals @ other).max())
        if left <= max(missed, MISSED / CLOSE * close):
            change, missed = other, left
        return change, missed <= MISSED / CLOSE * close

    def _nearest_linf(self, close: float) -> Solution:
        singles = [
            single_distance(normal, gap, self.low, self.high)
            for normal, gap in zip(self.normals, self.gaps, strict=True)
        ]
        reach = max(singles)
        if not np.isfinite(reach):
            towards = np.where(self.normals.sum(axis=0) > 0, self.high, self.low)
            return Solution(towards, False)
        if len(self.gaps) == 1:
            signs = np.sign(self.normals[0])
            return Solution(np.clip(reach * signs, self.low, self.high), True)
        felt = np.abs(self.normals).max(axis=1) > 0
        normals, gaps = self.normals[felt], self.gaps[felt]
        change = least_cube(normals, gaps, self.low, self.high, reach, close)
        change = change.clip(self.low, self.high)
        missed = float((gaps - normals @ change).max())
        return Solution(change, missed <= MISSED * float(gaps.max()))


def _multipliers(normals: Doubles, gaps: Doubles) -> Doubles:
    """Return the multipliers l >= 0 of the nearest point without a box: max gaps.l - |A'l|^2/2."""
    gram = normals @ normals.T
    size = float(np.trace(gram)) / len(gram)
    if size <= 0:
        return np.zeros(len(gaps))
    if len(gaps) == 1:
        single: Doubles = np.maximum(gaps, 0.0) / gram[0, 0]
        return single
    root = np.linalg.cholesky(gram + (JITTER * len(gram) * size) * np.eye(len(gram)))
    try:
        found: Doubles = optimize.nnls(root.T, np.linalg.solve(root, gaps))[0]
    except RuntimeError:
        found = np.maximum(np.linalg.solve(root @ root.T, gaps), 0.0)
    return found


def single_distance(normal: Doubles, gap: float, low: Doubles, high: Doubles) -> float:
    """Return the least Linf size of a change in the box with normal . change >= gap; inf: none."""
    if gap <= 0:
        return 0.0
    sizes = np.abs(normal)
    room = np.where(normal > 0, high, -low)
    reach, gained, slope = 0.0, 0.0, float(sizes.sum())
    for _ in range(len(sizes) + 1):
        if slope <= 0:
            return np.inf
        following = (gap - gained) / slope
        if following <= reach * (1 + 1e-12):
            return reach
        reach = following
        still = room > reach
        gained, slope = float((sizes * room)[~still].sum()), float(sizes[still].sum())
    return reach


def cheapest(
    spaces: HalfSpaces, costs: Doubles, enough: Callable[[Integers], bool]
) -> Integers | None:
    """Return the members that are nearest to being won together, int64; None if none are enough.

    Args:
        spaces: of all members.
        costs: float64 [members], each one's own distance.
        enough: whether some members, won, decide the vote.
    """
    order = np.argsort(costs, kind="stable")
    order = order[np.isfinite(costs[order])]
    chosen = next((order[:size] for size in range(1, len(order) + 1) if enough(order[:size])), None)
    if chosen is None or len(chosen) == len(order) or len(chosen) == 1:
        return chosen
    least = _bound(spaces, chosen)
    for _ in range(PASSES):
        left_out = np.setdiff1d(order, chosen)
        left_out = left_out[np.argsort(costs[left_out], kind="stable")][:SWAPPED]
        dear = chosen[np.argsort(-_prices(spaces, chosen), kind="stable")][:SWAPPED]
        best = None
        for out, new in itertools.product(dear, left_out):
            other = np.append(chosen[chosen != out], new)
            value = _bound(spaces, other)
            if value < least * (1 - 1e-9) and enough(other):
                least, best = value, other
        if best is None:
            break
        chosen = best
    return chosen


def _prices(spaces: HalfSpaces, members: Integers) -> Doubles:
    return _multipliers(spaces.normals[members], spaces.gaps[members])


def _bound(spaces: HalfSpaces, members: Integers) -> float:
    """Return how far members are from being won together, without the box.

    For Linf, the distance of the half-space that the multipliers of L2 weigh them into: a lower
    bound that costs no linear programme.
    """
    normals, gaps = spaces.normals[members], spaces.gaps[members]
    multipliers = _multipliers(normals, gaps)
    if spaces.norm == "l2":
        return float(2 * multipliers @ gaps - np.square(multipliers @ normals).sum())
    gap = float(multipliers @ gaps)
    return single_distance(multipliers @ normals, gap, spaces.low, spaces.high)
