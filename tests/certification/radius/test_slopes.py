"""Other slopes of the planes below ReLUs are as sound, and a step along the gradient is better."""

from __future__ import annotations

import math

import networks
import pytest
import torch

from nversion.certification.ball import Ball
from nversion.certification.bounds.relaxation import Bounding, relax_network
from nversion.certification.lipschitz.stretches import find_stretches
from nversion.certification.network.graph import Activation
from nversion.certification.network.tracing import trace
from nversion.certification.problem import Problem, Rivals
from nversion.certification.radius import effort, search
from nversion.certification.radius.effort import Effort
from nversion.certification.radius.proof import linear_margins
from nversion.certification.radius.search import search_radii
from nversion.certification.radius.slopes import one_step_better, tunable, with_slopes
from nversion.certification.region import Region

RADII = {1.0: 0.4, 2.0: 0.2, math.inf: 0.03}
LABELS = torch.tensor([0, 1, 2])
OTHERS = torch.tensor([[1, 2, 3], [0, 2, 3], [0, 1, 3]])
RIVALS = Rivals(LABELS, OTHERS)


@pytest.mark.parametrize("name", ["dense", "leaky", "conv", "pooled", "residual", "uneven"])
@pytest.mark.parametrize("norm", [1.0, 2.0, math.inf])
def test_margins_hold_with_better_slopes_and_with_any(name: str, norm: float) -> None:
    network = trace(networks.network(name, seed=3), networks.SHAPE).to(torch.float64)
    images = networks.images(3, seed=5).double()
    radii = torch.full((3,), RADII[norm], dtype=torch.float64)
    stretches = find_stretches(network, norm) if norm < math.inf else None
    relaxation = relax_network(
        network, Region(images, radii, Ball(norm, None)), Bounding(stretches=stretches)
    )
    points = networks.points(images, radii, norm, False, 300, seed=7)
    logits = network.forward(points.flatten(0, 1))[-1].reshape(300, 3, -1)
    own = logits.gather(2, LABELS[None, :, None].expand(300, -1, 1))
    margins = own - logits.gather(2, OTHERS[None].expand(300, -1, -1))
    draws = torch.Generator().manual_seed(1)
    any_slopes = {
        index: torch.rand(relaxation.planes[index].lower.shape, generator=draws) * 3.0 - 1.0
        for index in tunable(network)
    }
    for slopes in (one_step_better(relaxation, RIVALS), any_slopes):
        lower = linear_margins(with_slopes(relaxation, slopes), RIVALS)
        assert bool((margins >= lower).all())


def test_slopes_that_are_not_numbers_leave_the_usual_ones() -> None:
    network = trace(networks.network("conv", seed=3), networks.SHAPE).to(torch.float64)
    images = networks.images(3, seed=5).double()
    radii = torch.full((3,), 0.3, dtype=torch.float64)
    relaxation = relax_network(network, Region(images, radii, Ball(2.0, None)))
    slopes = one_step_better(relaxation, RIVALS)
    changed = 0
    for index, values in slopes.items():
        node = network.nodes[index]
        assert isinstance(node, Activation)
        values[0] = torch.nan
        usual, other = relaxation.planes[index], with_slopes(relaxation, slopes).planes[index]
        assert torch.equal(usual.lower[0], other.lower[0])
        torch.testing.assert_close(usual.lower + usual.rise, other.lower + other.rise)
        low, high = relaxation.bounds[node.inputs[0]]
        settled = (low >= 0) | (high <= 0)
        assert torch.equal(usual.lower[settled], other.lower[settled])
        changed += int((usual.lower != other.lower).sum())
    assert changed > 0


@pytest.mark.quality
@pytest.mark.parametrize("name", ["dense", "conv"])
@pytest.mark.parametrize("norm", [2.0, math.inf])
def test_a_step_enlarges_radii(name: str, norm: float, monkeypatch: pytest.MonkeyPatch) -> None:
    network = trace(networks.network(name, seed=3), networks.SHAPE).to(torch.float64)
    images = networks.images(8, seed=5).double()
    labels = network.forward(images)[-1].argmax(dim=1)
    problem = Problem(images, Rivals.all(labels, 4), Ball(norm, None))
    better = search_radii(network, problem)
    for reader in (effort, search):
        monkeypatch.setattr(reader, "choose_effort", lambda *a, **k: Effort(False, ()))
    usual = search_radii(network, problem)
    assert float(better.mean()) > float(usual.mean())
    # What is better at one radius can be a little worse at the next.
    assert bool((better > 0.97 * usual).all())


@pytest.mark.parametrize("norm", [2.0, math.inf])
def test_slopes_for_some_images_are_those_found_for_all(norm: float) -> None:
    network = trace(networks.network("conv", seed=3), networks.SHAPE).to(torch.float64)
    images = networks.images(3, seed=5).double()
    radii = torch.full((3,), RADII[norm], dtype=torch.float64)
    stretches = find_stretches(network, norm) if norm < math.inf else None
    region = Region(images, radii, Ball(norm, None))
    relaxation = relax_network(network, region, Bounding(stretches=stretches))
    wanted = torch.tensor([True, False, True])
    every, some = (one_step_better(relaxation, RIVALS, these) for these in (None, wanted))
    for index, values in some.items():
        assert bool(values[1].isnan().all())
        assert bool((values[wanted] == every[index][wanted]).all())
