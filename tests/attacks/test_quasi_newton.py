from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nversion.attacks.quasi_newton import Memory


def filled(weight: Tensor, curvature: Any, count: int = 4, variables: int = 6) -> Any:
    """Return a memory of two rows' random steps on |x|^2 + weight / 2 * <x, curvature x>."""
    draws = torch.Generator().manual_seed(1)
    memory = Memory(2, 5, variables, torch.device("cpu"))
    for _ in range(count):
        steps = torch.randn(2, variables, generator=draws)
        changes = 2.0 * steps + weight * steps @ curvature
        memory.push(torch.tensor([True, True]), steps, changes)
    return memory


def positive(variables: int = 6) -> Any:
    root = torch.randn(variables, variables, generator=torch.Generator().manual_seed(2))
    return root @ root.T / variables


def test_secant_equation() -> None:
    memory = filled(0.7, positive())
    inside = torch.full((2, 6), 0.5)
    directions = memory.direction(inside, memory.changes[:, -1])
    assert torch.allclose(directions, -memory.steps[:, -1], atol=1e-5)


def test_direction_descends_and_stays_in_the_box() -> None:
    memory = filled(0.7, positive())
    draws = torch.Generator().manual_seed(3)
    points = torch.tensor([0.0, 0.5, 1.0, 0.0, 0.5, 1.0]).expand(2, -1)
    for _ in range(20):
        gradients = torch.randn(2, 6, generator=draws)
        directions = memory.direction(points, gradients)
        assert ((directions * gradients).sum(dim=1) < 0).all()
        stuck = ((points == 0) & (gradients > 0)) | ((points == 1) & (gradients < 0))
        assert (directions[stuck] == 0).all()


def test_nothing_remembered_means_the_distance_alone() -> None:
    memory = Memory(2, 5, 3, torch.device("cpu"))
    gradients = torch.tensor([[2.0, -4.0, 1.0], [0.0, 0.0, 6.0]])
    assert torch.equal(memory.direction(torch.full((2, 3), 0.5), gradients), -gradients / 2)


def test_negative_curvature_is_not_remembered() -> None:
    memory = Memory(2, 5, 3, torch.device("cpu"))
    steps = torch.ones(2, 3)
    memory.push(torch.tensor([True, True]), steps, torch.stack([-steps[0], steps[1]]))
    expected = torch.tensor([[0.0] * 5, [0.0] * 4 + [1.0 / 3.0]])
    assert torch.equal(memory.weights, expected)
    memory.push(torch.tensor([False, False]), steps, steps)
    assert torch.equal(memory.weights, expected)


def test_rescale_is_as_if_seen_under_the_new_weight() -> None:
    old, new = filled(0.7, positive()), filled(2.1, positive())
    old.rescale(torch.tensor([1]), torch.tensor([3.0]))
    assert torch.allclose(old.changes[1], new.changes[1], atol=1e-5)
    assert torch.allclose(old.weights[1], new.weights[1], rtol=1e-4)
    assert torch.equal(old.changes[0], filled(0.7, positive()).changes[0])
