"""What backward bounds of a layer may leave out."""

from __future__ import annotations

import math

import networks
import pytest
import torch

from nversion.certification.ball import Ball
from nversion.certification.bounds import backward
from nversion.certification.bounds.relaxation import relax_network
from nversion.certification.network.tracing import trace
from nversion.certification.region import Region

RADII = {2.0: (0.03, 0.3, 1.0), math.inf: (0.005, 0.05, 0.3)}


@pytest.mark.parametrize("name", ["pooled", "uneven"])
@pytest.mark.parametrize("norm", [2.0, math.inf])
def test_the_bounds_that_are_left_out_change_no_plane(
    name: str, norm: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = trace(networks.network(name, seed=3), networks.SHAPE).to(torch.float64)
    images = networks.images(3, seed=5).double()
    radii = torch.tensor(RADII[norm], dtype=torch.float64) / 2
    some = relax_network(network, Region(images, radii, Ball(norm)))
    monkeypatch.setattr(backward, "_feeds_relus_only", lambda layer: False)
    everything = relax_network(network, Region(images, radii, Ball(norm)))
    different = [
        index
        for index, bounds in everything.bounds.items()
        if not torch.allclose(torch.stack(bounds), torch.stack(some.bounds[index]))
    ]
    assert different  # something was left out
    for index, planes in some.planes.items():
        for field in ("lower", "rise", "upper_shift"):
            found = getattr(planes, field)
            torch.testing.assert_close(found, getattr(everything.planes[index], field))
