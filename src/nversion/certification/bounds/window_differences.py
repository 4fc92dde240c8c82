"""How far the largest neuron of a max-pool's window leads the others, bounded directly.

The ranges of two neurons overlap long before the neurons can change places: neighbours read almost
the same pixels and move together. What decides about a window is the difference ``x_j - x_r`` to
the neuron r that is largest at the image itself. The layer's backward bounds are linear functions
of the image, ``L_j <= x_j <= U_j``, so

    x_r - x_j  >=  min over the ball of (L_r - U_j),

one more norm for each pair, of coefficients that are there already. Neurons whose difference stays
negative cannot win; and ``max(x) = x_r + max_j (x_j - x_r)`` has tighter planes than a maximum of
independent ranges (:mod:`nversion.certification.planes.relax`).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from nversion.certification.ball import Reach
from nversion.certification.bounds.intervals import Bounds
from nversion.certification.network.graph import MaxPool
from nversion.certification.planes.pools import OUTSIDE, Differences, largest, windows
from nversion.certification.region import Region
from nversion.certification.rows.geometry import Geometry
from nversion.certification.rows.patches import BLOCK, PatchRows
from nversion.certification.rows.walk import Minimum

__all__ = ["bounded_differences", "joined"]


def bounded_differences(
    found: Minimum, bounds: Bounds, center: Tensor, pool: MaxPool, region: Region
) -> Differences:
    """Return the differences within each window, for some channels of the pool's input.

    Args:
        found: of rows over windows of the image: lower bounds of all neurons, then negated upper
            bounds.
        bounds: lower and upper bounds drawn from them, [count, channels, height, width].
        center: values at the images.
        pool: with windows that tile its input.
        region: the images and the balls around them.
    """
    lows, highs, centers = (windows(pool, x, OUTSIDE) for x in (*bounds, center))
    chosen = largest(centers)
    differences = interval_differences(lows, highs, chosen)
    floor = lows.amax(dim=2)
    if pool.rectified:
        floor = floor.clamp(min=0.0)
    undecided = (highs > floor[:, :, None]).sum(dim=2) > 1
    if pool.rectified:
        # Where zero is the largest at the image, the neurons' own ranges are the differences.
        undecided &= centers.amax(dim=2) > 0.0
    pairs = _Pairs(found, pool, region)
    where = undecided.nonzero()
    for part in torch.split(where, pairs.block):
        n, c, y, x = part.unbind(1)
        low, high = pairs.bounds(part, chosen[n, c, 0, y, x])
        differences.low[n, c, :, y, x] = torch.maximum(differences.low[n, c, :, y, x], low)
        differences.high[n, c, :, y, x] = torch.minimum(differences.high[n, c, :, y, x], high)
    return differences


def interval_differences(lows: Tensor, highs: Tensor, chosen: Tensor) -> Differences:
    """Return what the ranges alone tell; all [count, channels, window or 1, height, width]."""
    low, high = lows - highs.gather(2, chosen), highs - lows.gather(2, chosen)
    zero = torch.zeros_like(low[:, :, :1])
    return Differences(chosen, low.scatter(2, chosen, zero), high.scatter(2, chosen, zero))


def joined(parts: list[Differences]) -> Differences:
    """Return the differences of all channels."""
    fields = [
        torch.cat([getattr(p, name) for p in parts], dim=1) for name in ("chosen", "low", "high")
    ]
    return Differences(*fields)


class _Pairs:
    """Bounds of differences between two neurons of a window."""

    def __init__(self, found: Minimum, pool: MaxPool, region: Region) -> None:
        rows = found.rows
        assert isinstance(rows, PatchRows)
        inner = rows.geometry
        self.rows, self.middle, self.pool, self.radii = rows, found.center, pool, region.radii
        self.places = [(i, j) for i in range(pool.size[0]) for j in range(pool.size[1])]
        kernel = [inner.kernel[i] + inner.stride[i] * (pool.size[i] - 1) for i in (0, 1)]
        stride = [inner.stride[i] * pool.size[i] for i in (0, 1)]
        self.union = Geometry(
            (pool.shape[1], pool.shape[2]),
            (kernel[0], kernel[1]),
            (stride[0], stride[1]),
            inner.padding,
        )
        self.reach = region.reach()
        if self.reach.down is not None and self.reach.up is not None:
            cut = self.union.cut
            self.reach = Reach(region.norm, cut(self.reach.down), cut(self.reach.up))
        pixels = rows.channels * kernel[0] * kernel[1]
        self.block = max(1, BLOCK // (2 * len(self.places) * pixels))

    def bounds(self, where: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Return bounds of ``x_j - x_chosen``, [windows, places] each.

        Args:
            where: image, channel, row and column of each window, int64 [windows, 4].
            chosen: place of the neuron to compare with, int64 [windows].
        """
        n, c, y, x = where.unbind(1)
        half = self.rows.a.shape[1] // 2
        low_a, low_b = self._laid(n, c, y, x)
        high_a, high_b = self._laid(n, c + half, y, x)
        pick = torch.arange(len(n), device=n.device)
        position = y * self.pool.shape[2] + x
        spread, reach = self.radii[n, None], self.reach
        if reach.down is not None and reach.up is not None:
            down, up = (t[n, position][:, None] for t in (reach.down, reach.up))
            reach = Reach(reach.norm, down, up)

        def least(a: Tensor, b: Tensor) -> Tensor:
            found: Tensor = b + reach.minimum(a, spread)[0]
            return found

        up_to = least(high_a + low_a[pick, chosen][:, None], high_b + low_b[pick, chosen][:, None])
        from_ = least(low_a + high_a[pick, chosen][:, None], low_b + high_b[pick, chosen][:, None])
        itself = functional.one_hot(chosen, len(self.places)).to(torch.bool)
        return from_.masked_fill(itself, 0.0), (-up_to).masked_fill(itself, 0.0)

    def _laid(self, n: Tensor, row: Tensor, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return coefficients on the window's pixels [windows, places, pixels], and values."""
        geometry, (down, across) = self.rows.geometry, self.pool.size
        a = self.rows.a.new_zeros(len(n), len(self.places), self.rows.channels, *self.union.kernel)
        values = []
        for place, (i, j) in enumerate(self.places):
            position = (y * down + i) * geometry.grid[1] + x * across + j
            top, left = geometry.stride[0] * i, geometry.stride[1] * j
            found = self.rows.a[n, row, position]
            a[:, place, :, top : top + geometry.kernel[0], left : left + geometry.kernel[1]] = (
                found.reshape(len(n), self.rows.channels, *geometry.kernel)
            )
            values.append(self.middle[n, row, position])
        return a.flatten(2), torch.stack(values, dim=1)
