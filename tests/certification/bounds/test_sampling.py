"""Linear bounds are left out where they would bring little, and the rest stays sound."""

from __future__ import annotations

import math

import networks
import pytest
import torch
from torch import Tensor

from nversion.certification.ball import Ball
from nversion.certification.bounds import sampling
from nversion.certification.bounds.backward import layer_bounds
from nversion.certification.bounds.layer import Layer
from nversion.certification.bounds.relaxation import Bounding, relax_network
from nversion.certification.bounds.sampling import linear_bounds_pay
from nversion.certification.network.graph import Convolution, Dense, Network
from nversion.certification.network.tracing import trace
from nversion.certification.planes.planes import Planes
from nversion.certification.region import Region

RADII = torch.tensor([0.05, 0.5, 2.0], dtype=torch.float64)


def given(name: str) -> tuple[Network, Tensor]:
    network = trace(networks.network(name, seed=3), networks.SHAPE).to(torch.float64)
    return network, networks.images(3, seed=5).double()


@pytest.mark.parametrize("name", ["conv", "strided", "pooled", "residual", "uneven"])
@pytest.mark.parametrize("boxed", [False, True])
def test_bounds_hold_whichever_layers_have_linear_ones(name: str, boxed: bool) -> None:
    network, images = given(name)
    ball = Ball(1.0, (0.0, 1.0) if boxed else None)
    points = networks.points(images, RADII, 1.0, boxed, 200, seed=7)
    values = network.forward(points.flatten(0, 1))
    everywhere = relax_network(
        network, Region(images, RADII, ball), Bounding(jacobian=True, settled=-1.0)
    )
    few: list[int] = []
    for linear in (frozenset(), frozenset([min(everywhere.linear)]), everywhere.linear):
        relaxation = relax_network(
            network, Region(images, RADII, ball), Bounding(jacobian=True, linear=linear)
        )
        few.append(len(relaxation.linear))
        for index, (low, high) in relaxation.bounds.items():
            seen = values[index].reshape(200, 3, *low.shape[1:])
            assert bool((seen >= low).all()), (index, network.nodes[index].name)
            assert bool((seen <= high).all()), (index, network.nodes[index].name)
    assert few[0] < few[-1]


def test_what_was_drawn_is_told_and_drawn_again() -> None:
    network, images = given("conv")
    ball = Ball(1.0, None)
    first = relax_network(network, Region(images, RADII, ball), Bounding(jacobian=True))
    again = relax_network(
        network, Region(images, RADII, ball), Bounding(jacobian=True, linear=first.linear)
    )
    assert again.linear == first.linear
    for index, bounds in first.bounds.items():
        assert torch.equal(torch.stack(bounds), torch.stack(again.bounds[index]))
    # Without ranges of derivatives every layer before a nonlinear one has linear bounds.
    plain = relax_network(network, Region(images, RADII, ball))
    layers = [i for i, node in enumerate(network.nodes) if isinstance(node, Convolution)]
    assert plain.linear == frozenset(layers)


@pytest.mark.parametrize("name", ["conv", "strided", "pooled", "uneven"])
def test_the_neurons_asked_are_some_of_the_layers_own(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "SAMPLE", 2)
    network, images = given(name)
    ball = Ball(2.0, None)
    relaxation = relax_network(network, Region(images, RADII / 4, ball))
    asked = 0
    for index in sorted(relaxation.linear):
        node = network.nodes[index]
        before = {i: planes for i, planes in relaxation.planes.items() if i < index}
        if not before:
            continue
        center = torch.zeros(3, *node.shape).double()
        layer = Layer(network, index, Region(images, RADII / 4, ball), before, center)
        full = layer_bounds(layer)
        sample = sampling._sample(layer, (full[0], full[1]))
        assert sample is not None
        rows, low, high = sample
        values = layer.minimum(node.inputs[0], rows).lower
        half = values.shape[1] // 2
        found = values[:, :half].reshape(low.shape), -values[:, half:].reshape(low.shape)
        known = low.isfinite() & high.isfinite()
        assert bool(known.any())
        torch.testing.assert_close(found[0][known], low[known])
        torch.testing.assert_close(found[1][known], high[known])
        assert isinstance(node, Convolution | Dense)
        asked += low[0].numel() < torch.Size(node.shape).numel()
    assert asked


def test_linear_bounds_pay_where_they_settle_signs() -> None:
    network, images = given("conv")
    ball = Ball(1.0, None)
    relaxation = relax_network(
        network, Region(images, RADII, ball), Bounding(jacobian=True, settled=-1.0)
    )
    index = max(relaxation.linear)
    before = {i: planes for i, planes in relaxation.planes.items() if i < index}
    wide = torch.full((3, *network.nodes[index].shape), 50.0, dtype=torch.float64)
    low, high = relaxation.bounds[index]

    def layer(planes: dict[int, Planes], ball: Ball = ball) -> Layer:
        return Layer(network, index, Region(images, RADII, ball), planes, torch.zeros(0))

    # Ranges so wide that linear bounds settle what can be settled; and ranges that nothing beats.
    assert linear_bounds_pay(layer(before), (-wide, wide), 0.0)
    assert not linear_bounds_pay(layer(before), (low, high), 0.0)
    assert not linear_bounds_pay(layer(before), (-wide, wide), 1.0)
    # An affine map of the image is bounded exactly by either, in the plain ball.
    assert not linear_bounds_pay(layer({}), (-wide, wide), 0.0)
    assert linear_bounds_pay(layer({}, Ball(math.inf)), (-wide, wide), 0.0)


@pytest.mark.parametrize("name", ["curves", "bare pool"])
def test_where_more_than_the_sign_counts_linear_bounds_are_drawn(name: str) -> None:
    network, images = given(name)
    ball = Ball(1.0, None)
    relaxation = relax_network(
        network, Region(images, RADII, ball), Bounding(jacobian=True, settled=1.0)
    )
    first, *others = [i for i, node in enumerate(network.nodes) if isinstance(node, Convolution)]
    assert set(others) <= set(relaxation.linear)
    assert name == "bare pool" or first not in relaxation.linear
