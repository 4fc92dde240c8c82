"""Exact projections: onto balls of every norm, within the box of valid images.

Each function takes changes of images that lie in [0, 1] and returns the nearest ones (in the
Euclidean sense) that lie in the ball and keep the image in [0, 1]; or, for the L1 ball, in the ball
alone. Projecting onto the ball and then cutting off at the box is not the same: in L1 and L2 it
wastes radius that other components could use.

In L1 the nearest changes have the sizes ``min((|v| - level)+, room)`` in the direction of v, with
``room`` what the box leaves (Croce and Hein, "Mind the box: L1-APGD for sparse adversarial attacks
on image classifiers", ICML 2021, proposition 2.1); in L2 ``min(scale |v|, room)``. Level and scale
are roots of monotone functions of one variable made of straight pieces. Newton's method finds the
piece, and is exact there; where it would leave the interval known to hold the root, that is halved.
In L0, where a pixel with all its channels counts as one, those are kept that gain most.

All functions treat each row by itself and return the same bits for it in every batch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nversion.attacks.ball import columns, sums

__all__ = [
    "ROUNDS",
    "onto_l0_in_box",
    "onto_l1",
    "onto_l1_in_box",
    "onto_l2_in_box",
    "onto_linf_in_box",
    "project_in_box",
    "room_of",
    "sizes_of",
    "water_level",
]

ROUNDS = 80
"""More than halving the interval takes to come down to neighbouring numbers of float64."""


def sizes_of(changes: Tensor, norm: str) -> Tensor:
    """Return each row's size in a norm, [count]; in L0, the number of pixels with any change."""
    if norm == "l0":
        return (changes != 0).any(dim=1).flatten(1).sum(dim=1).to(changes.dtype)
    if norm == "l1":
        return sums(changes.abs())
    if norm == "l2":
        return sums(changes.square()).sqrt()
    return changes.abs().flatten(1).amax(dim=1)


def room_of(changes: Tensor, originals: Tensor) -> Tensor:
    """Return how far each component may move the way `changes` do, to stay in [0, 1]."""
    return torch.where(changes > 0, 1.0 - originals, originals)


def project_in_box(changes: Tensor, originals: Tensor, radii: Tensor, norm: str) -> Tensor:
    """Return the changes nearest to these of at most a radius that stay in the box.

    Args:
        changes: floating [count, channels, height, width].
        originals: like `changes`, in [0, 1].
        radii: floating [count]; in L0 pixels, of which whole ones count.
        norm: one of :data:`nversion.norms.NORMS`.
    """
    return _PROJECTIONS[norm](changes, originals, radii)


def onto_l1(changes: Tensor, radii: Tensor) -> Tensor:
    """Return the nearest changes with an L1 norm of at most `radii`, float [count].

    The sizes fall by a common amount and end at 0 (Duchi et al. 2008).
    """
    sizes = changes.abs()
    level = water_level(sizes, torch.full_like(sizes, torch.inf), radii)
    return changes.sign() * (sizes - columns(level)).clamp(min=0.0)


def onto_l1_in_box(changes: Tensor, originals: Tensor, radii: Tensor) -> Tensor:
    """Return the nearest changes of L1 norm at most `radii`, [count], that stay in the box."""
    sizes, room = changes.abs(), room_of(changes, originals)
    level = water_level(sizes, room, radii)
    moves = torch.minimum((sizes - columns(level)).clamp(min=0.0), room)
    return changes.sign() * moves


def water_level(sizes: Tensor, room: Tensor, totals: Tensor) -> Tensor:
    """Return the smallest level >= 0 at which min((sizes - level)+, room) sums to at most totals.

    Args:
        sizes: floating [count, ...], at least 0.
        room: like `sizes`, at least 0; infinite where there is no limit.
        totals: floating [count], at least 0.
    """
    slack = 4.0 * torch.finfo(sizes.dtype).eps * totals
    low = torch.zeros_like(totals)
    high = sizes.flatten(1).amax(dim=1)
    level = low
    for _ in range(ROUNDS):
        above = sizes - columns(level)
        excess = sums(torch.minimum(above.clamp(min=0.0), room)) - totals
        low = torch.where(excess > 0, level, low)
        high = torch.where(excess <= 0, level, high)
        # At level 0 too little is no fault: the changes lie in the ball as they are.
        open_ = (excess > slack) | ((excess < -slack) & (level > 0))
        if not bool(open_.any()):
            break
        falling = sums(((above > 0) & (above < room)).to(sizes.dtype))
        following = level + excess / falling
        inside = (following > low) & (following < high)
        following = torch.where(inside, following, (low + high) / 2)
        level = torch.where(open_, following, level)
    return torch.where(excess > slack, high, level)


def onto_l2_in_box(changes: Tensor, originals: Tensor, radii: Tensor) -> Tensor:
    """Return the nearest changes of L2 norm at most `radii`, [count], that stay in the box.

    With q the square of the scale, the square of the norm is the sum of min(q v^2, room^2): concave
    in q, so that Newton's method rises from q = 0 to the root and stays on its piece.
    """
    squares, room = changes.square(), room_of(changes, originals)
    ends = room.square()
    full = torch.where(squares > 0, ends / squares, 0.0)
    wanted = radii.square()
    scale = torch.zeros_like(wanted)
    open_ = torch.ones_like(wanted, dtype=torch.bool)
    for _ in range(ROUNDS):
        moving = full > columns(scale)
        rate = sums(torch.where(moving, squares, 0.0))
        needed = (wanted - sums(torch.where(moving, 0.0, torch.minimum(ends, squares)))) / rate
        needed = torch.where(rate > 0, needed, 1.0).clamp(max=1.0)
        open_ = open_ & (needed > scale)
        if not bool(open_.any()):
            break
        scale = torch.where(open_, needed, scale)
    moves = torch.minimum(columns(scale.sqrt()) * changes.abs(), room)
    return changes.sign() * moves


def onto_linf_in_box(changes: Tensor, originals: Tensor, radii: Tensor) -> Tensor:
    """Return the nearest changes of Linf norm at most `radii`, [count], that stay in the box."""
    room = torch.minimum(room_of(changes, originals), columns(radii))
    return changes.sign() * torch.minimum(changes.abs(), room)


def onto_l0_in_box(changes: Tensor, originals: Tensor, counts: Tensor) -> Tensor:
    """Return the nearest changes of at most `counts`, [count], pixels that stay in the box.

    A pixel left out costs the square of its change, one kept what the box cuts off; so those are
    kept where the difference is largest, of equal ones the first.
    """
    kept = changes.sign() * torch.minimum(changes.abs(), room_of(changes, originals))
    gains = changes.square() - (changes - kept).square()
    gains = gains.sum(dim=1).flatten(1)
    order = gains.sort(dim=1, descending=True, stable=True).indices
    places = torch.arange(gains.shape[1], device=gains.device).expand_as(order)
    chosen = places < counts.floor()[:, None]
    mask = torch.zeros_like(chosen).scatter(1, order, chosen)
    return kept * mask.view(len(kept), 1, *kept.shape[2:])


_PROJECTIONS = {
    "l0": onto_l0_in_box,
    "l1": onto_l1_in_box,
    "l2": onto_l2_in_box,
    "linf": onto_linf_in_box,
}
