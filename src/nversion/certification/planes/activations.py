"""Planes of activations.

For a ReLU between l < 0 < u the upper plane is the chord, and the lower plane is the identity or
zero, whichever leaves the smaller triangle (Zhang et al. 2018, "CROWN").

Where neurons share the ball, ends of ranges are seldom reached, and the plane below a ReLU is the
one that is better nearer to the image (`TOWARD_MIDDLE` of the way to the range's middle).
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from nversion.certification.ball import TINY
from nversion.certification.lipschitz.layers import steepest
from nversion.certification.lipschitz.moves import Moved
from nversion.certification.network.graph import Activation, activate
from nversion.certification.planes.planes import Planes, SharedPlanes
from nversion.certification.planes.shared_ball import Windows, share_ball

__all__ = ["derivative_range", "relax_curve", "relax_relu", "sharing_relu"]

TOWARD_MIDDLE = 0.3
"""Measured on trained networks: 2 to 3 % of the radius in L1 on one of them, 1 % in L2."""

NARROW = 1e-6
"""The width of a range below which a curve is bounded by tangents alone."""


def relax_relu(slope: float, low: Tensor, high: Tensor) -> Planes:
    """Return planes around ReLUs, leaky with `slope`, of inputs between `low` and `high`."""
    negative, positive = low.clamp(max=0.0), high.clamp(min=0.0)
    chord = (positive - slope * negative) / (positive - negative).clamp(min=TINY)
    on = (low >= 0).to(low.dtype)
    off = ((high <= 0) & (low < 0)).to(low.dtype)
    crossing = 1.0 - on - off
    steep = (positive > -negative).to(low.dtype)
    lower = on + slope * off + crossing * (steep + slope * (1.0 - steep))
    upper = on + slope * off + crossing * chord
    shift = crossing * (slope - chord) * negative
    return Planes(lower, upper - lower, torch.zeros_like(shift), shift)


def sharing_relu(planes: Planes, low: Tensor, high: Tensor, center: Tensor, moved: Moved) -> Planes:
    """Return planes of ReLUs that share the ball, made of those around each ReLU by itself."""
    upper = planes.lower + planes.rise
    toward = TOWARD_MIDDLE * (low + high) / 2 + (1.0 - TOWARD_MIDDLE) * center
    below = torch.where((low < 0) & (high > 0), (toward > 0).to(low.dtype), planes.lower)
    planes = dataclasses.replace(planes, lower=below, rise=upper - below)
    flat = [x.flatten(1)[:, None] for x in (low, high, center, high > 0.0, upper)]
    within = Windows(flat[0], flat[1], flat[2], flat[3], rectified=True)
    found = share_ball(within, flat[4], planes.upper_shift.flatten(1), moved.radii)
    rise = found.slopes.reshape(low.shape) - planes.lower
    above = SharedPlanes(rise, found.shift.reshape(low.shape), found)
    return dataclasses.replace(planes, together=above)


def relax_curve(node: Activation, low: Tensor, high: Tensor) -> Planes:
    """Bound a sigmoid or tanh: convex below 0, concave above, steepest at 0."""
    at_low, at_high = activate(node, low), activate(node, high)
    flat = torch.minimum(_steepness(node, at_low), _steepness(node, at_high))
    width = high - low
    chord = torch.where(width > NARROW, (at_high - at_low) / width.clamp(min=NARROW), flat)
    # The chord's slope is that of some point between, so it is at least the smaller end's.
    chord = torch.maximum(chord, flat)
    middle = (low + high) / 2
    at_middle = activate(node, middle)
    tangent = _steepness(node, at_middle)
    concave, convex = low >= 0, high <= 0
    narrow = width <= NARROW
    concave, convex = concave & ~narrow, convex & ~narrow
    lower = torch.where(concave, chord, torch.where(convex, tangent, flat))
    upper = torch.where(concave, tangent, torch.where(convex, chord, flat))
    tangent_shift = at_middle - tangent * middle
    lower_shift = torch.where(convex, tangent_shift, at_low - lower * low)
    upper_shift = torch.where(concave, tangent_shift, at_high - upper * high)
    return Planes(lower, upper - lower, lower_shift, upper_shift)


def derivative_range(node: Activation, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Return the least and the largest derivative of the activation over each range."""
    if node.function == "relu":
        least = torch.where(low >= 0, 1.0, node.slope).to(low.dtype)
        most = torch.where(high <= 0, node.slope, 1.0).to(low.dtype)
        return least, torch.maximum(least, most)
    slopes = [_steepness(node, activate(node, x)) for x in (low, high)]
    most = torch.where((low < 0) & (high > 0), steepest(node), torch.maximum(*slopes))
    return torch.minimum(*slopes), most


def _steepness(node: Activation, y: Tensor) -> Tensor:
    """Return the derivative of a sigmoid or tanh where its value is y."""
    return y * (1.0 - y) if node.function == "sigmoid" else 1.0 - y.square()
