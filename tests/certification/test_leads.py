"""Differences within a pool's windows, and the planes laid with their help, hold on every point."""

from __future__ import annotations

import math

import networks
import pytest
import torch
from torch import Tensor

from nversion.certification.ball import Ball
from nversion.certification.bounds.backward import layer_bounds
from nversion.certification.bounds.relaxation import relax_network
from nversion.certification.bounds.window_differences import interval_leads
from nversion.certification.network.graph import MaxPool, pool
from nversion.certification.network.tracing import trace
from nversion.certification.planes.relax import FAR, Leads, relax, windows

RADII = {1.0: (0.05, 0.5, 2.0), 2.0: (0.03, 0.2, 0.6), math.inf: (0.005, 0.03, 0.1)}
CASES = [
    (name, norm, boxed)
    for name in ("pooled", "deep pools", "uneven")
    for norm in (1.0, 2.0, math.inf)
    for boxed in (False, True)
]
SLACK = 1e-9


def _case(name: str, norm: float, boxed: bool) -> tuple[MaxPool, Tensor, list[Tensor], Leads]:
    """Return a pool, its input at points of the balls, its input's bounds, and its leads."""
    network = trace(networks.network(name, seed=3), networks.SHAPE).to(torch.float64)
    images = networks.images(3, seed=5).double()
    radii = torch.tensor(RADII[norm], dtype=torch.float64)
    ball = Ball(norm, (0.0, 1.0) if boxed else None)
    relaxation = relax_network(network, images, radii, ball)
    index = next(i for i, n in enumerate(network.nodes) if isinstance(n, MaxPool))
    node = network.nodes[index]
    assert isinstance(node, MaxPool)
    source = node.inputs[0]
    center = network.forward(images)[source]
    given = (network, source, images, radii, ball, relaxation.planes)
    low, high, leads = layer_bounds(*given, center, node)
    assert leads is not None
    points = networks.points(images, radii, norm, boxed, 150, seed=7)
    seen = network.forward(points.flatten(0, 1))[source]
    return node, seen.reshape(150, 3, *center.shape[1:]), [low, high, center], leads


@pytest.mark.parametrize(("name", "norm", "boxed"), CASES)
def test_differences_stay_within_their_ranges(name: str, norm: float, boxed: bool) -> None:
    node, seen, (low, high, _), leads = _case(name, norm, boxed)
    alone = interval_leads(windows(node, low, FAR), windows(node, high, FAR), leads.chosen)
    for x in seen:
        cut = windows(node, x, FAR)
        difference = cut - cut.gather(2, leads.chosen)
        assert bool((difference >= leads.low - SLACK).all())
        assert bool((difference <= leads.high + SLACK).all())
    assert bool((leads.low >= alone.low).all())
    assert bool((leads.high <= alone.high).all())
    # Somewhere a neuron is shown to lose that the ranges alone leave open.
    assert bool(((leads.high < 0.0) & (alone.high > 0.0)).any())


@pytest.mark.parametrize(("name", "norm", "boxed"), CASES)
def test_the_pool_stays_between_its_planes(name: str, norm: float, boxed: bool) -> None:
    node, seen, (low, high, center), leads = _case(name, norm, boxed)
    planes = relax(node, low, high, center, leads)
    plain = relax(node, low, high, center)
    assert bool((planes.rise != plain.rise).any())
    for x in seen:
        value = pool(node, x)
        below = windows(node, planes.lower * x, 0.0).sum(dim=2)
        above = windows(node, (planes.lower + planes.rise) * x, 0.0).sum(dim=2)
        assert bool((value >= below - SLACK).all())
        assert bool((value <= above + planes.upper_shift + SLACK).all())


def test_planes_of_differences_hold_at_every_corner_of_their_ranges() -> None:
    """All combinations of ends of the differences and of the largest neuron, zero included."""
    node = MaxPool((0,), (1, 1, 1), "pool", (2, 2), (2, 2), (0, 0), True)
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        ends = torch.randn(2, 1, 1, 4, 1, 1, generator=generator, dtype=torch.float64).sort(0)[0]
        chosen = torch.zeros(1, 1, 1, 1, 1, dtype=torch.int64)
        first, last = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
        ends[:, 0, 0, 0] = 0.0
        leads = Leads(chosen, ends[0], ends[1])
        own = torch.tensor([-0.3 * first, 1.0 + last], dtype=torch.float64)
        low = (own[0] + ends[0]).reshape(1, 1, 2, 2)
        high = (own[1] + ends[1]).reshape(1, 1, 2, 2)
        center = (own.mean() + (ends[0] + ends[1]).clamp(max=-0.1) / 2).reshape(1, 1, 2, 2)
        center[0, 0, 0, 0] = own.mean()
        planes = relax(node, low, high, center, leads)
        corners = torch.cartesian_prod(own, *(ends[:, 0, 0, i, 0, 0] for i in (1, 2, 3)))
        for corner in corners:
            x = torch.cat([corner[:1], corner[0] + corner[1:]]).reshape(1, 1, 2, 2)
            above = ((planes.lower + planes.rise) * x).sum() + planes.upper_shift.squeeze()
            assert float(above - pool(node, x).squeeze()) >= -1e-12
            assert float(pool(node, x).squeeze() - (planes.lower * x).sum()) >= -1e-12
