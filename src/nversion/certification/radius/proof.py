"""What a relaxation proves of the margins between classes: their bounds, and a closed-form radius.

Linear bounds and the Jacobian's range each bound every margin over the ball, and each has a largest
radius up to which its bound stays positive; of both, the better one counts.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from nversion.certification.ball import largest_radius, lowest
from nversion.certification.bounds.interval_bounds import last_margins, margin_weights
from nversion.certification.bounds.relaxation import Relaxation
from nversion.certification.bounds.smaller_ball import SmallerBall
from nversion.certification.rows.walk import least, margin_rows, walk

__all__ = ["Proof", "linear_margins", "prove"]

LARGEST = 1e6
TINY = 1e-30


@dataclasses.dataclass(frozen=True)
class Proof:
    """What one relaxation at radii e proves.

    Attributes:
        radii: [count], up to which all margins are proved positive; may exceed e, and is then
            only proved up to e.
        loss: [count], the largest share of any margin that the bounds give away at e.
        margins: lower bounds of the margins over the balls of e, [count, rows].
    """

    radii: Tensor
    loss: Tensor
    margins: Tensor


@dataclasses.dataclass(frozen=True)
class _Margins:
    """Bounds of the margins, and what they were drawn from.

    Attributes:
        values: at the images, [count, rows].
        lower: lower bounds over the balls.
        roots: the largest radii that closed forms prove, up to those of the balls, [count, rows].
    """

    values: Tensor
    lower: Tensor
    roots: Tensor


def _margins(
    relaxation: Relaxation,
    labels: Tensor,
    others: Tensor,
    inner: SmallerBall | None,
) -> _Margins:
    rows = margin_rows(relaxation.network, labels, others)
    values = (rows.a @ relaxation.logits[:, :, None]).squeeze(2)
    weight = margin_weights(relaxation.network, labels, others)
    norm = relaxation.ball.norm
    spare = relaxation.spare.linear(labels, others)
    lower = last_margins(relaxation.network, relaxation.bounds, labels, others, weight) - spare
    roots = torch.zeros_like(lower)
    limit = torch.full_like(lower, LARGEST)
    # Where linear bounds are not worth their time in any layer, they are not here.
    if relaxation.derivatives is None or relaxation.linear:
        last = len(relaxation.network.nodes) - 1
        back = walk(relaxation.network, last, rows, relaxation.planes)
        found, center, a, reach = least(back, relaxation.images, relaxation.radii, relaxation.ball)
        lower = torch.maximum(lower, found - spare)
        roots = largest_radius(a.abs(), reach.caps(a), center - spare, limit, norm)
    moved = relaxation.spare.moved(labels, others, weight)
    if relaxation.stretches is not None:
        change = relaxation.stretches.changes(relaxation.network, weight)
        lower = torch.maximum(lower, values - moved - change * relaxation.radii[:, None])
        alone = ((values - moved) / change.clamp(min=TINY)).clamp(min=0.0)
        roots = torch.maximum(roots, alone.clamp(max=LARGEST))
    if relaxation.derivatives is not None:
        moved = moved + relaxation.spare.ranges[:, None]
        ranges = _margin_derivatives(relaxation, weight)
        change, _ = lowest(*ranges, relaxation.radii[:, None], norm)
        lower = torch.maximum(lower, values - moved + change)
        alone = largest_radius(*ranges, values - moved, limit, norm)
        roots = torch.maximum(roots, alone)
        if inner is not None:
            # Bounds of evaluated margins are bounds of those in real arithmetic, too.
            over = inner.margins_over(change, relaxation.radii)
            lower = torch.maximum(lower, over - moved)
            roots = torch.maximum(roots, inner.reach(*ranges, moved, norm))
    return _Margins(values, lower, roots)


def prove(
    relaxation: Relaxation, labels: Tensor, others: Tensor, inner: SmallerBall | None = None
) -> Proof:
    """Draw the closed-form radii and the losses from a relaxation.

    Args:
        relaxation: of the images.
        labels: int64 [count].
        others: int64 [count, rows], the classes that must stay below.
        inner: what is known of smaller balls.
    """
    found = _margins(relaxation, labels, others, inner)
    radii = found.roots.amin(dim=1)
    proved = (found.lower > 0.0).all(dim=1)
    radii = torch.where(proved, torch.maximum(radii, relaxation.radii), radii)
    loss = (found.values - found.lower) / found.values.clamp(min=1e-9)
    return Proof(radii, loss.amax(dim=1), found.lower)


def linear_margins(
    relaxation: Relaxation, labels: Tensor, others: Tensor, inner: SmallerBall | None = None
) -> Tensor:
    """Return lower bounds of ``logit[label] - logit[other]`` over the balls, [count, rows]."""
    return _margins(relaxation, labels, others, inner).lower


def _margin_derivatives(relaxation: Relaxation, weight: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return how fast each pixel can lower the margins, [count, rows, items], and its reach."""
    assert relaxation.derivatives is not None
    ranges = relaxation.derivatives.combined(weight)
    sizes, caps = ranges.items(relaxation.ball.reach(relaxation.images), upward=False)
    return sizes.squeeze(2), None if caps is None else caps.squeeze(2)
