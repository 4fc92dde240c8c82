"""Searches along a straight line: the first adversarial magnitude, the way back to the boundary.

:func:`first_adversarial` scans a grid of magnitudes with few evaluations of the model. Whether
an image is adversarial at magnitude m is not monotone in m: adversarial stretches can lie before
harmless ones, so bisection may return a later one. But the margin is continuous in m. If it is
below zero by g at a grid point and its slope stays below L, the next g / L cannot be adversarial
and need not be looked at (the covering argument of Piyavskii 1972 and Shubert 1972 for global
search). L is taken as :data:`SAFETY` times the steepest slope seen so far next to the stretch in
question on the image's own ray, and no less than a share, :data:`FAR`, of the steepest anywhere on
it; whenever a steeper one is seen, the stretches that were skipped are judged again.

:func:`drawn_in` moves an adversarial image straight back towards its original, as far as it stays
adversarial, by a safeguarded false-position search on the margin (Dowell & Jarratt 1971).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nversion.attacks.criteria import excess_margins
from nversion.attacks.oracle import Oracle
from nversion.bracket import Bracket

__all__ = ["drawn_in", "first_adversarial"]

SAFETY = 2.0
"""How much steeper than the slopes seen around them the margin may be between two grid points."""

FAR = 0.25
"""How much of the steepest slope of the whole ray counts everywhere."""

FIRST_LOOK = 16
"""The first grid point to be looked at."""

TOLERANCE = 2.0**-13
"""Up to which share of its length a perturbation is drawn in as far as can be."""

LONGEST_SEARCH = 12
"""Evaluations of an image that is drawn in, at the most."""

FARTHEST = 2.0**31
"""Grid points: beyond any grid."""

_Array = NDArray[np.float64]
_Integers = NDArray[np.int64]


def first_adversarial(
    oracle: Oracle,
    images: Tensor,
    directions: Tensor,
    labels: Tensor,
    largest: Tensor,
    steps: int,
    smallest: Tensor | None = None,
) -> Tensor:
    """Return the smallest k in 1..steps whose magnitude is adversarial, int64 [count]; 0: none is.

    The magnitudes m grow evenly from `smallest` to `largest`; what is looked at is
    ``clamp(image + m * direction)``.

    Args:
        oracle: the attacked model.
        images: float32 [count, ...] in [0, 1].
        directions: float32 [count, ...]; rows that are all zero are not searched.
        labels: int64 [count].
        largest: float32 [count], the magnitude at k = steps.
        steps: grid points.
        smallest: float32 [count], the magnitude at k = 0, not adversarial; None: 0.
    """
    count, largest = len(images), largest.to(images.device)
    first = torch.zeros_like(largest) if smallest is None else smallest.to(images.device)
    unit = (largest - first) / steps

    def look(rows: Tensor, k: Tensor) -> Tensor:
        magnitudes = first[rows] + k * unit[rows]
        moved = images[rows] + magnitudes[:, None, None, None] * directions[rows]
        return _margins(oracle, moved.clamp(0.0, 1.0), labels[rows])

    everyone = torch.arange(count, device=images.device)
    start = look(everyone, torch.zeros_like(everyone)).cpu().numpy()
    hits = np.zeros(count, dtype=np.int64)
    moving = directions.flatten(1).ne(0).any(dim=1).cpu().numpy()
    active = (moving & (start <= 0.0)).nonzero()[0]
    # Each round looks at one more point on every ray, so all have as many that are known.
    known, values = np.zeros((len(active), 1)), start[active, None]
    while len(active) > 0:
        following, found = _next_looks(known, values, steps)
        hits[active] = found
        going = following > 0
        active, following = active[going], following[going]
        rows, k = (torch.from_numpy(x).to(images.device) for x in (active, following))
        seen = look(rows, k).cpu().numpy() if len(active) > 0 else np.zeros(0)
        known = np.concatenate([known[going], following[:, None]], axis=1)
        values = np.concatenate([values[going], seen[:, None]], axis=1)
        order = known.argsort(axis=1)
        ray = np.arange(len(known))[:, None]
        known, values = known[ray, order], values[ray, order]
    return torch.from_numpy(hits).to(images.device)


def _next_looks(known: _Array, values: _Array, steps: int) -> tuple[_Integers, _Integers]:
    """Return the grid point to look at next on each ray, and the first hit so far.

    Args:
        known: float64 [rays, points], the grid points looked at, rising, the first one 0.
        values: float64 [rays, points], by how much the image is adversarial there.
        steps: the last grid point.

    Returns:
        Both int64 [rays]; 0 for no further point, which proves the first hit, and for no hit.
    """
    hit = values > 0.0
    any_hit = hit.any(axis=1)
    place = np.where(any_hit, hit.argmax(axis=1), known.shape[1] - 1)
    ray = np.arange(len(known))
    found = np.where(any_hit, known[ray, place], 0.0).astype(np.int64)
    if known.shape[1] == 1:
        return np.full(len(known), min(FIRST_LOOK, steps)), found
    slopes = np.abs(np.diff(values)) / np.diff(known)
    around = slopes.copy()
    np.maximum(around[:, :-1], slopes[:, 1:], out=around[:, :-1])
    np.maximum(around[:, 1:], slopes[:, :-1], out=around[:, 1:])
    bounds = SAFETY * np.maximum(around, FAR * slopes.max(axis=1, keepdims=True))
    earliest = known[:, :-1] + _skips(values[:, :-1], bounds)
    back = np.where(values[:, 1:] > 0.0, 1.0, _skips(values[:, 1:], bounds))
    latest = known[:, 1:] - back
    unsure = (earliest <= latest) & (np.arange(slopes.shape[1]) < place[:, None])
    left = unsure.argmax(axis=1)
    middle = (earliest[ray, left] + latest[ray, left]) // 2
    # On to where the last slope leads, at most twice as far as so far.
    end = known[:, -1]
    onward = np.minimum(end + _skips(values[:, -1], slopes[:, -1]), np.minimum(2 * end, steps))
    onward[any_hit | (end == steps)] = 0.0
    return np.where(unsure.any(axis=1), middle, onward).astype(np.int64), found


def _skips(values: _Array, bounds: _Array) -> _Array:
    """Return the smallest distances in grid points at which the margin can be above zero."""
    depth = np.maximum(-values, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        skipped = np.floor(depth / bounds) + 1.0
    return np.where(bounds == 0.0, FARTHEST, np.minimum(skipped, FARTHEST))


def drawn_in(oracle: Oracle, originals: Tensor, points: Tensor, labels: Tensor) -> Tensor:
    """Return adversarial `points` moved straight back to where they are only just adversarial.

    Points that are not adversarial are returned as they are.

    Args:
        oracle: the attacked model.
        originals: float32 [count, ...] in [0, 1], classified correctly.
        points: float32 [count, ...] in [0, 1].
        labels: int64 [count].

    Returns:
        float32 [count, ...], on the line from the original to the point.
    """
    best, margins = points.clone(), _margins(oracle, points, labels)
    none, whole = torch.zeros_like(margins), torch.ones_like(margins)
    bracket = Bracket.between(none, whole, torch.full_like(margins, torch.nan), margins)
    rows = (margins > 0.0).nonzero().squeeze(1)
    for _ in range(LONGEST_SEARCH):
        share = _next_share(bracket)
        rows = rows[(share < bracket.high)[rows]]
        if len(rows) == 0:
            break
        weights = share[rows].float()[:, None, None, None]
        moved = torch.lerp(originals[rows], points[rows], weights)
        value = _margins(oracle, moved, labels[rows])
        hit = value > 0.0
        best[rows[hit]] = moved[hit]
        bracket.move(rows, share[rows], value, hit)
    return best


def _next_share(bracket: Bracket) -> Tensor:
    """Return the share of each perturbation to look at next, or `high` where it is good enough."""
    low, high = bracket.low, bracket.high
    low_value, high_value = bracket.low_value, bracket.high_value
    span = high - low
    # Until a share is seen that is too small: off by 1/32, then 1/8, 1/2, and 1 (the original).
    outwards = (1.0 - 4.0 * (1.0 - high)).clamp(max=31.0 / 32.0)
    outwards = torch.where(outwards < 0.0, high / 2.0, outwards)
    guess = low - span * low_value / (high_value - low_value)
    near = (span <= TOLERANCE * high) | (high - guess <= TOLERANCE * high)
    # Half the tolerance past the guess: where the margin is straight, this is adversarial.
    share = (guess + 0.5 * TOLERANCE * high).clamp(low + 0.02 * span, high - 0.02 * span)
    share = torch.where(low_value.isnan(), outwards, torch.where(near, high, share))
    return torch.where(span <= TOLERANCE, high, share)


def _margins(oracle: Oracle, images: Tensor, labels: Tensor) -> Tensor:
    """Return by how much each image is adversarial (above 0) or not, float64 [count]."""
    values = excess_margins(oracle.logits(images), labels, oracle.dtype).double()
    # Where the model gives no number, the image is not adversarial and nothing is known around it.
    return values.nan_to_num(nan=0.0, posinf=1e30, neginf=0.0)
