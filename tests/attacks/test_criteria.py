from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nversion.attacks.criteria import (
    excess_margins,
    is_adversarial,
    log_odds,
    margins,
    pair_margin,
    relative_margin,
    success_margin,
)

LABELS = torch.tensor([1])


def test_margins() -> None:
    logits = torch.tensor([[1.0, 3.0, 2.5], [4.0, 0.0, 5.0]])
    assert margins(logits, torch.tensor([1, 1])).tolist() == [-0.5, 5.0]


def test_a_tie_is_no_success() -> None:
    for other in (3.0, math.nextafter(3.0, 4.0), 3.00002):
        assert not is_adversarial(torch.tensor([[other, 3.0]]), LABELS)
    assert is_adversarial(torch.tensor([[3.0001, 3.0]]), LABELS)


def test_margin_grows_with_the_logits_and_the_coarseness_of_the_dtype() -> None:
    logits = torch.tensor([[-200.0, 3.0], [0.1, 0.2]])
    assert success_margin(logits, LABELS.expand(2)).tolist() == pytest.approx([2e-3, 2e-6])
    assert relative_margin(torch.float64) == relative_margin(torch.float32)
    assert relative_margin(torch.bfloat16) > relative_margin(torch.float16) > 1e-4
    assert is_adversarial(torch.tensor([[3.01, 3.0]]), LABELS)
    assert not is_adversarial(torch.tensor([[3.01, 3.0]]), LABELS, torch.bfloat16)


@settings(deadline=None, max_examples=50)
@given(
    values=st.lists(st.floats(-8, 8, width=16), min_size=3, max_size=3),
    power=st.integers(-20, 20),
    fill=st.sampled_from([-1e4, -1e9, -math.inf]),
)
def test_the_verdict_depends_on_the_logits_compared_alone(
    values: list[float], power: int, fill: float
) -> None:
    logits = torch.tensor([values])
    verdict = is_adversarial(logits, LABELS)
    assert torch.equal(is_adversarial(logits * 2.0**power, LABELS), verdict)
    masked = torch.cat([logits, torch.tensor([[fill]])], dim=1)
    assert torch.equal(is_adversarial(masked, LABELS), verdict)
    assert torch.equal(success_margin(masked, LABELS), success_margin(logits, LABELS))


def test_an_excluded_class_has_no_size() -> None:
    infinite = torch.tensor([-math.inf])
    assert float(pair_margin(infinite, torch.tensor([3.0]))) == pytest.approx(3e-5)
    assert float(pair_margin(infinite, infinite)) == 0.0


def test_nan_and_plus_infinity_are_no_success() -> None:
    for bad in (math.nan, math.inf):
        assert not is_adversarial(torch.tensor([[bad, 3.0, 1.0]]), LABELS)
        assert not is_adversarial(torch.tensor([[5.0, 3.0, bad]]), LABELS)


def test_a_class_that_the_model_excludes() -> None:
    # A program gives log-probabilities, which are minus infinity for a class that no version holds.
    assert is_adversarial(torch.tensor([[-0.1, -math.inf, -2.0]]), LABELS)
    assert is_adversarial(torch.tensor([[-0.1, -3.0, -math.inf]]), LABELS)
    assert not is_adversarial(torch.tensor([[-math.inf, -0.1, -2.0]]), LABELS)
    assert excess_margins(torch.tensor([[-0.1, -math.inf]]), LABELS).isposinf()


@settings(deadline=None, max_examples=50)
@given(values=st.lists(st.floats(-8, 8, width=32), min_size=3, max_size=3))
def test_log_odds(values: list[float]) -> None:
    logits = torch.tensor([values])
    p = logits.double().softmax(dim=1)[0, 1]
    assert float(log_odds(logits, LABELS)) == pytest.approx(float(((1 - p) / p).log()), abs=1e-4)


def test_log_odds_do_not_vanish_where_the_model_is_sure() -> None:
    logits = torch.tensor([[0.0, 60.0, -5.0]], requires_grad=True)
    log_odds(logits, LABELS).sum().backward()
    assert logits.grad[0, 1] == -1.0
    assert logits.grad[0, 0] > 0.9
