"""Differences within a pool's windows, and the planes laid with their help, hold on every point."""

from __future__ import annotations

import math

import networks
import pytest
import torch
from torch import Tensor

from nversion.certification.ball import Ball
from nversion.certification.bounds.backward import layer_bounds
from nversion.certification.bounds.layer import Layer
from nversion.certification.bounds.relaxation import relax_network
from nversion.certification.bounds.window_differences import interval_differences
from nversion.certification.network.graph import MaxPool, pool
from nversion.certification.network.tracing import trace
from nversion.certification.planes.pools import OUTSIDE, Differences, windows
from nversion.certification.planes.relax import relax
from nversion.certification.region import Region

RADII = {1.0: (0.05, 0.5, 2.0), 2.0: (0.03, 0.2, 0.6), math.inf: (0.005, 0.03, 0.1)}
CASES = [
    (name, norm, boxed)
    for name in ("pooled", "deep pools", "uneven")
    for norm in (1.0, 2.0, math.inf)
    for boxed in (False, True)
]
SLACK = 1e-9


def _case(name: str, norm: float, boxed: bool) -> tuple[MaxPool, Tensor, list[Tensor], Differences]:
    """Return a pool, its input at points of the balls, its input's bounds, and its differences."""
    network = trace(networks.network(name, seed=3), networks.SHAPE).to(torch.float64)
    images = networks.images(3, seed=5).double()
    radii = torch.tensor(RADII[norm], dtype=torch.float64)
    ball = Ball(norm, (0.0, 1.0) if boxed else None)
    relaxation = relax_network(network, Region(images, radii, ball))
    index = next(i for i, n in enumerate(network.nodes) if isinstance(n, MaxPool))
    node = network.nodes[index]
    assert isinstance(node, MaxPool)
    source = node.inputs[0]
    center = network.forward(images)[source]
    layer = Layer(network, source, relaxation.region, relaxation.planes, center)
    low, high, differences = layer_bounds(layer, node)
    assert differences is not None
    points = networks.points(images, radii, norm, boxed, 150, seed=7)
    seen = network.forward(points.flatten(0, 1))[source]
    return node, seen.reshape(150, 3, *center.shape[1:]), [low, high, center], differences


@pytest.mark.parametrize(("name", "norm", "boxed"), CASES)
def test_differences_stay_within_their_ranges(name: str, norm: float, boxed: bool) -> None:
    node, seen, (low, high, _), differences = _case(name, norm, boxed)
    alone = interval_differences(
        windows(node, low, OUTSIDE), windows(node, high, OUTSIDE), differences.chosen
    )
    for x in seen:
        cut = windows(node, x, OUTSIDE)
        difference = cut - cut.gather(2, differences.chosen)
        assert bool((difference >= differences.low - SLACK).all())
        assert bool((difference <= differences.high + SLACK).all())
    assert bool((differences.low >= alone.low).all())
    assert bool((differences.high <= alone.high).all())
    # Somewhere a neuron is shown to lose that the ranges alone leave open.
    assert bool(((differences.high < 0.0) & (alone.high > 0.0)).any())


@pytest.mark.parametrize(("name", "norm", "boxed"), CASES)
def test_the_pool_stays_between_its_planes(name: str, norm: float, boxed: bool) -> None:
    node, seen, (low, high, center), differences = _case(name, norm, boxed)
    planes = relax(node, low, high, center, differences)
    plain = relax(node, low, high, center)
    assert bool((planes.rise != plain.rise).any())
    for x in seen:
        value = pool(node, x)
        below = windows(node, planes.lower * x, 0.0).sum(dim=2)
        above = windows(node, (planes.lower + planes.rise) * x, 0.0).sum(dim=2)
        assert bool((value >= below - SLACK).all())
        assert bool((value <= above + planes.upper_shift + SLACK).all())
