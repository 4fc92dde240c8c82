"""What a relaxation proves of the margins between classes: their bounds, and a closed-form radius.

Linear bounds and the Jacobian's range each bound every margin over the ball, and each has a largest
radius up to which its bound stays positive; of both, the better one counts.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from nversion.certification.backward import Relaxation
from nversion.certification.ball import Reach, largest_radius, lowest
from nversion.certification.graph import Dense
from nversion.certification.nested import Inner
from nversion.certification.walking import least, margin_rows, walk

__all__ = ["Verdict", "judge", "linear_margins"]

LARGEST = 1e6


@dataclasses.dataclass(frozen=True)
class Verdict:
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
        lower: lower bounds over the balls, up to rounding.
        slack: by how much rounding may have raised them, [count].
        linear: of the linear bounds: their values at the images [count, rows], coefficients
            [count, rows, pixels] and the images' reach; None where they were not drawn.
        ranges: how fast each pixel can lower the margins, and how far it may go; None where the
            Jacobian's range is not known.
    """

    values: Tensor
    lower: Tensor
    slack: Tensor
    linear: tuple[Tensor, Tensor, Reach] | None
    ranges: tuple[Tensor, Tensor | None] | None


def _margins(
    relaxation: Relaxation, labels: Tensor, others: Tensor, inner: Inner | None
) -> _Margins:
    rows = margin_rows(relaxation.network, labels, others)
    # Bounds of both balls are added up, and each may be too high by its rounding.
    slack = relaxation.slack if inner is None else 2.0 * relaxation.slack
    values = (rows.a @ relaxation.logits[:, :, None]).squeeze(2)
    lower = torch.full_like(values, -torch.inf)
    linear, ranges = None, None
    # Where linear bounds are not worth their time in any layer, they are not here.
    if relaxation.derivatives is None or relaxation.linear:
        last = len(relaxation.network.nodes) - 1
        back = walk(relaxation.network, last, rows, relaxation.planes)
        lower, center, a, reach = least(back, relaxation.images, relaxation.radii, relaxation.ball)
        linear = center, a, reach
    if relaxation.derivatives is not None:
        ranges = _margin_derivatives(relaxation, rows.a)
        change, _ = lowest(*ranges, relaxation.radii[:, None], relaxation.ball.norm)
        lower = torch.maximum(lower, values + change)
        if inner is not None:
            lower = torch.maximum(lower, inner.margins_over(change, relaxation.radii))
    return _Margins(values, lower, slack, linear, ranges)


def judge(
    relaxation: Relaxation,
    labels: Tensor,
    others: Tensor,
    needed: Tensor,
    inner: Inner | None = None,
) -> Verdict:
    """Draw the closed-form radii and the losses from a relaxation.

    Args:
        relaxation: of the images.
        labels: int64 [count].
        others: int64 [count, rows], the classes that must stay below.
        needed: [count], what each margin must exceed.
        inner: what is known of smaller balls.
    """
    found = _margins(relaxation, labels, others, inner)
    norm, lower = relaxation.ball.norm, found.lower
    spare = (needed + found.slack)[:, None]
    limit = torch.full_like(lower, LARGEST)
    radii = torch.zeros_like(lower)
    if found.linear is not None:
        center, a, reach = found.linear
        radii = largest_radius(a.abs(), reach.caps(a), center - spare, limit, norm)
    if found.ranges is not None:
        alone = largest_radius(*found.ranges, found.values - spare, limit, norm)
        radii = torch.maximum(radii, alone)
        if inner is not None:
            radii = torch.maximum(radii, inner.reach(*found.ranges, spare, norm))
    proved = (lower > spare).all(dim=1)
    radii = torch.where(proved, torch.maximum(radii.amin(dim=1), relaxation.radii), radii.amin(1))
    loss = (found.values - lower) / (found.values - spare).clamp(min=1e-9)
    return Verdict(radii, loss.amax(dim=1), lower - found.slack[:, None])


def linear_margins(
    relaxation: Relaxation, labels: Tensor, others: Tensor, inner: Inner | None = None
) -> Tensor:
    """Return lower bounds of ``logit[label] - logit[other]`` over the balls, [count, rows]."""
    found = _margins(relaxation, labels, others, inner)
    return found.lower - found.slack[:, None]


def _margin_derivatives(relaxation: Relaxation, rows: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return how fast each pixel can lower the margins, [count, rows, items], and its reach."""
    last = relaxation.network.nodes[-1]
    weight = rows @ last.weight if isinstance(last, Dense) else rows
    assert relaxation.derivatives is not None
    ranges = relaxation.derivatives.combined(weight)
    sizes, caps = ranges.items(relaxation.ball.reach(relaxation.images), upward=False)
    return sizes.squeeze(2), None if caps is None else caps.squeeze(2)
