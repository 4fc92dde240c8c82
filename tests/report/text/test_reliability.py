"""What the report says of failures: only what the tests bear."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nversion.report.text import reliability
from nversion.study.sections import Results


@pytest.fixture
def values(example: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    return example(10)


def told(values: dict[str, Any], what: Callable[[Results], str | None]) -> str:
    said = what(Results.of(values))
    assert said is not None
    return said


def test_independence_is_rejected_only_where_the_test_rejects_it(values: dict[str, Any]) -> None:
    values["reliability"]["test"]["failures"] |= {"p_value": 1e-9, "z": 12.34}
    said = told(values, reliability.coincident)
    assert "That they fail independently is rejected (z 12.3, p\u00a0<\u00a00.001" in said
    values["reliability"]["test"]["failures"] |= {"p_value": 0.2, "z": 0.8}
    said = told(values, reliability.coincident)
    assert "no more than chance allows (p\u00a0=\u00a00.200)" in said
    assert "rejected" not in said


def test_a_model_that_does_not_fit_is_not_used(values: dict[str, Any]) -> None:
    failures = values["reliability"]["test"]["failures"]
    failures |= {"p_value": 1e-9, "z": 12.3, "beta_binomial": None, "beta_binomial_p": 0.001}
    assert "is rejected, and not used" in told(values, reliability.coincident)
    failures["beta_binomial_p"] = None
    assert "beta-binomial" not in told(values, reliability.coincident)


def test_correlation_is_more_than_chance_by_its_interval(values: dict[str, Any]) -> None:
    measure = values["reliability"]["test"]["measures"]["correlation"]
    measure |= {"value": 0.1, "low": 0.02, "high": 0.2}
    assert "0.10 on average (0.02 to 0.20), more than chance" in told(values, reliability.measured)
    measure["low"] = -0.02
    said = told(values, reliability.measured)
    assert "not distinguishable from chance" in said
    assert "worth" not in said


def test_an_order_outside_the_band_is_called_an_accident(values: dict[str, Any]) -> None:
    votes = values["reliability"]["adversarial"]["plurality"]
    votes["measured"] = votes["orders_low"]
    assert "lies within" in told(values, reliability.predicted)
    votes["measured"] = [value - 0.1 for value in votes["orders_low"]]
    assert "for 10 of 10 n: an accident of the order" in told(values, reliability.predicted)


def test_the_tables_have_a_row_for_each_measure_voter_and_choice(values: dict[str, Any]) -> None:
    results = Results.of(values)
    measures = reliability.measure_table(results)
    voters = reliability.voter_table(results)
    choices = reliability.choice_table(results)
    assert measures is not None
    assert voters is not None
    assert choices is not None
    assert len(measures.rows) == len(reliability.MEASURES) + 2
    assert set(reliability.MEASURES) == set(values["reliability"]["test"]["measures"])
    assert [row[0].text for row in voters.rows] == ["mean-logits", "mean-softmax", "plurality"]
    assert len(choices.rows) == 7
    said = told(values, reliability.chosen)
    assert "1 version of 10, chosen greedily, is as accurate as all" in said


def test_results_of_one_version_or_of_older_studies_say_nothing(
    example: Callable[..., dict[str, Any]],
) -> None:
    for results in (Results.of(example(1)), Results()):
        for what in (reliability.coincident, reliability.measured, reliability.chosen):
            assert what(results) is None
        assert reliability.measure_table(results) is None
