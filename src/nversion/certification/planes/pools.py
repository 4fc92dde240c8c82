"""Planes of max-pools.

For the maximum ``z`` of neurons ``x_1 .. x_k`` with ranges [l_i, u_i], and of zero where a ReLU is
fused with the pool:

- below: the neuron with the largest value at the image itself, or zero if it is small;
- above: for any g that is at least every l_i (and at least 0 where zero takes part),

      z <= g + sum_i (u_i - g)+ / (u_i - l_i) (x_i - l_i).

  Proof: if z <= g, the sum's terms are not negative. Otherwise z = x_j > g for some j; the j-th
  term alone is a line in x_j which is at least x_j - g at both ends of [l_j, u_j]. The right side
  at the image is a convex, piecewise linear function of g with corners at the u_i, so its smallest
  value is found by trying them. CNN-Cert (Boopathy et al. 2019) uses one g of this family, a
  constant plane is another. As z is a weighted matroid rank function on the corners of the box,
  these planes are the facets of its concave envelope (the largest share of each neuron's range
  counts first, until the shares add up to 1): for independent ranges there is no better one;
- above, where the differences ``d_i = x_i - x_r`` to the largest neuron at the image have ranges of
  their own (:mod:`nversion.certification.bounds.window_differences`): ``z = x_r + max(0, d_i ..)``,
  and the same family for the second part, zero again taking part as the difference ``-x_r``.

Constants were chosen by what they bring on trained networks: planes above are compared a tenth of
the way (`TOWARD_END`) from the image to the upper ends of the ranges, where the worst changes lie;
and the neuron below must have its range's middle some way (`ABOVE_ZERO`) above zero to be better
than zero.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor
from torch.nn import functional

from nversion.certification.ball import TINY
from nversion.certification.lipschitz.moves import Moved
from nversion.certification.network.graph import MaxPool, tiles
from nversion.certification.planes.planes import Planes, SharedPlanes
from nversion.certification.planes.shared_ball import Windows, share_ball

__all__ = ["OUTSIDE", "Differences", "largest", "relax_pool", "windows", "winners"]

OUTSIDE = -1e30
"""What windows hold beyond the border, if it must not win."""

TOWARD_END = 0.1

ABOVE_ZERO = 0.3


@dataclasses.dataclass(frozen=True)
class Differences:
    """Ranges of the differences between a pool's inputs and the largest one at the image itself.

    Attributes:
        chosen: place of that input in its window, int64 [count, channels, 1, height, width].
        low: lower bounds of ``x_j - x_chosen``, [count, channels, window, height, width]; 0 at
            the chosen one.
        high: upper bounds.
    """

    chosen: Tensor
    low: Tensor
    high: Tensor


def windows(node: MaxPool, x: Tensor, fill: float) -> Tensor:
    """Return the pool's windows, [count, channels, window, height, width] of its output."""
    count, channels = x.shape[:2]
    height, width = node.shape[1:]
    if tiles(node):
        rows, columns = node.size
        x = x[:, :, : height * rows, : width * columns]
        x = x.reshape(count, channels, height, rows, width, columns).permute(0, 1, 3, 5, 2, 4)
    else:
        vertical, horizontal = node.padding
        x = functional.pad(x, (horizontal, horizontal, vertical, vertical), value=fill)
        x = x.unfold(2, node.size[0], node.stride[0]).unfold(3, node.size[1], node.stride[1])
        x = x[:, :, :height, :width].permute(0, 1, 4, 5, 2, 3)
    return x.reshape(count, channels, -1, height, width)


def largest(x: Tensor) -> Tensor:
    """Return the place of the largest of each window's few neurons, as ``argmax(dim=2)`` does.

    Comparing whole maps is several times faster.

    Args:
        x: [count, channels, window, height, width].

    Returns:
        int64 [count, channels, 1, height, width].
    """
    best = x[:, :, :1]
    place = torch.zeros_like(best, dtype=torch.int64)
    for i in range(1, x.shape[2]):
        here = x[:, :, i : i + 1]
        place = place.masked_fill(here > best, i)
        best = torch.maximum(best, here)
    return place


def spread(node: MaxPool, x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Lay windows [count, channels, window, height, width] out as :class:`Planes` wants them."""
    count, channels, _, height, width = x.shape
    if not tiles(node):
        return x.reshape(count, channels, -1, height * width)
    rows, columns = node.size
    x = x.reshape(count, channels, rows, columns, height, width).permute(0, 1, 4, 2, 5, 3)
    x = x.reshape(count, channels, height * rows, width * columns)
    below, beside = shape[1] - x.shape[2], shape[2] - x.shape[3]
    return functional.pad(x, (0, beside, 0, below)) if below or beside else x.contiguous()


def relax_pool(
    node: MaxPool,
    low: Tensor,
    high: Tensor,
    center: Tensor,
    differences: Differences | None,
    moved: Moved | None,
) -> Planes:
    """Return planes around a max-pool (see :func:`nversion.certification.planes.relax.relax`)."""
    shape = tuple(low.shape[1:])
    low, high, center = (windows(node, x, OUTSIDE) for x in (low, high, center))
    floor = low.amax(dim=2, keepdim=True)
    if node.rectified:
        floor = floor.clamp(min=0.0)
    upper, upper_shift, value = _plane_above(low, high, center, floor)
    if differences is not None:
        led = _plane_from_differences(differences, low, high, center, node.rectified)
        slopes, shift, other = led
        # Slopes in [0, 1] only: what rounding may do is derived from that.
        better = (other < value) & (slopes >= 0.0).all(dim=2, keepdim=True)
        upper = torch.where(better, slopes, upper)
        upper_shift = torch.where(better, shift, upper_shift)
    chosen = largest(center)
    # Below: one neuron, the largest at the image.
    if node.rectified:
        ends = low.gather(2, chosen), high.gather(2, chosen)
        keep = (ends[0] + ends[1] > ABOVE_ZERO * (ends[1] - ends[0])).to(low.dtype)
    else:
        keep = torch.ones_like(floor)
    lower = torch.zeros_like(low).scatter_(2, chosen, keep)
    if node.rectified:
        dead = (high.amax(dim=2, keepdim=True) <= 0).to(low.dtype)
        lower = lower * (1.0 - dead)
    laid = spread(node, lower, shape)
    shift = upper_shift.squeeze(2)
    planes = Planes(laid, spread(node, upper, shape) - laid, torch.zeros_like(shift), shift)
    if moved is None:
        return planes
    wins = winners(low, high, floor, differences)
    each = [x.transpose(1, 2).flatten(2) for x in (low, high, center, wins, upper)]
    within = Windows(each[0], each[1], each[2], each[3], node.rectified, moved.mean)
    found = share_ball(within, each[4], upper_shift.flatten(1), moved.radii)
    slopes = found.slopes.reshape(len(low), low.shape[2], low.shape[1], *low.shape[3:])
    rise = spread(node, slopes.transpose(1, 2), shape) - laid
    above = SharedPlanes(rise, found.shift.reshape(planes.upper_shift.shape), found)
    return dataclasses.replace(planes, together=above)


def winners(low: Tensor, high: Tensor, floor: Tensor, differences: Differences | None) -> Tensor:
    """Return which neurons of a window may be its maximum, bool [count, channels, window, ...].

    Args:
        low: lower bounds of the neurons.
        high: upper bounds.
        floor: what the maximum is at least, [count, channels, 1, ...].
        differences: within the windows, where they are known.
    """
    wins = (high > floor) | (low >= floor)
    return wins if differences is None else wins & (differences.high >= 0.0)


def _plane_from_differences(
    differences: Differences, low: Tensor, high: Tensor, center: Tensor, rectified: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what :func:`_plane_above` does, from the differences to the largest neuron."""
    chosen = differences.chosen
    least, most, middle = differences.low, differences.high, center - center.gather(2, chosen)
    if rectified:
        # Zero takes part as one more neuron.
        least = torch.cat([least, -high.gather(2, chosen)], dim=2)
        most = torch.cat([most, -low.gather(2, chosen)], dim=2)
        middle = torch.cat([middle, -center.gather(2, chosen)], dim=2)
    floor = least.amax(dim=2, keepdim=True).clamp(min=0.0)
    slopes, shift, value = _plane_above(least, most, middle, floor)
    own = 1.0 - slopes.sum(dim=2, keepdim=True)
    slopes = slopes[:, :, : low.shape[2]].scatter_add(2, chosen, own)
    return slopes, shift, center.gather(2, chosen) + value


def _plane_above(
    low: Tensor, high: Tensor, center: Tensor, floor: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return slopes, shift and value at the image of the best plane of the module's family.

    Args:
        low: [count, channels, neurons, height, width].
        high: the same.
        center: the same.
        floor: the least g, [count, channels, 1, height, width].
    """
    inverse = 1.0 / (high - low).clamp(min=TINY)
    probe = center + TOWARD_END * (high - center)
    share = ((probe - low) * inverse).clamp(0.0, 1.0)
    best = floor
    best_value = best + ((high - best).clamp(min=0.0) * share).sum(dim=2, keepdim=True)
    for i in range(high.shape[2]):
        g = torch.maximum(high[:, :, i : i + 1], floor)
        value = g + ((high - g).clamp(min=0.0) * share).sum(dim=2, keepdim=True)
        best = torch.where(value < best_value, g, best)
        best_value = torch.minimum(value, best_value)
    upper = ((high - best).clamp(min=0.0) * inverse).clamp(max=1.0)
    # A neuron whose range is a point gets a slope of 0 or 1 by the clamps; both are sound.
    return upper, best - (upper * low).sum(dim=2, keepdim=True), best_value
