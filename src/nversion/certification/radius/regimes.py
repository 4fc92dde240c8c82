"""How the loss rises with the radius, and what the search does about it: all in one table.

The *loss* is the largest share of any margin that the bounds give away; a search looks for the
radius at which it is 1 (:mod:`nversion.certification.radius.search`). How its curve looks depends
on what the bounds are made of, and one :class:`Regime` says it for each. No number here makes a
radius unsound: they cost time, or a little of the radius.

Unless a line says otherwise, the numbers were measured on the benchmark's networks
(``benchmarks/certification.py``).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from nversion.certification.ball import Ball
from nversion.certification.network.graph import Network
from nversion.certification.radius.effort import Effort, has_pools, has_windows
from nversion.certification.radius.secant import Curve

__all__ = [
    "NESTED",
    "PLAIN",
    "POOLED",
    "POOLED_LINF",
    "SHARED",
    "SHARED_DENSE",
    "Guess",
    "Regime",
    "regime",
]


@dataclasses.dataclass(frozen=True)
class Guess:
    """The first radius, as a share of where the linearised network would change its verdict.

    Attributes:
        shares: by norm.
        power: of the network's stretch, which the share is divided by: bounds add up what they
            give away over many layers.
        ends: what the share then stays between.
    """

    shares: Mapping[float, float]
    power: float = 0.0
    ends: tuple[float, float] = (0.0, 1.0)

    def share(self, norm: float, stretch: float) -> float:
        """Return the share for a norm, and a network that stretches so much at the most."""
        share: float = self.shares[norm] / max(stretch, SMALLEST_STRETCH) ** self.power
        return min(self.ends[1], max(self.ends[0], share))


@dataclasses.dataclass(frozen=True)
class Regime:
    """How a loss curve behaves, and what to do about it.

    Attributes:
        curve: what is known of it beforehand.
        slopes: of the loss over the radius, in logarithms, before the root and behind it, until
            two points of the curve are known.
        guess: the first radius.
        caution: by which share of its last step to fall short. A secant is wrong by about this
            share, and a last pass that fails costs more than a shortfall.
        enough: the share of a radius that is proved at which the float64 pass is not repeated.
        room_left: how far below 1, in logarithms, the loss may be for the float64 pass not to be
            repeated, once, with a larger radius.
        step_back: the slope along which a float64 pass that failed steps back.
    """

    curve: Curve
    slopes: tuple[float, float]
    guess: Guess
    caution: float
    enough: float
    room_left: float
    step_back: float


SMALLEST_STRETCH = 1e-12
"""In place of the stretch of a constant network, 0."""

ALIKE = Guess(dict.fromkeys((1.0, 2.0, math.inf), 0.3))
"""Three tenths in every norm."""

PLAIN = Regime(
    curve=Curve(tolerance=2e-3, near=(0.015, 0.015, 0.03), aim=0.9999),
    slopes=(1.55, 1.5),
    guess=ALIKE,
    caution=0.0,  # the curve is smooth
    enough=0.999,
    room_left=0.004,
    step_back=1.3,
)
"""Linear bounds without a max-pool."""

POOLED = dataclasses.replace(
    PLAIN,
    slopes=(2.3, 2.3),
    # The curve has kinks, where another neuron of a window comes into play.
    caution=0.12,
)
"""Linear bounds with a max-pool, in L1 and L2."""

POOLED_LINF = dataclasses.replace(POOLED, slopes=(1.7, 2.1))
"""Linear bounds with a max-pool, in Linf."""

SHARED_DENSE = Regime(
    # One point alone does not tell the slope of the last well enough, so `near` is small for it.
    curve=Curve(tolerance=0.035, near=(0.0075, 0.08, 0.08), aim=0.999, concave=True),
    slopes=(1.4, 1.6),
    guess=ALIKE,
    # The curve is even: a third of the share that a max-pool's kinks ask for is enough.
    caution=0.04,
    enough=0.985,
    room_left=0.12,
    step_back=0.9,
)
"""Neurons share the ball, in a network without windows."""

SHARED = dataclasses.replace(
    SHARED_DENSE, guess=Guess({1.0: 1.3, 2.0: 5.0}, power=0.75, ends=(0.01, 0.3))
)
"""Neurons share the ball, in a network with windows; never in Linf."""

NESTED = Regime(
    # There may be steps, where neurons come to be on or off.
    curve=Curve(tolerance=0.035, near=(0.03, 0.03, 0.03), aim=0.995, stepped=True),
    slopes=(1.45, 2.55),
    # For the first of the smaller balls; never in Linf.
    guess=Guess({1.0: 0.02, 2.0: 0.04}),
    caution=0.0,
    enough=0.985,
    room_left=0.12,
    step_back=1.3,
)
"""Ranges of the Jacobian, with the help of smaller balls."""


def regime(network: Network, ball: Ball, effort: Effort) -> Regime:
    """Return how the loss curve of a network behaves in a ball, with what is worth its time."""
    if effort.levels:
        return NESTED
    if effort.shares_ball:
        return SHARED if has_windows(network) else SHARED_DENSE
    if not has_pools(network):
        return PLAIN
    return POOLED_LINF if ball.norm == math.inf else POOLED
