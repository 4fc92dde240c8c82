"""Balls of allowed changes, and the exact minimum of a linear function over them.

Every bound ends in one question: how small can ``a . d`` get for a change ``d`` of the image with
``|d|_p <= r`` and, where valid images are asked for, ``low <= x + d <= high``? Without the box it
is the dual norm, ``-r |a|_q`` with ``1/p + 1/q = 1``. With it, write ``cap_i`` for how far ``d_i``
may go in the direction that makes ``a_i d_i`` negative. Splitting ``a = b + (a - b)`` with
``|b_i| <= |a_i|`` and equal signs gives, for any such b,

    min a . d  >=  -r |b|_q - sum_i (|a_i| - |b_i|) cap_i,

because the first part is in the ball and the second in the box. It is an equality

- in L2 for ``|b_i| = min(|a_i|, cap_i / s)`` at the right s (water-filling),
- in L1 for ``|b_i| = min(|a_i|, t)`` at the right t (fractional knapsack),
- in Linf for ``b_i = a_i`` where ``cap_i > r`` and 0 elsewhere.

As the inequality holds for every s and t, an s or t that is only nearly right, by rounding or
because the iteration stopped, makes the bound a little looser and never wrong.
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

from nversion.norms import norm_order

__all__ = [
    "CACHED",
    "LARGEST_RADIUS",
    "TINY",
    "Ball",
    "Reach",
    "dual_norm",
    "largest_radius",
    "lowest",
    "parse_norm",
    "per_image",
    "weighted_sums",
]

WATER_STEPS = 5
KNAPSACK_STEPS = 6
NEWTON_STEPS = 6

ROOT_SHORTFALL = 0.6
"""Of the precision, in logarithms: how far short of a root is far enough not to miss it."""

TINY = 1e-30
"""In place of zero where something is divided by."""

NO_LEVEL = 1e12
"""A level of water that no cap is above."""

LARGEST_RADIUS = {1.0: 1e4, 2.0: 1e3, math.inf: 10.0}
"""By norm, where a search in the plain ball ends."""

CACHED = 160_000
"""Elements of a temporary tensor: these stay in the processor's cache."""

SHORT_ROW = 64
"""Elements of a row below which one call for all images is the faster one."""


def parse_norm(norm: float | str) -> float:
    """Return 1.0, 2.0 or infinity.

    Raises:
        InputError: anything else.
    """
    return norm_order(norm, ("l1", "l2", "linf"))


@dataclasses.dataclass(frozen=True)
class Ball:
    """A norm, and the range that pixels stay in (None: the plain ball).

    Attributes:
        norm: 1.0, 2.0 or infinity.
        box: the smallest and largest pixel value, or None.
    """

    norm: float
    box: tuple[float, float] | None = (0.0, 1.0)

    def reach(self, images: Tensor) -> Reach:
        """Return how far the pixels of `images` may go: tensors of their shape."""
        if self.box is None:
            return Reach(self.norm, None, None)
        low, high = self.box
        return Reach(self.norm, (images - low).clamp(min=0.0), (high - images).clamp(min=0.0))

    def sides(self, images: Tensor, radii: Tensor) -> tuple[Tensor, Tensor]:
        """Return the smallest interval per pixel that holds the ball: lower and upper ends."""
        spread = per_image(radii, images)
        low, high = images - spread, images + spread
        if self.box is not None:
            low = torch.maximum(low, images.clamp(max=self.box[0]))
            high = torch.minimum(high, images.clamp(min=self.box[1]))
        return low, high


@dataclasses.dataclass(frozen=True)
class Reach:
    """The set of changes around given images, laid out like the coefficients they meet.

    Attributes:
        norm: 1.0, 2.0 or infinity.
        down: how far each pixel may go down, broadcastable to the coefficients; None: no box.
        up: how far up.
    """

    norm: float
    down: Tensor | None
    up: Tensor | None

    def minimum(self, a: Tensor, radii: Tensor) -> tuple[Tensor, Tensor]:
        """Return the minimum of ``a . d`` and its derivative by the radius.

        Args:
            a: coefficients [..., pixels].
            radii: broadcastable to [...].

        Returns:
            Two tensors [...], both at most 0. The minimum is a convex function of the radius.
        """
        caps = self.caps(a)
        return lowest(a if caps is None else a.abs(), caps, radii, self.norm)

    def caps(self, a: Tensor) -> Tensor | None:
        """Return how far each pixel may go against its coefficient; None: no box."""
        if self.down is None or self.up is None:
            return None
        return torch.where(a > 0, self.down, self.up)


def largest_radius(
    sizes: Tensor, caps: Tensor | None, constant: Tensor, limit: Tensor, norm: float
) -> Tensor:
    """Return the largest radius up to `limit` with ``constant + a . d >= 0`` in the ball.

    Newton's method from the root of the plain ball: the minimum is convex in the radius, so
    every step stays at or below the root.

    Args:
        sizes: absolute coefficients [..., pixels].
        caps: how far each pixel may go, broadcastable to them; None: no box.
        constant: [...]; where it is negative the radius is 0.
        limit: broadcastable to [...].
        norm: 1.0, 2.0 or infinity.
    """
    limit = limit.expand(constant.shape)
    best = constant.clamp(min=0.0) / dual_norm(sizes, norm).clamp(min=TINY)
    best = radii = torch.minimum(best, limit)
    if caps is None:
        return best
    for _ in range(NEWTON_STEPS):
        value, slope = lowest(sizes, caps, radii, norm)
        left = constant + value
        best = torch.where(left >= 0.0, radii, best)
        radii = torch.minimum(radii + left.clamp(min=0.0) / (-slope).clamp(min=TINY), limit)
    # At the root itself rounding decides whether it holds.
    shy = torch.finfo(radii.dtype).eps ** ROOT_SHORTFALL
    radii = torch.where(radii < limit, radii * (1.0 - shy), radii)
    value, _ = lowest(sizes, caps, radii, norm)
    return torch.maximum(best, torch.where(constant + value >= 0.0, radii, best))


def dual_norm(a: Tensor, norm: float) -> Tensor:
    """Return the norm dual to L1, L2 or Linf over the last axis."""
    if norm == 2.0:
        norms: Tensor = torch.linalg.vector_norm(a, dim=-1)
        return norms
    if norm == 1.0 and a.shape[-1] >= SHORT_ROW:
        # Both ends of long rows are found sooner than their absolute values are written.
        return torch.maximum(a.amax(dim=-1), -a.amin(dim=-1))
    reduce = torch.amax if norm == 1.0 else torch.sum
    if a.ndim < 2 or a.numel() <= CACHED:
        return reduce(a.abs(), dim=-1)
    size = max(1, CACHED * len(a) // a.numel())
    return torch.cat([reduce(part.abs(), dim=-1) for part in torch.split(a, size)])


def lowest(size: Tensor, caps: Tensor | None, radii: Tensor, norm: float) -> tuple[Tensor, Tensor]:
    """Return the minimum of ``-sum_i size_i d_i`` for ``0 <= d_i <= caps_i`` in the ball.

    Args:
        size: [..., pixels], not negative (of any sign in the plain ball).
        caps: broadcastable to it, or None for the plain ball.
        radii: broadcastable to [...].
        norm: 1.0, 2.0 or infinity.

    Returns:
        The minimum and its derivative by the radius, [...] each and at most 0; the minimum is a
        convex function of the radius.
    """
    if caps is None:
        slope = dual_norm(size, norm)
        return -slope * radii, -slope
    if norm == math.inf:
        free = caps > radii[..., None]
        slope = (size * free).sum(dim=-1)
        return -(size * torch.minimum(caps, radii[..., None])).sum(dim=-1), -slope
    # Most rows are done with the closed directions left out; iterate only where a cap is reached.
    shape = torch.broadcast_shapes(size.shape, caps.shape)  # type: ignore[no-untyped-call]
    size, caps = size.expand(shape), caps.expand(shape)
    usable = size * (caps > 0)
    slope = dual_norm(usable, norm)
    radii = radii.expand(slope.shape)
    if norm == 2.0:
        share = radii / slope.clamp(min=TINY)
        reached = (usable * share[..., None] > caps).any(dim=-1)
    else:
        peak = usable.argmax(dim=-1, keepdim=True)
        reached = caps.gather(-1, peak).squeeze(-1) < radii
    value, slope = -slope * radii, -slope
    if bool(reached.any()):
        solve = _water_filling if norm == 2.0 else _knapsack
        value[reached], slope[reached] = solve(size[reached], caps[reached], radii[reached])
    return value, slope


def _water_filling(size: Tensor, caps: Tensor, radii: Tensor) -> tuple[Tensor, Tensor]:
    """Solve ``|min(s size, caps)|_2 = r`` for s by active sets, from below; [rows, pixels]."""
    squares, limits = size.square(), caps.square()
    scale = radii / (squares * (caps > 0)).sum(dim=-1).sqrt().clamp(min=TINY)
    for _ in range(WATER_STEPS):
        free = size * scale[:, None] < caps
        used = (limits * ~free).sum(dim=-1)
        slack = (squares * free).sum(dim=-1)
        left = (radii.square() - used).clamp(min=0.0)
        new = (left / slack.clamp(min=TINY)).sqrt()
        scale = torch.maximum(scale, torch.where(slack > 0, new, scale))
    # With every cap reached the whole room is used up, and no level is too high.
    scale = torch.where((slack == 0) | (left == 0), NO_LEVEL, scale)
    part = torch.minimum(size, caps / scale.clamp(min=TINY)[:, None])
    slope = torch.linalg.vector_norm(part, dim=-1)
    return -(slope * radii) - ((size - part) * caps).sum(dim=-1), -slope


def _knapsack(size: Tensor, caps: Tensor, radii: Tensor) -> tuple[Tensor, Tensor]:
    """Minimise ``r t + sum (size - t)+ caps`` over t by cutting planes, from both ends."""
    left = torch.zeros_like(size[..., 0])
    right = (size * (caps > 0)).amax(dim=-1)
    left_value, left_slope = (size * caps).sum(dim=-1), radii - caps.sum(dim=-1)
    right_value, right_slope = right * radii, radii + torch.zeros_like(right)
    best = torch.minimum(left_value, right_value)
    best_t = torch.where(left_value < right_value, left, right)
    for _ in range(KNAPSACK_STEPS):
        gap = (right_slope - left_slope).clamp(min=TINY)
        cut = left_value - left_slope * left - right_value + right_slope * right
        t = torch.minimum(torch.maximum(cut / gap, left), right)
        above = (size - t[..., None]).clamp(min=0.0)
        value = radii * t + (above * caps).sum(dim=-1)
        slope = radii - (caps * (above > 0)).sum(dim=-1)
        best_t = torch.where(value < best, t, best_t)
        best = torch.minimum(best, value)
        rising = slope >= 0
        left, right = torch.where(rising, left, t), torch.where(rising, t, right)
        left_value = torch.where(rising, left_value, value)
        left_slope = torch.where(rising, left_slope, slope)
        right_value = torch.where(rising, value, right_value)
        right_slope = torch.where(rising, slope, right_slope)
    return -best, -best_t


def per_image(numbers: Tensor, like: Tensor) -> Tensor:
    """Return numbers of images, [count], so that they meet values [count, ...]."""
    return numbers.reshape(-1, *([1] * (like.ndim - 1)))


def weighted_sums(rows: Tensor, weights: Tensor) -> Tensor:
    """Return ``sum_i rows[n, r, i] weights[n, i]``, [count, rows].

    On the processor a batched product with single columns takes several times as long as a
    product for each image.

    Args:
        rows: [count, rows, size].
        weights: [count, size].
    """
    if rows.device.type != "cpu" or rows.shape[2] < SHORT_ROW or len(rows) == 0:
        return (rows @ weights[:, :, None]).squeeze(2)
    return torch.stack([a @ w for a, w in zip(rows, weights, strict=True)])
