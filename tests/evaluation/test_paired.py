from __future__ import annotations

import pytest
import torch

from nversion.errors import InputError
from nversion.evaluation import paired_comparison


def test_only_the_images_that_tell_them_apart_count() -> None:
    first = torch.tensor([True] * 100 + [True] * 8 + [False] * 2)
    second = torch.tensor([True] * 100 + [False] * 8 + [True] * 2)
    compared = paired_comparison(first, second)
    assert (compared["only_first"], compared["only_second"]) == (8, 2)
    # 2 * (C(10,0) + C(10,1) + C(10,2)) / 2^10
    assert compared["p_value"] == pytest.approx(2 * 56 / 1024)
    turned = paired_comparison(second, first)
    assert (turned["only_first"], turned["p_value"]) == (2, compared["p_value"])


def test_equals_are_not_told_apart() -> None:
    right = torch.tensor([True, False])
    assert paired_comparison(right, right)["p_value"] == 1.0


def test_other_lengths_are_refused() -> None:
    with pytest.raises(InputError, match="one length"):
        paired_comparison(torch.tensor([True]), torch.tensor([True, False]))
