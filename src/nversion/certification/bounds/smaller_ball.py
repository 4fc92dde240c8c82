"""Bounds over a ball from those over a smaller one inside it.

The Jacobian's range over a ball charges the whole way from the image to its border at the steepest
slope found anywhere, though near the image the slopes are less steep. A way to ``x + d`` with
``|d| <= r`` leads through ``y = x + s d``, which lies in the ball of ``s r`` (and in the box, which
is convex), and only the rest of it, ``(1 - s) d``, through the larger ball. So

    f(x + d)  >=  min over the ball of s r of f  +  (1 - s) min over the ball of r of J d

with J from the range over the larger ball: one more term of a Riemann sum for the path integral
behind the bound (:mod:`nversion.certification.bounds.jacobian`). It holds for every neuron and
margin.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from nversion.certification.ball import TINY, dual_norm, per_image
from nversion.certification.bounds.intervals import Bounds

__all__ = ["SmallerBall", "joined"]


@dataclasses.dataclass(frozen=True)
class SmallerBall:
    """What was found for smaller balls.

    Attributes:
        radii: [count].
        bounds: by node, [count, *shape] each.
        margins: lower bounds of the margins, [count, rows].
        linear: the nodes for which backward linear bounds were drawn.
    """

    radii: Tensor
    bounds: dict[int, Bounds]
    margins: Tensor
    linear: frozenset[int] = frozenset()

    def rows(self, chosen: Tensor) -> SmallerBall:
        """Return the same for some of the images."""
        bounds = {i: (low[chosen], high[chosen]) for i, (low, high) in self.bounds.items()}
        return SmallerBall(self.radii[chosen], bounds, self.margins[chosen], self.linear)

    def neurons(self, index: int, center: Tensor, by_range: Bounds, radii: Tensor) -> Bounds:
        """Return bounds of a node over larger balls.

        Args:
            index: of the node.
            center: its values at the images, [count, *shape].
            by_range: its bounds over the larger balls from the Jacobian's range alone.
            radii: of the larger balls, [count].
        """
        low, high = self.bounds[index]
        rest = per_image(self._rest(radii), center)
        lower = torch.maximum(by_range[0], low + rest * (by_range[0] - center))
        return lower, torch.minimum(by_range[1], high + rest * (by_range[1] - center))

    def margins_over(self, change: Tensor, radii: Tensor) -> Tensor:
        """Return lower bounds of the margins over larger balls, [count, rows].

        Args:
            change: by how much the Jacobian's range lets them change on the whole way, at most 0.
            radii: of the larger balls, [count].
        """
        return self.margins + self._rest(radii)[:, None] * change

    def roots(self, sizes: Tensor, caps: Tensor | None, spare: Tensor, norm: float) -> Tensor:
        """Return up to which radius the margins stay above `spare`, [count, rows].

        Args:
            sizes: how fast each pixel can lower the margins, [count, rows, items], not negative.
            caps: how far it may go; None: no box.
            spare: what the margins must exceed, [count, 1].
            norm: of the ball.
        """
        usable = sizes if caps is None else sizes * (caps > 0)
        steepest = dual_norm(usable, norm).clamp(min=TINY)
        left = self.margins - spare
        return torch.where(left > 0, self.radii[:, None] + left / steepest, 0.0)

    def _rest(self, radii: Tensor) -> Tensor:
        return (1.0 - self.radii / radii).clamp(min=0.0)


def joined(parts: list[SmallerBall]) -> SmallerBall:
    """Return what was found for several groups of images, one after the other."""
    bounds = {}
    for i in parts[0].bounds:
        low, high = zip(*(part.bounds[i] for part in parts), strict=True)
        bounds[i] = (torch.cat(low), torch.cat(high))
    radii = torch.cat([part.radii for part in parts])
    linear = frozenset[int]().union(*(part.linear for part in parts))
    return SmallerBall(radii, bounds, torch.cat([part.margins for part in parts]), linear)
