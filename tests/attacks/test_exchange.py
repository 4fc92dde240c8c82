"""Exchanging pixels: never more of them, only successes, exact where one exchange is enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from nversion.attacks.exchange import Exchange, exchange
from nversion.attacks.goal import Goal
from nversion.attacks.oracle import Oracle
from nversion.attacks.record import Record
from nversion.models import frozen

if TYPE_CHECKING:
    from tests.attacks.conftest import Victim

COUNT = 8


def start(victim: Victim, count: int = COUNT) -> tuple[Goal, Record]:
    """Return a record of errors that change all pixels: images of other classes."""
    images, labels = victim.images[:count], victim.labels[:count]
    goal, record = Goal(Oracle(victim.model), images, labels), Record(images, "l0")
    rows = torch.arange(count)
    for shift in range(1, count):
        others = victim.images[:count].roll(shift, dims=0)
        record.keep(rows, others, goal.look(others, rows) < 0)
    return goal, record


def test_errors_of_fewer_pixels_are_found_within_the_passes(convolutional: Victim) -> None:
    how = Exchange(rounds=12)
    with frozen(convolutional.model):
        goal, record = start(convolutional)
        before, asked = record.sizes.clone(), goal.oracle.forwards + goal.oracle.backwards
        exchange(goal, record, how)
        spent = goal.oracle.forwards + goal.oracle.backwards - asked
        assert spent <= how.most * COUNT
        assert (record.sizes <= before).all()
        assert (record.sizes < before).any()
        rows = record.found()
        assert (goal.look(record.points[rows], rows) < 0).all()
    assert record.points.min() >= 0.0
    assert record.points.max() <= 1.0


def test_an_image_is_treated_alike_in_any_batch(convolutional: Victim) -> None:
    with frozen(convolutional.model):
        goal, record = start(convolutional)
        alone = Record(record.originals[2:3], "l0")
        alone.keep(torch.tensor([0]), record.points[2:3], torch.tensor([True]))
        exchange(goal, record, Exchange(rounds=5))
        own = Goal(goal.oracle, record.originals[2:3], goal.labels[2:3])
        exchange(own, alone, Exchange(rounds=5))
    assert torch.equal(alone.points[0], record.points[2])


def test_the_pixel_that_is_enough_alone_is_found() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(8, 2))
    weights = torch.tensor([1.0, 1.1, 0.9, 3.0, 0.1, 0.2, 0.3, 0.4])
    with torch.no_grad():
        model[1].weight.copy_(torch.stack([-weights, weights]))
        model[1].bias.copy_(torch.tensor([4.0, 0.0]))
    images = torch.zeros(1, 2, 2, 2)
    point = images.clone()
    point[0, 0] = 1.0
    with frozen(model.eval()):
        goal = Goal(Oracle(model), images, torch.tensor([0]))
        record = Record(images, "l0")
        record.keep(torch.tensor([0]), point, goal.look(point, torch.tensor([0])) < 0)
        assert record.sizes.tolist() == [4.0]
        exchange(goal, record, Exchange())
    assert record.sizes.tolist() == [1.0]
    assert record.points[0, :, 1, 1].tolist() == [1.0, 0.0]


def test_images_without_an_error_are_left_alone(dense: Victim) -> None:
    with frozen(dense.model):
        goal = Goal(Oracle(dense.model), dense.images[:2], dense.labels[:2])
        record = Record(dense.images[:2], "l0")
        exchange(goal, record, Exchange())
    assert record.sizes.isinf().all()
    assert torch.equal(record.points, dense.images[:2])
