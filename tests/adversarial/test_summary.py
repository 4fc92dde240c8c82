from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from nversion.adversarial import AttackRun, AttackSummary, PerceptibilityRule, summarise
from nversion.adversarial.intervals import wilson_interval, wilson_of_share
from nversion.errors import InputError


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
@settings(deadline=None, max_examples=100)
def test_the_interval_is_wilsons(counts: tuple[int, int]) -> None:
    successes, trials = counts
    low, high = wilson_interval(successes, trials)
    expected = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    assert low == pytest.approx(expected.low, abs=1e-12)
    assert high == pytest.approx(expected.high, abs=1e-12)
    assert 0 <= low <= successes / trials <= high <= 1


def test_impossible_counts_are_refused() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)
    with pytest.raises(InputError, match="successes"):
        wilson_interval(3, 2)
    with pytest.raises(InputError, match="confidence"):
        wilson_interval(1, 2, confidence=1.0)


def test_a_row_puts_versions_together(make_run: Callable[..., AttackRun]) -> None:
    runs = [make_run("a", seed=0), make_run("b", seed=1)]
    (row,) = summarise(runs)
    assert (row.name, row.norm, row.tried, row.succeeded) == ("gradient", "l2", 12, 8)
    assert row.effectiveness == pytest.approx(8 / 12)
    assert row.seconds == 0.5
    l2 = np.concatenate([run.l2[run.success].numpy() for run in runs]).astype(np.float64)
    assert row.medians.l2 == np.median(l2)
    assert row.medians.rms == pytest.approx(np.median(l2) / math.sqrt(20))
    assert row.in_adversarial_set


def test_the_interval_counts_a_test_image_once_however_many_versions_it_is_tried_on(
    make_run: Callable[..., AttackRun],
) -> None:
    (one,) = summarise([make_run("a")])
    (four,) = summarise([make_run(name) for name in "abcd"])
    assert (four.tried, four.test_images) == (24, 6)
    assert (one.effectiveness_low, one.effectiveness_high) == wilson_interval(4, 6)
    assert four.effectiveness == one.effectiveness
    assert (four.effectiveness_low, four.effectiveness_high) == wilson_interval(4, 6)


def test_a_share_may_have_been_counted_over_other_tries() -> None:
    assert wilson_of_share(0.75, 4) == wilson_interval(3, 4)
    low, high = wilson_of_share(0.999, 4)
    assert 0.0 < low < 0.999 < high < 1.0
    for share, tries in ((1.1, 4), (-0.1, 4), (0.5, -1), (math.nan, 4)):
        with pytest.raises(InputError, match="a share in"):
            wilson_of_share(share, tries)


def test_images_wrong_before_are_counted_apart(make_run: Callable[..., AttackRun]) -> None:
    run = make_run()
    wrong = torch.tensor([False, False, True, False, False, False])
    (row,) = summarise([dataclasses.replace(run, already_misclassified=wrong)])
    assert (row.tried, row.succeeded, row.already_misclassified) == (5, 4, 1)


def test_an_attack_that_never_succeeds_has_no_medians(make_run: Callable[..., AttackRun]) -> None:
    run = make_run()
    failed = dataclasses.replace(run, success=torch.zeros(6, dtype=torch.bool))
    (row,) = summarise([failed])
    assert row.medians is None
    assert row.effectiveness == 0.0
    assert not row.in_adversarial_set
    line = row.to_json()
    assert line["median_l2"] is None
    assert line["reason"] == "no image was made adversarial"


def test_the_rule_decides(make_run: Callable[..., AttackRun]) -> None:
    runs = [make_run(attack="weak", strength=0.05), make_run(attack="strong", strength=0.9)]
    weak, strong = summarise(runs)
    assert weak.in_adversarial_set
    assert not strong.in_adversarial_set
    assert summarise(runs, PerceptibilityRule(None, None))[1].in_adversarial_set


def test_a_row_for_the_results_file(make_run: Callable[..., AttackRun]) -> None:
    line = json.loads(json.dumps(summarise([make_run()])[0].to_json(), allow_nan=False))
    assert set(line) >= {
        "name",
        "norm",
        "tried",
        "succeeded",
        "already_misclassified",
        "effectiveness",
        "effectiveness_low",
        "effectiveness_high",
        "median_l0",
        "median_l1",
        "median_l2",
        "median_linf",
        "median_ssim",
        "seconds",
        "in_adversarial_set",
        "reason",
    }
    assert line["reason"] is None


def test_runs_that_do_not_go_together_are_refused(make_run: Callable[..., AttackRun]) -> None:
    with pytest.raises(InputError, match="gradient ran twice on a"):
        summarise([make_run(), make_run()])
    with pytest.raises(InputError, match="other options on b than on a"):
        summarise([make_run("a"), make_run("b", options={"steps": 4})])
    with pytest.raises(InputError, match=r"images of x on b are \[1, 5, 5\]"):
        summarise([make_run("a"), make_run("b", attack="x", size=(1, 5, 5))])


def test_no_runs_give_no_rows() -> None:
    assert summarise([]) == []


def test_a_row_is_read_back_from_the_results_file(make_run: Callable[..., AttackRun]) -> None:
    failed = make_run("a", "b", count=2, success=torch.zeros(2, dtype=torch.bool))
    for row in summarise([make_run("a"), failed]):
        read = AttackSummary.from_json(json.loads(json.dumps(row.to_json())))
        assert read == dataclasses.replace(row, reason=read.reason)
        assert read.to_json() == row.to_json()
