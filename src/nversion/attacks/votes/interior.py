"""The least cube that reaches several half-spaces within a box, by an interior point method.

    min t   with   a_i . d >= b_i for all i,   low <= d <= high,   |d_j| <= t for all j

is a linear programme of as many variables as pixels and only a few rows. A primal-dual method
(Mehrotra, "On the implementation of a primal-dual interior point method", SIAM Journal on
Optimization 1992) needs a dozen Newton steps for it. All constraints but the rows belong to one
pixel each, so what is left of a Newton step, once the pixels are eliminated, is a system of the
rows' multipliers, t and one variable more: a few by a few. That variable is how far all rows may be
missed, at a high price, so that there is a point to start from and none has to be searched for.

Rows are scaled to a sum of 1 and lengths by a first guess of t. Per image and in float64, as all of
:mod:`nversion.attacks.votes.hyperplanes`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["least_cube"]

Doubles = npt.NDArray[np.float64]

STEPS = 60
"""Newton steps at the most."""

PRICE = 1e4
"""Of missing the rows, in units of t: above what widening the cube gains but where the box leaves
next to nothing of a row."""

INNER = 0.02
"""How far into the box the start lies, as a share of its width."""

NEARLY = 0.995
"""Share of the way to the border of the feasible set that a step takes at the most."""


def least_cube(
    normals: Doubles, gaps: Doubles, low: Doubles, high: Doubles, guess: float, close: float
) -> Doubles:
    """Return the least change in Linf that is in several half-spaces, float64 [pixels].

    Where none within the box is, one that goes far towards them.

    Args:
        normals: float64 [rows, pixels], none of them zero.
        gaps: float64 [rows]; a change d is in all half-spaces if normals . d >= gaps.
        low: float64 [pixels], at most 0.
        high: float64 [pixels], at least 0, and above `low`.
        guess: about how long the change will be, above 0.
        close: the share of its length by which the change may be longer than the least.
    """
    scales = np.abs(normals).sum(axis=1)
    programme = _Programme(
        normals / scales[:, None], gaps / scales / guess, low / guess, high / guess
    )
    return programme.solved(close) * guess


class _Programme:
    """The scaled programme. A point is one vector: the change of each pixel, t, and the miss.

    So are the constraints' slacks, and their multipliers; the parts in order: rows; pixels above
    low, below high, above -t, below t; the miss above zero.
    """

    def __init__(self, rows: Doubles, gaps: Doubles, low: Doubles, high: Doubles) -> None:
        self.rows, self.gaps, self.low, self.high = rows, gaps, low, high
        self.count, pixels = rows.shape
        edges = np.cumsum([self.count, pixels, pixels, pixels, pixels])
        self.parts = [
            slice(first, last) for first, last in zip((0, *edges), (*edges, None), strict=True)
        ]
        self.costs = np.append(np.zeros(pixels), [1.0, PRICE])

    def solved(self, close: float) -> Doubles:
        """Return the least change."""
        point = self._start()
        zeros = np.zeros_like(self.low)
        limits = np.concatenate([self.gaps, self.low, -self.high, zeros, zeros, [0.0]])
        slack = self.sides(point) - limits
        dual = float(point[-2]) / (2.0 * len(self.low)) / slack
        dual[-1] = max(PRICE - float(dual[self.parts[0]].sum()), 1.0)
        for _ in range(STEPS):
            gap, residual = float(slack @ dual), self.costs - self.back(dual)
            wrong = float((np.abs(residual) / self.costs.clip(min=1.0)).max())
            if gap <= close * float(self.costs @ point) and wrong <= close:
                break
            step = _Step(self, slack, dual, residual)
            move, moved, raised = step.towards(step.aim(gap))
            if not bool(np.isfinite(move).all()):
                break
            along = min(1.0, NEARLY * _room(slack, moved))
            up = min(1.0, NEARLY * _room(dual, raised))
            point, slack, dual = point + along * move, slack + along * moved, dual + up * raised
        return point[:-2]

    def _start(self) -> Doubles:
        """Return a point within all constraints."""
        change = INNER * (self.low + self.high)
        cube = 2.0 * max(1.0, float(np.abs(change).max()))
        miss = max(float((self.gaps - self.rows @ change).max()), 0.0) + 0.1
        return np.append(change, [cube, miss])

    def sides(self, point: Doubles) -> Doubles:
        """Return the constraints' left sides at a point, or what they change by in a direction."""
        change, cube, miss = point[:-2], point[-2], point[-1]
        reached = self.rows @ change + miss
        return np.concatenate([reached, change, -change, change + cube, cube - change, [miss]])

    def back(self, values: Doubles) -> Doubles:
        """Return the sum of the constraints' normals, weighed by values, like a point."""
        rows, above, below, over, under, missed = (values[part] for part in self.parts)
        pixels = rows @ self.rows + above - below + over - under
        return np.append(pixels, [over.sum() + under.sum(), rows.sum() + missed[0]])


class _Step:
    """A Newton step at one point: the matrix that its two directions share.

    What belongs to single pixels is eliminated; the rows' forces, t and the miss are left.
    """

    def __init__(
        self, programme: _Programme, slack: Doubles, dual: Doubles, residual: Doubles
    ) -> None:
        self._programme, self._slack, self._dual = programme, slack, dual
        self._residual = residual
        weights = dual / slack
        rows, above, below, over, under, missed = (weights[part] for part in programme.parts)
        box, cube = above + below, over + under
        self._pixels = box + cube
        self._tilt = over - under
        # The cube's own entry less what the pixels take, without differences of large numbers.
        left = float(((cube * box + 4.0 * over * under) / self._pixels).sum())
        self._shared = programme.rows / self._pixels
        count = programme.count
        tilted = self._shared @ self._tilt
        system = np.zeros((count + 2, count + 2))
        system[:count, :count] = self._shared @ programme.rows.T + np.diag(1.0 / rows)
        system[:count, count], system[count, :count] = tilted, -tilted
        system[:count, count + 1], system[count + 1, :count] = -1.0, 1.0
        system[count, count], system[count + 1, count + 1] = left, missed[0]
        self._system = system

    def towards(self, aim: Doubles) -> tuple[Doubles, Doubles, Doubles]:
        """Return the direction in which slack times dual comes to `aim`: of point, slack, dual."""
        programme, count = self._programme, self._programme.count
        wanted = aim / self._slack - self._dual
        right = programme.back(wanted) - self._residual
        divided = right[:-2] / self._pixels
        tops = programme.rows @ divided
        cube = right[-2] - self._tilt @ divided
        try:
            found = np.linalg.solve(self._system, np.append(tops, [cube, right[-1]]))
        except np.linalg.LinAlgError:
            found = np.full(count + 2, np.nan)
        forces, grown = found[:count], found[count]
        pixels = divided - forces @ self._shared - self._tilt / self._pixels * grown
        move = np.append(pixels, found[count:])
        moved = programme.sides(move)
        return move, moved, wanted - self._dual / self._slack * moved

    def aim(self, gap: float) -> Doubles:
        """Return what slack times dual is to come to: Mehrotra's corrected centre."""
        _, moved, raised = self.towards(np.zeros_like(self._slack))
        along = min(1.0, _room(self._slack, moved))
        up = min(1.0, _room(self._dual, raised))
        after = float((self._slack + along * moved) @ (self._dual + up * raised))
        centre: Doubles = (after / gap) ** 3 * gap / len(self._slack) - moved * raised
        return centre


def _room(values: Doubles, moves: Doubles) -> float:
    """Return how many times `moves` can be added before a value comes to zero."""
    sinking = moves < 0
    return float((values[sinking] / -moves[sinking]).min()) if bool(sinking.any()) else np.inf
