"""The search along a ray returns what the exhaustive scan returns."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nversion.attacks.criteria import excess_margins, towards_errors
from nversion.attacks.oracle import Oracle
from nversion.attacks.ray import first_adversarial
from nversion.models import frozen

STEPS = 400


def scan(oracle: Oracle, images: Tensor, directions: Tensor, labels: Tensor) -> Any:
    """Look at every magnitude."""
    first = torch.zeros(len(images), dtype=torch.int64)
    for k in range(STEPS, 0, -1):
        candidates = (images + k * (directions / STEPS)).clamp(0.0, 1.0)
        first[excess_margins(oracle.logits(candidates), labels) > 0] = k
    return first


def bent(seed: int) -> Any:
    """An untrained network with large weights: rays leave and enter its classes many times."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nn.Sequential(
            nn.Flatten(), nn.Linear(64, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU(),
            nn.Linear(40, 10),
        )  # fmt: skip
        images = torch.rand(60, 1, 8, 8)
    for parameter in model.parameters():
        parameter.data *= 4.0
    return model, images


def test_same_as_scan_where_adversarial_is_not_monotone() -> None:
    evaluations, found_at, returns = 0, [], 0
    for seed in range(3):
        model, images = bent(seed)
        with frozen(model):
            oracle = Oracle(model)
            labels = oracle.logits(images).argmax(dim=1)
            _, gradients = oracle.gradient(images, towards_errors(labels))
            noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(seed))
            for directions in (gradients.sign(), gradients / gradients.std(), noise):
                before = oracle.forwards
                largest = torch.ones(len(images))
                found = first_adversarial(oracle, images, directions, labels, largest, STEPS)
                evaluations += oracle.forwards - before
                expected = scan(oracle, images, directions, labels)
                assert torch.equal(found, expected)
                found_at += found[found > 0].tolist()
                ends = (images + directions).clamp(0.0, 1.0)
                back = excess_margins(oracle.logits(ends), labels) < 0
                returns += int((back & (found > 0)).sum())
    assert len(set(found_at)) > 50
    assert returns > 5, "the case is too easy: bisection would do"
    assert evaluations < 540 * 25


def test_nothing_along_a_zero_direction() -> None:
    model, images = bent(0)
    with frozen(model):
        oracle = Oracle(model)
        labels = oracle.logits(images).argmax(dim=1)
        zeros = torch.zeros_like(images)
        found = first_adversarial(oracle, images, zeros, labels, torch.ones(60), STEPS)
    assert not found.any()
