"""Bounds that lean on smaller balls hold on every point, and bring larger radii."""

from __future__ import annotations

import math

import networks
import pytest
import torch
from torch import nn

from nversion.certification.ball import Ball
from nversion.certification.bounds.relaxation import Bounding, relax_network
from nversion.certification.bounds.smaller_ball import SmallerBall, joined
from nversion.certification.network.tracing import trace
from nversion.certification.problem import Problem, Rivals
from nversion.certification.radius import effort, search
from nversion.certification.radius.effort import Effort
from nversion.certification.radius.proof import linear_margins
from nversion.certification.radius.search import search_radii, smaller_balls
from nversion.certification.region import Region

RADII = {1.0: (0.05, 0.7, 4.0), 2.0: (0.03, 0.3, 1.0), math.inf: (0.005, 0.05, 0.3)}
LABELS = torch.tensor([0, 1, 2])
OTHERS = torch.tensor([[1, 2, 3], [0, 2, 3], [0, 1, 3]])
RIVALS = Rivals(LABELS, OTHERS)
NESTED = Effort(True, (0.4, 0.75))
WITH_RANGES = ("conv", "strided", "pooled", "deep pools", "average", "residual", "uneven")


@pytest.mark.parametrize("name", WITH_RANGES)
@pytest.mark.parametrize("norm", [1.0, 2.0, math.inf])
@pytest.mark.parametrize("boxed", [False, True])
def test_neurons_and_margins_stay_within_their_bounds(name: str, norm: float, boxed: bool) -> None:
    network = trace(networks.network(name, seed=3), networks.SHAPE).to(torch.float64)
    images = networks.images(3, seed=5).double()
    radii = torch.tensor(RADII[norm], dtype=torch.float64)
    ball = Ball(norm, (0.0, 1.0) if boxed else None)
    inner = smaller_balls(network, Problem(images, RIVALS, ball), radii, NESTED)
    relaxation = relax_network(
        network, Region(images, radii, ball), Bounding(jacobian=True, inner=inner)
    )
    points = networks.points(images, radii, norm, boxed, 200, seed=7)
    values = network.forward(points.flatten(0, 1))
    for index, (low, high) in relaxation.bounds.items():
        seen = values[index].reshape(200, 3, *low.shape[1:])
        assert bool((seen >= low).all()), (index, network.nodes[index].name)
        assert bool((seen <= high).all()), (index, network.nodes[index].name)
    lower = linear_margins(relaxation, RIVALS, inner)
    logits = values[-1].reshape(200, 3, -1)
    own = logits.gather(2, LABELS[None, :, None].expand(200, -1, 1))
    margins = own - logits.gather(2, OTHERS[None].expand(200, -1, -1))
    assert bool((margins >= lower).all())
    if norm == 1.0:
        linear = relaxation.linear
        alone = relax_network(
            network, Region(images, radii, ball), Bounding(jacobian=True, linear=linear)
        )
        assert bool((lower > linear_margins(alone, RIVALS) + 1e-4).any())


@pytest.mark.quality
@pytest.mark.parametrize("boxed", [False, True])
def test_a_smaller_ball_enlarges_the_radius_in_l1(
    boxed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 16, 3), nn.ReLU(), nn.MaxPool2d(2)]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(256, 12), nn.ReLU(), nn.Linear(12, 4))
    for parameter in model.parameters():
        parameter.data.mul_(2.0 if parameter.ndim > 1 else 1.0)
    network = trace(model.eval(), (1, 12, 12)).to(torch.float64)
    images = (torch.rand(6, 1, 12, 12, dtype=torch.float64) * 1.6 - 0.3).clamp(0.0, 1.0)
    labels = network.forward(images)[-1].argmax(dim=1)
    ball = Ball(1.0, (0.0, 1.0) if boxed else None)
    problem = Problem(images, Rivals.all(labels, 4), ball)
    nested = search_radii(network, problem)
    for reader in (effort, search):
        monkeypatch.setattr(reader, "choose_effort", lambda *_, **__: Effort(True, ()))
    single = search_radii(network, problem)
    assert bool((nested >= 0.97 * single).all())
    assert float(nested.mean()) > 1.02 * float(single.mean())


def test_groups_of_images_are_put_together_and_chosen_from() -> None:
    radii = torch.arange(5.0)
    whole = SmallerBall(radii, {0: (radii - 1, radii + 1)}, radii[:, None] * 2)
    order = torch.tensor([3, 1, 0, 4, 2])
    parts = joined([whole.rows(order[:2]), whole.rows(order[2:])]).rows(order.argsort())
    torch.testing.assert_close(parts.radii, whole.radii)
    torch.testing.assert_close(parts.margins, whole.margins)
    torch.testing.assert_close(parts.bounds[0], whole.bounds[0])
