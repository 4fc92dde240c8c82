"""What a relaxation proves of the margins between classes: their bounds, and a closed-form radius.

Linear bounds and the Jacobian's range each bound every margin over the ball, and each has a largest
radius up to which its bound stays positive; of both, the better one counts.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from nversion.certification.ball import TINY, largest_radius, lowest
from nversion.certification.bounds.interval_bounds import last_margins, margin_weights
from nversion.certification.bounds.relaxation import Relaxation
from nversion.certification.bounds.smaller_ball import SmallerBall
from nversion.certification.problem import Rivals
from nversion.certification.rows.walk import margin_rows

__all__ = ["Proof", "linear_losses", "linear_margins", "linear_shares", "prove"]

LARGEST = 1e6
"""No closed form is asked for a larger radius."""

SMALLEST_MARGIN = 1e-9
"""Shares are those of a margin at least as large as this."""


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


def _margins(relaxation: Relaxation, rivals: Rivals, inner: SmallerBall | None) -> _Margins:
    network, region = relaxation.network, relaxation.region
    rows, weight = margin_rows(network, rivals), margin_weights(network, rivals)
    values, spare = relaxation.values(rows), relaxation.spare.linear(rivals)
    lower = last_margins(network, relaxation.bounds, rivals, weight) - spare
    roots = torch.zeros_like(lower)
    limit = torch.full_like(lower, LARGEST)
    # Where linear bounds are not worth their time in any layer, they are not here.
    if relaxation.derivatives is None or relaxation.linear:
        found = relaxation.minimum(rows)
        lower = torch.maximum(lower, found.lower - spare)
        caps = found.reach.caps(found.a)
        roots = largest_radius(found.a.abs(), caps, found.center - spare, limit, region.norm)
    moved = relaxation.spare.moved(rivals, weight)
    if relaxation.stretches is not None:
        change = relaxation.stretches.changes(network, weight)
        lower = torch.maximum(lower, values - moved - change * region.radii[:, None])
        alone = ((values - moved) / change.clamp(min=TINY)).clamp(min=0.0)
        roots = torch.maximum(roots, alone.clamp(max=LARGEST))
    if relaxation.derivatives is not None:
        moved = moved + relaxation.spare.ranges[:, None]
        ranges = _margin_derivatives(relaxation, weight)
        change, _ = lowest(*ranges, region.radii[:, None], region.norm)
        lower = torch.maximum(lower, values - moved + change)
        alone = largest_radius(*ranges, values - moved, limit, region.norm)
        roots = torch.maximum(roots, alone)
        if inner is not None:
            # Bounds of evaluated margins are bounds of those in real arithmetic, too.
            over = inner.margins_over(change, region.radii)
            lower = torch.maximum(lower, over - moved)
            roots = torch.maximum(roots, inner.roots(*ranges, moved, region.norm))
    return _Margins(values, lower, roots)


def prove(relaxation: Relaxation, rivals: Rivals, inner: SmallerBall | None = None) -> Proof:
    """Draw the closed-form radii and the losses from a relaxation.

    Args:
        relaxation: of the images.
        rivals: their labels, and the classes that must stay below.
        inner: what is known of smaller balls.
    """
    found = _margins(relaxation, rivals, inner)
    radii = found.roots.amin(dim=1)
    proved = (found.lower > 0.0).all(dim=1)
    radii = torch.where(proved, torch.maximum(radii, relaxation.region.radii), radii)
    loss = (found.values - found.lower) / found.values.clamp(min=SMALLEST_MARGIN)
    return Proof(radii, loss.amax(dim=1), found.lower)


def linear_margins(
    relaxation: Relaxation, rivals: Rivals, inner: SmallerBall | None = None
) -> Tensor:
    """Return lower bounds of ``logit[label] - logit[other]`` over the balls, [count, rows]."""
    return _margins(relaxation, rivals, inner).lower


def linear_losses(relaxation: Relaxation, rivals: Rivals) -> Tensor:
    """Return the largest share of any margin that the linear bounds alone give away, [count].

    It has a gradient by the planes.
    """
    return linear_shares(relaxation, rivals).amax(dim=1)


def linear_shares(relaxation: Relaxation, rivals: Rivals) -> Tensor:
    """Return the share of each margin that the linear bounds alone give away, [count, rows].

    It has a gradient by the planes.
    """
    rows = margin_rows(relaxation.network, rivals)
    margins = relaxation.values(rows).clamp(min=SMALLEST_MARGIN)
    return (margins - relaxation.minimum(rows).lower) / margins


def _margin_derivatives(relaxation: Relaxation, weight: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return how fast each pixel can lower the margins, [count, rows, items], and its reach."""
    assert relaxation.derivatives is not None
    ranges = relaxation.derivatives.combined(weight)
    sizes, caps = ranges.items(relaxation.region.reach(), upward=False)
    return sizes.squeeze(2), None if caps is None else caps.squeeze(2)
