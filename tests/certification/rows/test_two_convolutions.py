"""The fast ways through layers give what the general ones give."""

from __future__ import annotations

import networks
import pytest
import torch

from nversion.certification.ball import Ball
from nversion.certification.bounds import backward, jacobian
from nversion.certification.bounds.relaxation import Bounding, Relaxation, relax_network
from nversion.certification.network.tracing import trace
from nversion.certification.region import Region
from nversion.certification.rows import two_convolutions

RADII = torch.tensor([0.05, 0.3, 1.0], dtype=torch.float64)


def relaxed(name: str, norm: float, linear: frozenset[int] | None) -> Relaxation:
    network = trace(networks.network(name, seed=3), networks.SHAPE).to(torch.float64)
    images = networks.images(3, seed=5).double()
    region = Region(images, RADII / (1.0 if norm == 1.0 else 3.0), Ball(norm, None))
    return relax_network(network, region, Bounding(norm == 1.0, linear))


@pytest.mark.parametrize("name", ["conv", "strided", "pooled", "deep pools", "residual"])
@pytest.mark.parametrize("norm", [1.0, 2.0])
def test_filters_give_what_steps_give(
    name: str, norm: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Through two layers at once wherever that can be, for the test.
    monkeypatch.setattr(backward, "WIDE", 10_000)
    linear: frozenset[int] | None = frozenset() if norm == 1.0 else None
    fast = relaxed(name, norm, linear)
    monkeypatch.setattr(two_convolutions, "FILTERS", 0)
    monkeypatch.setattr(jacobian, "FILTERS", 0)
    general = relaxed(name, norm, linear)
    assert fast.linear == general.linear
    for index, (low, high) in general.bounds.items():
        torch.testing.assert_close(fast.bounds[index][0], low, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(fast.bounds[index][1], high, rtol=1e-9, atol=1e-9)
    if general.derivatives is not None:
        assert fast.derivatives is not None
        torch.testing.assert_close(fast.derivatives.low, general.derivatives.low)
        torch.testing.assert_close(fast.derivatives.high, general.derivatives.high)
