from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from nversion.attacks.linearised import IN_LINF, Linearised, finish
from nversion.attacks.nearest import Nearest


def test_nearest_point_of_the_half_space() -> None:
    # 0.3 + 2 x + y >= 1.5 around (0, 0): along (2, 1), 1.2 / 5 of it; the second has enough.
    model = Linearised(torch.zeros(2, 2), torch.tensor([0.3, 2.0]), torch.tensor([[2.0, 1.0]] * 2))
    nearest = model.nearest(torch.tensor([1.5, 1.5]))
    assert torch.allclose(nearest, torch.tensor([[0.48, 0.24], [0.0, 0.0]]))
    # Out of reach within the box: as far as it allows.
    assert torch.equal(model.nearest(torch.tensor([9.0, 9.0])), torch.ones(2, 2))


def test_means_settle_on_a_kink() -> None:
    # The margin min(x - 0.5, y - 0.2) is a kink at the nearest solution, (0.5, 0.2).
    originals = torch.zeros(1, 2)
    slopes = torch.eye(2)
    model = Linearised(originals, torch.tensor([-0.5]), slopes[:1])
    points = originals
    for step in range(200):
        points = points + (model.nearest(torch.zeros(1)) - points) / (1 + step)
        values = points - torch.tensor([[0.5, 0.2]])
        lower = values.argmin(dim=1)
        model.add(points - originals, values.amin(dim=1), slopes[lower])
    assert torch.allclose(points, torch.tensor([[0.5, 0.2]]), atol=0.05)


def test_finishing_in_linf_comes_to_the_nearest_of_a_linear_model() -> None:
    # |w|_1 = 4, so the nearest point of w x >= 1 is 1/4 away in every coordinate with a weight.
    weights, threshold = torch.tensor([2.0, 1.0, 1.0, 0.0]), 1.0
    originals = torch.zeros(1, 1, 2, 2)
    nearest = Nearest(originals)
    far = torch.tensor([0.0, 0.9, 0.2, 0.3]).view(1, 1, 2, 2)
    rows = torch.tensor([0])
    nearest.keep(rows, far, torch.tensor([True]), torch.tensor([0.81]))

    def slope(points: Tensor, _: Any) -> Any:
        lacks = threshold - points.flatten(1) @ weights
        return lacks, weights.view(1, 1, 2, 2).expand(len(points), -1, -1, -1)

    finish(nearest, slope, IN_LINF)
    reached = nearest.points.flatten()
    assert float(reached @ weights) > threshold
    assert float(reached.amax()) < 1.1 / 4
    assert float(nearest.squares) == pytest.approx(float(reached.amax()) ** 2)
