"""What pairs of networks say of two arms: intervals, tests and an effect's size.

Networks of one pair start from the same weights and see the images in the same order, so that
differences within pairs are what is looked at:

- the mean difference with its BCa interval (Efron, "Better bootstrap confidence intervals", 1987),
- the probability that a network of the first arm is above its twin, ties counting half, with its
  Wilson interval,
- the difference over its standard deviation (Cohen's d of paired values),
- the sign-flip permutation test (Fisher 1935), corrected over the rows by Holm (1979).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import stats

from nversion.adversarial import wilson_of_share
from nversion.errors import InputError
from nversion.evaluation.clustered import RESAMPLES, holm

__all__ = [
    "LARGER_IS_BETTER",
    "ROWS",
    "SHARES",
    "Contrast",
    "Mean",
    "contrast",
    "fewest_pairs",
    "mean_of",
]

Floats: TypeAlias = npt.NDArray[np.float64]

LEVEL = 0.05

ROWS: Mapping[str, str] = {
    "test_accuracy": "test accuracy",
    "certified_l1": "certified L1 radius",
    "certified_l2": "certified L2 radius",
    "certified_l1_box": "certified L1 radius for valid images",
    "certified_l2_box": "certified L2 radius for valid images",
    "adversarial_accuracy": "accuracy on the adversarial set",
    "adversarial_frequency": "adversarial frequency",
}
"""The rows that are measured, with their names."""

SHARES = ("test_accuracy", "adversarial_accuracy", "adversarial_frequency")
"""Rows that are shares of images; the others are radii."""

LARGER_IS_BETTER: Mapping[str, bool] = {row: row != "adversarial_frequency" for row in ROWS}


@dataclasses.dataclass(frozen=True)
class Mean:
    """An arm's mean in one row.

    Attributes:
        mean: over the networks.
        low: lower end of its 95 % BCa interval.
        high: upper end.
        deviation: standard deviation between networks; None of a single one.
        networks: how many there are.
    """

    mean: float
    low: float
    high: float
    deviation: float | None
    networks: int


@dataclasses.dataclass(frozen=True)
class Contrast:
    """Two arms in one row.

    Attributes:
        row: what is compared.
        first: name of the one arm.
        second: name of the other.
        pairs: how many there are.
        difference: the mean of first minus second.
        low: lower end of its 95 % BCa interval.
        high: upper end.
        above: share of pairs in which the first is above, ties counting half.
        above_low: lower end of that share's 95 % Wilson interval.
        above_high: upper end.
        effect: the difference over its standard deviation; None where that is 0.
        p_value: two-sided, of the sign-flip permutation test; 1 where the two never differ.
        p_holm: corrected over the rows that are compared; None where the pairs are too few.
        verdict: what the test says of the first: "better", "worse", "level" or "too few".
    """

    row: str
    first: str
    second: str
    pairs: int
    difference: float
    low: float
    high: float
    above: float
    above_low: float
    above_high: float
    effect: float | None
    p_value: float
    p_holm: float | None
    verdict: Literal["better", "worse", "level", "too few"]


def mean_of(values: Sequence[float], draws: np.random.Generator) -> Mean:
    """Return an arm's mean with its interval.

    Raises:
        InputError: there are no values.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if len(numbers) == 0:
        raise InputError("there is no network to take the mean of")
    low, high = _bca(numbers, draws)
    spread = float(numbers.std(ddof=1)) if len(numbers) > 1 else None
    return Mean(float(numbers.mean()), low, high, spread, len(numbers))


def fewest_pairs(rows: int) -> int:
    """Return how many pairs it takes that a test of one of `rows` rows may reach 0.05.

    Where all of n pairs differ the same way, two of 2^n ways of flipping signs are as far out; Holm
    multiplies that by the number of rows.
    """
    pairs = 1
    while rows * 2.0 ** (1 - pairs) >= LEVEL:
        pairs += 1
    return pairs


def contrast(
    first: tuple[str, Mapping[int, Mapping[str, float]]],
    second: tuple[str, Mapping[int, Mapping[str, float]]],
    draws: np.random.Generator,
) -> list[Contrast]:
    """Return what tells two arms apart in every row that both have.

    Args:
        first: name of an arm, and its networks' rows by repeat.
        second: the other's; repeats that only one has are left out.
        draws: of the bootstrap and the permutations.
    """
    (one, ours), (other, theirs) = first, second
    repeats = sorted(ours.keys() & theirs.keys())
    found = []
    for row in ROWS:
        pairs = [
            (ours[repeat][row], theirs[repeat][row])
            for repeat in repeats
            if row in ours[repeat] and row in theirs[repeat]
        ]
        if pairs:
            found.append(_compared(row, one, other, np.asarray(pairs, dtype=np.float64), draws))
    least = fewest_pairs(len(found))
    enough = [place for place, item in enumerate(found) if item.pairs >= least]
    corrected = holm([found[place].p_value for place in enough])
    for place, p_value in zip(enough, corrected, strict=True):
        found[place] = _judged(found[place], p_value)
    return found


def _compared(
    row: str, one: str, other: str, pairs: Floats, draws: np.random.Generator
) -> Contrast:
    differences = pairs[:, 0] - pairs[:, 1]
    count = len(differences)
    low, high = _bca(differences, draws)
    above = float(((differences > 0) + (differences == 0) / 2).mean())
    above_low, above_high = wilson_of_share(above, count)
    spread = float(differences.std(ddof=1)) if count > 1 else 0.0
    return Contrast(
        row,
        one,
        other,
        count,
        float(differences.mean()),
        low,
        high,
        above,
        above_low,
        above_high,
        float(differences.mean()) / spread if spread > 0 else None,
        _flipped(differences, draws),
        None,
        "too few",
    )


def _judged(found: Contrast, p_holm: float) -> Contrast:
    verdict: Literal["better", "worse", "level"] = "level"
    if p_holm < LEVEL:
        verdict = "better" if (found.difference > 0) == LARGER_IS_BETTER[found.row] else "worse"
    return dataclasses.replace(found, p_holm=p_holm, verdict=verdict)


def _bca(values: Floats, draws: np.random.Generator) -> tuple[float, float]:
    """Return the BCa interval of the mean; the mean itself where the values do not differ."""
    mean = float(values.mean())
    if len(values) < 2 or np.ptp(values) == 0:
        return mean, mean
    found = stats.bootstrap(
        (values,), np.mean, method="BCa", n_resamples=RESAMPLES, rng=draws, vectorized=True
    ).confidence_interval
    return float(found.low), float(found.high)


def _flipped(differences: Floats, draws: np.random.Generator) -> float:
    """Return the p-value of the sign-flip test."""
    differ = differences[differences != 0]
    if len(differ) < 2:
        return 1.0

    def total(values: Floats, axis: int) -> Floats:
        return np.asarray(values.sum(axis=axis))

    found = stats.permutation_test(
        (differ,),
        total,
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        rng=draws,
    )
    return float(found.pvalue)
