"""Where the search for each image's radius stands: the next radius to try, from the losses so far.

A secant in the logarithms of radius and loss, kept between the largest radius that is proved and
the smallest that is not, with the slope that the curve mostly has until two points are known.
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

__all__ = ["Curve", "SecantSearch", "bounded_step", "log_loss"]

# All measured on the benchmark's networks (``benchmarks/certification.py``).

STEEPER, FAR_APART = 1.08, 0.3
"""How much steeper the curve is at the root than between two points that are so far apart."""

TRUSTED = 0.5
"""By which share a parabola's slope may differ from the last secant's."""

STEEPENING = 0.15
"""How much steeper the curve is behind its root, for each unit of the loss's logarithm."""

FLATTER, STEEPER_BELOW = 0.82, 1.15
"""The slope of a concave curve behind its root, and before it, over that between points around
it."""

SLOPES = (1.0, 6.0)
"""No slope is taken outside these: a loss rises at least as the radius does."""

GROW, SHRINK = 1.5, 2.5
"""The longest steps, in logarithms of radii."""

SMALLEST_RADIUS = 1e-12
LOSSES = (1e-6, 1e12)
"""In place of what has no finite logarithm."""


@dataclasses.dataclass(frozen=True)
class Curve:
    """What is known beforehand of how a loss rises with the radius.

    Attributes:
        tolerance: how near, in logarithms of radii, the ends of the bracket must come.
        near: how near the logarithm of a loss must come to 0, with one point of the curve, two
            and three.
        aim: the loss that is aimed at: a margin that is missed by little costs much of the radius.
        stepped: whether there may be steps, so that between two radii near each other the proved
            one is taken.
        concave: whether it is nearly straight, and a little concave.
    """

    tolerance: float
    near: tuple[float, float, float]
    aim: float
    stepped: bool = False
    concave: bool = False


class SecantSearch:
    """Where the search stands for each image; radii and losses as logarithms, float64 [count].

    Args:
        guess: the first radii to try, [count].
        usual: the slopes that the curve mostly has before the root and behind it, which are taken
            until two points of it are known.
        curve: what is known of it beforehand.
        caution: by which share of the last step to fall short.
        ahead: which logarithm of the loss the first step aims at, instead of about 0.
    """

    def __init__(
        self,
        guess: Tensor,
        usual: tuple[float, float],
        curve: Curve,
        *,
        caution: float = 0.0,
        ahead: float = 0.0,
    ) -> None:
        unknown = torch.full_like(guess, torch.nan)
        self.probe = guess.log()
        self.usual, self.curve = usual, curve
        self.caution, self.ahead = caution, ahead
        self.low = torch.full_like(guess, -torch.inf)
        self.high = torch.full_like(guess, torch.inf)
        self.before, self.loss_before = unknown, unknown.clone()
        self.slope, self.bend = unknown.clone(), unknown.clone()

    def update(self, rows: Tensor, proved_up_to: Tensor, loss: Tensor) -> Tensor:
        """Take in what the probes of `rows` proved, choose the next, and tell which are done.

        Args:
            rows: int64 [some].
            proved_up_to: the radii that the probes proved, [some].
            loss: at the probes, [some].
        """
        x, y = self.probe[rows], log_loss(loss)
        proved = proved_up_to.to(torch.float64).nan_to_num(0.0).clamp(min=SMALLEST_RADIUS).log()
        low = torch.maximum(self.low[rows], torch.minimum(x, proved))
        high = torch.where(y > 0, torch.minimum(self.high[rows], x), self.high[rows])
        slope, curved = self._slope(rows, x, y)
        one, two, three = self.curve.near
        enough = torch.where(curved, three, two)
        near = y.abs() <= torch.where(self.before[rows].isnan(), one, enough)
        aim = math.log(self.curve.aim) - self.caution * (y.abs() * near)
        aim = aim + self.ahead * self.before[rows].isnan()
        step = bounded_step((aim - y) / slope)
        following = torch.minimum(torch.maximum(x + step, low), torch.maximum(high, low))
        # A step onto an end of the bracket would learn nothing: halve the bracket instead.
        stuck = (following >= high) & (y <= 0.0)
        following = torch.where(stuck, (low + high) / 2, following)
        if self.curve.stepped:
            following = torch.where(high - low <= self.curve.tolerance, low, following)
        self.probe[rows], self.low[rows], self.high[rows] = following, low, high
        self.before[rows], self.loss_before[rows] = x, y
        return (high - low <= self.curve.tolerance) | near

    def lower(self, rows: Tensor, by: Tensor) -> None:
        """Take in that the whole curve of `rows` lies lower than it was found, [some] each."""
        self.loss_before[rows] -= by
        # Then a radius that failed before may hold now.
        below = (by > 0.0) & (self.loss_before[rows] <= 0.0)
        self.high[rows] = torch.where(below, torch.inf, self.high[rows])

    def _slope(self, rows: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the curve's slope at x, and for which images it comes from three points."""
        distance = x - self.before[rows]
        secant = (y - self.loss_before[rows]) / distance
        # The parabola through the last three points; its bend by the last two secants.
        turned = secant + distance * (secant - self.slope[rows]) / (distance + self.bend[rows])
        curved = turned.isfinite() & ((turned / secant - 1.0).abs() < TRUSTED)
        # With two points: the curve is a little steeper around the root than from far away.
        slope = torch.where(distance.abs() > FAR_APART, STEEPER * secant, secant)
        slope = torch.where(curved, turned, slope)
        if self.curve.concave:
            # It is a little concave: where two points without a third lie on either side of the
            # root, it is flatter behind the root, and steeper before it, than between them.
            across = ~curved & (y * self.loss_before[rows] < 0.0)
            slope = torch.where(across, slope * torch.where(y > 0, FLATTER, STEEPER_BELOW), slope)
        self.slope[rows], self.bend[rows] = secant, distance
        usual = torch.where(y > 0, self.usual[1] + STEEPENING * y, self.usual[0])
        return torch.where(slope.isfinite(), slope, usual).clamp(*SLOPES), curved


def bounded_step(step: Tensor) -> Tensor:
    """Return steps, of the logarithms of radii, that are not too long."""
    return step.clamp(-SHRINK, GROW)


def log_loss(loss: Tensor) -> Tensor:
    """Return the logarithm, float64, finite whatever the loss."""
    known = loss.to(torch.float64).nan_to_num(nan=LOSSES[1], posinf=LOSSES[1])
    return known.clamp(*LOSSES).log()
