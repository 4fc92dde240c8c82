"""A bracket narrows around each row's root, each row by itself."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from nversion.bracket import Bracket


def searched(targets: Tensor, steps: int) -> Bracket:
    """Look for the x in [0, 2] with x ** 3 = target, each by false positions."""

    def value(x: Tensor) -> Tensor:
        return x**3 - targets

    low, high = torch.zeros_like(targets), torch.full_like(targets, 2.0)
    bracket = Bracket.between(low, high, value(low), value(high))
    rows = torch.arange(len(targets))
    for _ in range(steps):
        share = bracket.low_value / (bracket.low_value - bracket.high_value)
        points = bracket.low + share * (bracket.high - bracket.low)
        found = value(points)
        bracket.move(rows, points, found, found > 0)
    return bracket


@given(st.lists(st.floats(0.01, 7.9), min_size=1, max_size=5))
def test_the_root_stays_between_the_ends_and_is_found(targets: list[float]) -> None:
    wanted = torch.tensor(targets, dtype=torch.float64)
    for steps in (3, 40):
        bracket = searched(wanted, steps)
        assert bool((bracket.low**3 <= wanted + 1e-12).all())
        assert bool((bracket.high**3 >= wanted - 1e-12).all())
    nearest = torch.minimum((bracket.low**3 - wanted).abs(), (bracket.high**3 - wanted).abs())
    assert float(nearest.max()) < 1e-9


def test_an_end_that_stays_twice_counts_half_and_rows_do_not_touch_each_other() -> None:
    ends = torch.zeros(3), torch.ones(3), torch.full((3,), -8.0), torch.full((3,), 4.0)
    bracket = Bracket.between(*ends)
    for high in (0.9, 0.8, 0.7):
        points = torch.tensor([high, 1 - high])
        bracket.move(torch.tensor([0, 2]), points, points - 0.5, torch.tensor([True, False]))
    assert bracket.low_value.tolist()[0] == -2.0
    assert bracket.high_value.tolist()[2] == 1.0
    assert [float(one[1]) for one in (bracket.low, bracket.high)] == [0.0, 1.0]
    assert bracket.low_value.tolist()[1] == -8.0
    assert ends[2].tolist() == [-8.0, -8.0, -8.0]
