"""Rounding margins: what they promise, and that they cost nothing."""

from __future__ import annotations

import math

import networks
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nversion.certification.ball import Ball
from nversion.certification.bounds.relaxation import Bounding, relax_network
from nversion.certification.network.tracing import trace
from nversion.certification.region import Region
from nversion.certification.rounding import magnitudes, margin, path_terms, rounded_down


@given(st.floats(0.0, 1e6))
@settings(max_examples=100, deadline=None)
def test_radii_are_rounded_down(radius: float) -> None:
    rounded = rounded_down(torch.tensor([radius], dtype=torch.float64))
    assert rounded.dtype == torch.float32
    assert 0.0 <= float(rounded) <= radius
    assert float(rounded) >= radius * (1 - 1e-6) - 1e-40


@pytest.mark.parametrize("name", networks.NAMES)
def test_margins_exceed_the_rounding_of_float64_and_stay_tiny(name: str) -> None:
    network = networks.exact(trace(networks.network(name, seed=8), networks.SHAPE))
    images = networks.images(3, seed=9).double()
    radii = torch.full((3,), 0.05, dtype=torch.float64)
    sizes, terms = magnitudes(network, images, radii), path_terms(network)
    values = network.forward(images)
    # The same sums in another order: channels and pixels of the image reversed and put back.
    again = [x.clone() for x in network.forward(images.flip(0))]
    for index in range(1, len(network.nodes)):
        assert bool((values[index].abs() <= sizes[index] * (1 + 1e-9)).all())
        spare = margin(terms[index], sizes[index])
        assert bool(((again[index].flip(0) - values[index]).abs() <= spare).all())
        assert float(spare.max()) < 1e-6 * max(1.0, float(sizes[index].max()))
    relaxation = relax_network(
        network, Region(images, radii, Ball(math.inf)), Bounding(jacobian=True)
    )
    for index, (low, high) in relaxation.bounds.items():
        limit = sizes[index] * (1 + 1e-6) + 1e-12
        assert bool((low.abs() <= limit).all())
        assert bool((high.abs() <= limit).all())
    # Logits are compared in float32, whatever they were computed in.
    compared = 4.0 * 2.0**-24 * float(sizes[-1].max())
    assert float(relaxation.spare.errors.max()) < 1e-6 + compared
    assert float(relaxation.spare.ranges.max()) < 1e-6
