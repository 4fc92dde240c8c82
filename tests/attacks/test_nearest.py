from __future__ import annotations

import torch
from torch import nn

from nversion.attacks.nearest import Nearest, nearest_classes
from nversion.attacks.oracle import Oracle


def test_keeps_the_nearest_adversarial_point() -> None:
    nearest = Nearest(torch.zeros(3, 1, 1, 2))
    rows = torch.tensor([0, 2])
    assert len(nearest.found()) == 0
    for points, held in (([0.5, 0.5], [True, True]), ([0.2, 0.9], [True, True]), ([0.1], [False])):
        images = torch.zeros(len(points), 1, 1, 2)
        images[..., 0] = torch.tensor(points)[:, None, None]
        squares = torch.tensor(points) ** 2
        nearest.keep(rows[: len(points)], images, torch.tensor(held), squares)
    assert nearest.found().tolist() == [0, 2]
    assert torch.allclose(nearest.points[:, 0, 0, 0], torch.tensor([0.2, 0.0, 0.5]))
    part = nearest.select(torch.tensor([2, 1]))
    assert part.squares.tolist() == [0.25, float("inf")]
    assert torch.equal(part.points, nearest.points[[2, 1]])


def test_nearest_classes_of_a_linear_model() -> None:
    layer = nn.Linear(4, 4)
    with torch.no_grad():
        layer.weight.copy_(torch.diag(torch.tensor([1.0, 10.0, 1.0, 0.0])))
        layer.bias.copy_(torch.tensor([3.0, 0.0, 0.0, 2.9]))
    model = nn.Sequential(nn.Flatten(), layer).eval()
    images, labels = torch.zeros(1, 1, 2, 2), torch.tensor([0])
    leads, gradients = nearest_classes(Oracle(model), images, labels, 9)
    # Distances: 3 / sqrt(101) to class 1, 3 / sqrt(2) to 2, 0.1 / 1 to 3; never the label.
    assert torch.allclose(leads, torch.tensor([[-0.1, -3.0, -3.0]]))
    expected = torch.tensor([[-1.0, 0, 0, 0], [-1.0, 10, 0, 0], [-1.0, 0, 1, 0]])
    assert torch.equal(gradients.view(3, 4), expected)
    leads, gradients = nearest_classes(Oracle(model), images, labels, 2)
    assert gradients.shape == (1, 2, 1, 2, 2)
