"""No neuron of any layer leaves its bounds, and no margin its linear bound."""

from __future__ import annotations

import math

import networks
import pytest
import torch

from nversion.certification.ball import Ball
from nversion.certification.bounds.interval_bounds import interval_bounds
from nversion.certification.bounds.relaxation import Bounding, Relaxation, relax_network
from nversion.certification.lipschitz.stretches import find_stretches
from nversion.certification.network.tracing import trace
from nversion.certification.problem import Rivals
from nversion.certification.radius.proof import linear_margins
from nversion.certification.region import Region

RADII = {1.0: (0.05, 0.7, 4.0), 2.0: (0.03, 0.3, 1.0), math.inf: (0.005, 0.05, 0.3)}


@pytest.mark.parametrize("name", networks.NAMES)
@pytest.mark.parametrize("norm", [1.0, 2.0, math.inf])
@pytest.mark.parametrize("boxed", [False, True])
@pytest.mark.parametrize("shared", [False, True])
def test_every_neuron_stays_within_its_bounds(
    name: str, norm: float, boxed: bool, shared: bool
) -> None:
    if shared and norm == math.inf:
        pytest.skip("neurons share a ball in L1 and L2 only")
    network = trace(networks.network(name, seed=3), networks.SHAPE).to(torch.float64)
    images = networks.images(3, seed=5).double()
    radii = torch.tensor(RADII[norm], dtype=torch.float64)
    region = Region(images, radii, Ball(norm, (0.0, 1.0) if boxed else None))
    stretches = find_stretches(network, norm) if shared else None
    relaxation = relax_network(network, region, Bounding(not shared, stretches=stretches))
    intervals = interval_bounds(network, region)
    points = networks.points(images, radii, norm, boxed, 200, seed=7)
    values = network.forward(points.flatten(0, 1))
    for index, (low, high) in relaxation.bounds.items():
        seen = values[index].reshape(200, 3, *low.shape[1:])
        assert bool((seen >= low).all()), (index, network.nodes[index].name)
        assert bool((seen <= high).all()), (index, network.nodes[index].name)
        assert bool((seen >= intervals[index][0]).all())
        assert bool((seen <= intervals[index][1]).all())
    labels = torch.tensor([0, 1, 2])
    others = torch.tensor([[1, 2, 3], [0, 2, 3], [0, 1, 3]])
    lower = linear_margins(relaxation, Rivals(labels, others))
    logits = values[-1].reshape(200, 3, -1)
    margins = logits.gather(2, labels[None, :, None].expand(200, -1, 1)) - logits.gather(
        2, others[None].expand(200, -1, -1)
    )
    assert bool((margins >= lower).all())
    # The bounds must also say something: at the smallest radius they enclose tightly.
    assert float((margins[:, 0].amin(dim=0) - lower[0]).max()) < 3.0


@pytest.mark.parametrize(("norm", "known"), [(math.inf, 2.0), (2.0, 1.0)])
def test_stretches_of_a_smaller_ball_are_refused(norm: float, known: float) -> None:
    network = trace(networks.network("conv", seed=3), networks.SHAPE).to(torch.float64)
    images = networks.images(1, seed=5).double()
    radii = torch.ones(1, dtype=torch.float64)
    stretches = find_stretches(network, known)
    with pytest.raises(ValueError, match=f"L{known:g} do not bound those in L{norm:g}"):
        relax_network(network, Region(images, radii, Ball(norm)), Bounding(stretches=stretches))


@pytest.mark.parametrize("name", networks.NAMES)
def test_radius_zero_gives_the_values_themselves(name: str) -> None:
    network = networks.exact(trace(networks.network(name, seed=4), networks.SHAPE))
    images = networks.images(2, seed=6).double()
    radii = torch.zeros(2, dtype=torch.float64)
    stretches = find_stretches(network)
    relaxation = relax_network(
        network, Region(images, radii, Ball(2.0)), Bounding(stretches=stretches)
    )
    values = network.forward(images)
    for index, (low, high) in relaxation.bounds.items():
        assert float((high - low).max()) < 1e-7
        assert float((values[index] - low).abs().max()) < 1e-7


def _bounded(name: str, norm: float, linear: frozenset[int] | None) -> Relaxation:
    network = trace(networks.network(name, seed=3), networks.SHAPE).to(torch.float64)
    images = networks.images(3, seed=5).double()
    radii = torch.tensor([0.05, 0.3, 1.0], dtype=torch.float64) / (1.0 if norm == 1.0 else 3.0)
    region = Region(images, radii, Ball(norm, None))
    return relax_network(network, region, Bounding(norm == 1.0, linear))


def test_where_no_linear_bounds_are_wanted_no_planes_are_laid() -> None:
    assert not _bounded("pooled", 1.0, frozenset()).planes
    assert _bounded("pooled", 1.0, None).planes
    # A node without ranges of derivatives needs them all the same.
    assert _bounded("overlapping pool", 2.0, frozenset()).planes
