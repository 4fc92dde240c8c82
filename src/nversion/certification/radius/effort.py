"""What besides linear bounds is worth its time, for a network and a ball."""

from __future__ import annotations

import dataclasses
import math

from nversion.certification.ball import Ball
from nversion.certification.bounds.relaxation import Bounding
from nversion.certification.bounds.sampling import SETTLED
from nversion.certification.lipschitz.moves import Stretches
from nversion.certification.lipschitz.stretches import find_stretches, layer_stretches
from nversion.certification.network.graph import Convolution, MaxPool, Network
from nversion.certification.radius.slopes import tunable

__all__ = ["Effort", "choose_effort", "has_pools", "has_windows", "useful_stretches"]

MANY_CONVOLUTIONS = 3
"""With a max-pool, and fewer convolutions, the Jacobian's range is better in L1 than what neurons
that share the ball can do together; with more it is far worse."""

ONE_LEVEL, THOROUGH = (0.55,), (0.55, 0.8)


@dataclasses.dataclass(frozen=True)
class Effort:
    """What besides linear bounds is worth its time.

    Attributes:
        jacobian: whether to carry the ranges of derivatives along.
        levels: radii of smaller balls that are bounded first, as shares, rising (the first one is
            only roughly kept to); needs `jacobian`.
        settled: the share of open signs that linear bounds must settle to be drawn beside the
            ranges of derivatives (see :data:`nversion.certification.bounds.sampling.SETTLED`).
        better_slopes: whether to better the slopes of planes below ReLUs by a step.
        shares_ball: whether rows over whole layers gain by the ball that the neurons share (see
            :mod:`nversion.certification.planes.shared_ball`).
        differences: whether to bound those within windows of max-pools.
    """

    jacobian: bool
    levels: tuple[float, ...]
    settled: float = SETTLED
    better_slopes: bool = False
    shares_ball: bool = False
    differences: bool = True

    def bounding(self, stretches: Stretches) -> Bounding:
        """Return what a pass may use.

        Args:
            stretches: of the nodes.
        """
        return Bounding(
            jacobian=self.jacobian,
            settled=self.settled,
            stretches=stretches,
            differences=self.differences,
        )


def choose_effort(network: Network, ball: Ball, *, thorough: bool = False) -> Effort:
    """Return what is worth its time for a network.

    Where neurons have windows, they share the ball in L2 and L1, but for networks with a max-pool
    and few convolutions in L1, where the Jacobian's range brings more. Elsewhere that range brings
    a little, which only the `thorough` want, and in Linf next to nothing. A smaller ball (one more
    pass) was measured to bring 14 to 23 % of the radius on networks with a max-pool.
    Where neurons share the ball, differences within the windows of a single max-pool bring less
    than 1 %, of several 2 to 5 %.
    Slopes that are a step better bring 0.5 to 1.7 % without a max-pool; with one they bring half
    and take more time than they are worth.
    """
    pools = sum(isinstance(node, MaxPool) for node in network.nodes)
    windowed, pooled = has_windows(network), pools > 0
    if windowed and thorough and ball.norm < math.inf:
        return Effort(True, THOROUGH, settled=0.0)
    if windowed and pooled and ball.norm == 1.0 and _convolutions(network) < MANY_CONVOLUTIONS:
        return Effort(True, ONE_LEVEL)
    better = bool(tunable(network)) and not pooled
    shares = ball.norm < math.inf and (windowed or thorough)
    differences = thorough or not shares or pools > 1
    return Effort(False, (), better_slopes=better, shares_ball=shares, differences=differences)


def has_pools(network: Network) -> bool:
    """Tell whether any node is a max-pool."""
    return any(isinstance(node, MaxPool) for node in network.nodes)


def has_windows(network: Network) -> bool:
    """Tell whether any layer reads windows, that is, is a convolution."""
    return _convolutions(network) > 0


def _convolutions(network: Network) -> int:
    return sum(isinstance(node, Convolution) for node in network.nodes)


def useful_stretches(network: Network, ball: Ball, *, thorough: bool = False) -> Stretches:
    """Return the nodes' stretches, of whole chains, which take a moment, only if those help."""
    shares = choose_effort(network, ball).shares_ball
    shares = shares or (thorough and choose_effort(network, ball, thorough=True).shares_ball)
    return (find_stretches if shares else layer_stretches)(network, ball.norm)
