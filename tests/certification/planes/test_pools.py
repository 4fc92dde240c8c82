"""Planes of max-pools hold where the maximum is hardest to bound."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nversion.certification.network.graph import MaxPool, pool
from nversion.certification.planes.pools import Differences, largest
from nversion.certification.planes.relax import relax


@settings(deadline=None, max_examples=30)
@given(
    window=st.integers(1, 9),
    values=st.integers(1, 4),
    seed=st.integers(0, 2**31),
)
def test_the_largest_is_the_first_of_the_largest(window: int, values: int, seed: int) -> None:
    draws = torch.Generator().manual_seed(seed)
    x = torch.randint(values, (2, 3, window, 4, 5), generator=draws).double()
    x[0, 0] = -1e30
    assert torch.equal(largest(x), x.argmax(dim=2, keepdim=True))


def test_planes_of_differences_hold_at_every_corner_of_their_ranges() -> None:
    """All combinations of ends of the differences and of the largest neuron, zero included."""
    node = MaxPool((0,), (1, 1, 1), "pool", (2, 2), (2, 2), (0, 0), True)
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        ends = torch.randn(2, 1, 1, 4, 1, 1, generator=generator, dtype=torch.float64).sort(0)[0]
        chosen = torch.zeros(1, 1, 1, 1, 1, dtype=torch.int64)
        first, last = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
        ends[:, 0, 0, 0] = 0.0
        differences = Differences(chosen, ends[0], ends[1])
        own = torch.tensor([-0.3 * first, 1.0 + last], dtype=torch.float64)
        low = (own[0] + ends[0]).reshape(1, 1, 2, 2)
        high = (own[1] + ends[1]).reshape(1, 1, 2, 2)
        center = (own.mean() + (ends[0] + ends[1]).clamp(max=-0.1) / 2).reshape(1, 1, 2, 2)
        center[0, 0, 0, 0] = own.mean()
        planes = relax(node, low, high, center, differences)
        corners = torch.cartesian_prod(own, *(ends[:, 0, 0, i, 0, 0] for i in (1, 2, 3)))
        for corner in corners:
            x = torch.cat([corner[:1], corner[0] + corner[1:]]).reshape(1, 1, 2, 2)
            above = ((planes.lower + planes.rise) * x).sum() + planes.upper_shift.squeeze()
            assert float(above - pool(node, x).squeeze()) >= -1e-12
            assert float(pool(node, x).squeeze() - (planes.lower * x).sum()) >= -1e-12
