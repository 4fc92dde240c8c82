"""What is to be certified: the classes that count, some of the images, and balls around them."""

from __future__ import annotations

import math

import torch

from nversion.certification.ball import Ball
from nversion.certification.problem import Problem, Rivals

LABELS = torch.tensor([0, 2, 1])
VALUES = torch.tensor([[3.0, 1.0, 2.0], [0.0, 5.0, 4.0], [1.0, 1.0, 7.0]])


def _problem() -> Problem:
    images = torch.arange(12.0).reshape(3, 1, 2, 2) / 12
    return Problem(images, Rivals.all(LABELS, 3), Ball(math.inf))


def test_all_other_classes_are_rivals_in_their_order() -> None:
    assert Rivals.all(LABELS, 3).others.tolist() == [[1, 2], [0, 1], [0, 2]]
    assert Rivals.every(LABELS, 3).others.tolist() == [[0, 1, 2]] * 3


def test_leads_and_sums_are_of_the_label_and_each_rival() -> None:
    rivals = Rivals.all(LABELS, 3)
    assert rivals.leads(VALUES).tolist() == [[2.0, 1.0], [4.0, -1.0], [0.0, -6.0]]
    assert rivals.both(VALUES).tolist() == [[4.0, 5.0], [4.0, 9.0], [2.0, 8.0]]


def test_the_least_margin_leaves_out_the_label() -> None:
    margins = VALUES.scatter(1, LABELS[:, None], -math.inf)
    assert _problem().least(margins).tolist() == [1.0, 0.0, 1.0]
    lonely = Problem(torch.zeros(2, 1, 1, 1), Rivals.all(torch.zeros(2).long(), 1), Ball(2.0))
    assert lonely.least(torch.zeros(2, 1)).tolist() == [math.inf, math.inf]


def test_some_of_the_images_are_a_problem_too() -> None:
    whole = _problem()
    part = whole.rows(torch.tensor([2, 0]))
    assert len(part) == 2
    assert torch.equal(part.images, whole.images[[2, 0]])
    assert part.labels.tolist() == [1, 0]
    assert part.rivals.others.tolist() == [[0, 2], [1, 2]]
    assert whole.numbers.tolist() == [0, 1, 2]


def test_the_balls_around_the_images_are_in_their_precision() -> None:
    radii = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
    single, double = _problem().region(radii), _problem().to(torch.float64).region(radii)
    assert single.radii.dtype == torch.float32
    assert not single.exact
    assert double.exact
    low, high = double.sides()
    assert bool((low >= 0.0).all())
    assert bool((high <= 1.0).all())
    assert torch.equal(high[0], double.images[0] + 0.1)
    some = double.rows(torch.tensor([2]))
    assert len(some) == 1
    assert torch.equal(some.sides()[0][0], low[2])
