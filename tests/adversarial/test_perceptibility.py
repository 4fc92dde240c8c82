from __future__ import annotations

from typing import Any

import pytest

from nversion.adversarial import Medians, PerceptibilityRule
from nversion.errors import ConfigError


def medians(**changes: Any) -> Medians:
    fields = {"l0": 300.0, "l1": 9.0, "l2": 1.4, "linf": 0.3, "rms": 0.05, "ssim": 0.8}
    return Medians(**(fields | changes))


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({}, True),
        ({"rms": 0.15, "ssim": 0.4}, True),
        ({"rms": 0.151}, False),
        ({"ssim": 0.399}, False),
        ({"linf": 1.0, "l0": 12.0}, True),
        ({"rms": 0.57, "ssim": 0.05}, False),
    ],
)
def test_the_default_rule(changes: dict[str, Any], kept: bool) -> None:
    assert PerceptibilityRule().decide(medians(**changes))[0] is kept


def test_the_reason_names_every_limit_that_was_passed() -> None:
    rule = PerceptibilityRule(largest_linf=0.5)
    kept, reason = rule.decide(medians(rms=0.57, ssim=0.05, linf=0.9))
    assert not kept
    assert reason == (
        "visible: median RMS change 0.570 is above 0.15, median largest change 0.900 is above 0.5 "
        "and median SSIM 0.050 is below 0.4"
    )


def test_an_attack_without_success_is_left_out() -> None:
    assert PerceptibilityRule().decide(None) == (False, "no image was made adversarial")
    assert PerceptibilityRule(None, None, None).decide(None)[0] is False


def test_thresholds_can_be_set_and_switched_off() -> None:
    assert PerceptibilityRule(largest_rms=0.6, smallest_ssim=None).decide(medians(rms=0.57))[0]
    assert not PerceptibilityRule(largest_rms=None, smallest_ssim=0.9).decide(medians())[0]


def test_the_sentence_states_the_thresholds_that_hold() -> None:
    text = PerceptibilityRule(largest_rms=0.2, smallest_ssim=None, largest_linf=0.25).explain()
    assert "at most 0.2 of" in text
    assert "more than 0.25" in text
    assert "SSIM" not in text
    assert "Every attack" in PerceptibilityRule(None, None, None).explain()


@pytest.mark.parametrize(
    "thresholds",
    [{"largest_rms": -0.1}, {"smallest_ssim": 1.5}, {"largest_linf": float("nan")}],
)
def test_impossible_thresholds_are_refused(thresholds: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(thresholds))):
        PerceptibilityRule(**thresholds)
