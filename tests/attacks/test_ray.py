"""The search along a ray returns what the exhaustive scan returns."""

import torch
from torch import nn

from nversion.attacks.base import excess_margins, towards_errors
from nversion.attacks.oracle import Oracle
from nversion.attacks.ray import first_adversarial
from nversion.models import frozen


def scan(oracle, images, directions, labels, largest, steps):
    """Look at every magnitude."""
    unit = (largest / steps)[:, None, None, None] * directions
    first = torch.zeros(len(images), dtype=torch.int64)
    for k in range(steps, 0, -1):
        candidates = (images + k * unit).clamp(0.0, 1.0)
        first[excess_margins(oracle.logits(candidates), labels) > 0] = k
    return first


def test_same_as_scan_on_untrained_networks():
    # Untrained networks have many small cells, and rays that leave and enter classes again.
    same, evaluations, total = 0, 0, 0
    for seed in range(6):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = nn.Sequential(
                nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(216, 30), nn.ReLU(),
                nn.Linear(30, 10),
            )  # fmt: skip
            images = torch.rand(60, 1, 8, 8)
        with frozen(model):
            oracle = Oracle(model)
            labels = oracle.logits(images).argmax(dim=1)
            _, gradients = oracle.gradient(images, towards_errors(labels))
            for directions in (gradients.sign(), gradients / gradients.std()):
                largest = torch.ones(len(images))
                before = oracle.forwards
                found = first_adversarial(oracle, images, directions, labels, largest, 1000)
                evaluations += oracle.forwards - before
                expected = scan(oracle, images, directions, labels, largest, 1000)
                same += int((found == expected).sum())
                total += len(images)
    assert same == total
    assert evaluations < 25 * total
