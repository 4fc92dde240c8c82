from __future__ import annotations

import math

import torch

from nversion.program import RadiusComparison


def test_infinite_radii_make_a_version_the_best_and_no_mean_infinite() -> None:
    versions = torch.tensor([[0.9, 0.7], [0.1, math.inf], [0.2, math.inf], [0.3, 0.3]])
    found = RadiusComparison(torch.tensor([math.inf, math.inf]), versions)
    assert found.best_version == 2
    assert found.version_infinite == [0, 1, 1, 0]
    assert found.mean is None
    assert [round(mean, 3) for mean in found.version_means if mean is not None] == [
        0.8, 0.1, 0.2, 0.3,
    ]  # fmt: skip
    # On the second image the version is certified as far as the vote.
    assert found.share_above_best == 0.5


def test_a_version_with_infinite_radii_alone_has_no_mean() -> None:
    versions = torch.tensor([[0.5, 0.25], [math.inf, math.inf]])
    found = RadiusComparison(torch.tensor([0.5, 0.5]), versions)
    assert (found.best_version, found.best_mean, found.median_mean) == (1, None, 0.375)
