"""Measure how versions fail together on one kind of images, from what they answered."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from nversion.files import read_tensor, write_json, write_tensors
from nversion.measures import MATRICES, NUMBERS, Diversity, diversity
from nversion.reliability import (
    CoincidentFailures,
    Growth,
    coincident_failures,
    majority_growth,
    plurality_growth,
)
from nversion.selection import Accuracy, in_order, random_orders
from nversion.study.units.base import MadeFrom, Unit

__all__ = ["MeasureFailures"]

LARGEST_MATRIX = 100
"""Versions whose matrix is among the results; of more it is in the file alone."""

MOST_SAMPLED = 200
"""Versions that intervals are drawn for: for more, all pairs take minutes."""

MOST_VOTES = 1000
"""Versions whose plurality is predicted."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class MeasureFailures(Unit):
    """Write the measures of diversity, the coincident failures and how votes grow.

    Attributes:
        answers: each version's file, in the study's order.
        tensor: what they are called in it: "logits" or "probabilities".
        labels: int64 [count].
        originals: int64 [count], the test image that each image comes from; None where each is one
            itself. Where it is given, images are not independent, and nothing is tested.
        data: digest of the images.
        resamples: of the intervals.
        orders: random orders of the versions.
        seed: of both.
        path: of the numbers.
        matrices: of the measures of all pairs, [versions, versions] each.
    """

    answers: tuple[MadeFrom, ...]
    tensor: str
    labels: npt.NDArray[np.int64]
    originals: npt.NDArray[np.int64] | None
    data: str
    resamples: int
    orders: int
    seed: int
    path: Path
    matrices: Path

    def run(self) -> None:
        """Measure them."""
        if len(self.labels) == 0:
            write_tensors(self.matrices, {})
            write_json(self.path, {})
            return
        predictions = np.stack(
            [read_tensor(one.path, self.tensor).argmax(dim=1).numpy() for one in self.answers]
        )
        resamples = self.resamples if len(predictions) <= MOST_SAMPLED else 0
        found = diversity(
            predictions,
            self.labels,
            resamples=resamples,
            seed=self.seed,
            clusters=self.originals,
        )
        matrices = {name: torch.from_numpy(getattr(found, name)) for name in MATRICES}
        write_tensors(self.matrices, matrices)
        wrong = predictions != self.labels
        failures = coincident_failures(wrong, self.labels)
        write_json(
            self.path,
            {
                "images": len(self.labels),
                "measures": _measures(found, resamples > 0),
                "correlation": _triangle(found) if len(wrong) <= LARGEST_MATRIX else [],
                "failures": _failures(failures, tested=self.originals is None),
                "majority": self._majority(wrong, resamples),
                "plurality": self._plurality(predictions, resamples),
            },
        )

    def inputs(self) -> Mapping[str, Any]:
        """Return the answers, the images, and how often is drawn."""
        return {
            "answers": [one.digest for one in self.answers],
            "labels": self.labels,
            "originals": self.originals,
            "data": self.data,
            "resamples": self.resamples,
            "orders": self.orders,
            "seed": self.seed,
        }

    def outputs(self) -> tuple[Path, ...]:
        """Return both files."""
        return (self.path, self.matrices)

    def _majority(self, wrong: npt.NDArray[np.bool_], resamples: int) -> dict[str, Any]:
        """Return how often more than half of the versions are right."""
        sampled = resamples if self.originals is None else 0
        predicted = majority_growth(wrong, resamples=sampled, seed=self.seed)
        right = (~wrong).cumsum(axis=0)
        needed = np.arange(1, len(wrong) + 1)[:, None] / 2.0
        return {**_growth(predicted), "measured": (right > needed).mean(axis=1).tolist()}

    def _plurality(
        self, predictions: npt.NDArray[np.int64], resamples: int
    ) -> dict[str, Any] | None:
        """Return how often the class with the most votes is right."""
        if len(predictions) > MOST_VOTES:
            return None
        sampled = resamples if self.originals is None else 0
        predicted = plurality_growth(predictions, self.labels, resamples=sampled, seed=self.seed)
        votes = Accuracy(predictions, self.labels, "plurality")
        band = random_orders(votes, self.orders, self.seed)
        return {
            **_growth(predicted),
            "measured": in_order(votes).tolist(),
            "orders": self.orders,
            "orders_low": band.low.tolist(),
            "orders_high": band.high.tolist(),
        }


def _measures(found: Diversity, sampled: bool) -> dict[str, dict[str, float | None]]:
    measured = {}
    for name in (*MATRICES, *NUMBERS):
        low, high = found.interval(name) if sampled else (float("nan"), float("nan"))
        ends = (found.mean(name), low, high)
        measured[name] = dict(zip(("value", "low", "high"), map(_number, ends), strict=True))
    return measured


def _triangle(found: Diversity) -> list[list[float | None]]:
    """Return each pair's correlation of failures once, rounded to what can be seen."""
    rows = np.round(found.correlation, 4).tolist()
    return [[_number(value) for value in row[place + 1 :]] for place, row in enumerate(rows[:-1])]


def _failures(failures: CoincidentFailures, tested: bool) -> dict[str, Any]:
    fit = failures.beta_binomial
    described = failures.to_json()
    values = {
        "histogram": described["histogram"],
        "by_version": described["failures"],
        "independent": described["independent"],
        "coincidences": failures.coincidences,
        "expected_coincidences": failures.expected_coincidences,
        "z": described["knight_leveson_z"] if tested else None,
        "p_value": failures.knight_leveson_p if tested else None,
        "within_classes_z": described["within_classes_z"] if tested else None,
        "dispersion": described["dispersion"],
        "correlation": described["correlation"],
        "effective_versions": described["effective_versions"],
        "beta_binomial": None,
        "beta_binomial_p": fit.p_value if tested and fit and fit.freedom else None,
    }
    if tested and fit is not None and fit.usable:
        kept = ("alpha", "beta", "chi_squared", "degrees_of_freedom", "p_value", "coincidences")
        values["beta_binomial"] = {key: fit.to_json()[key] for key in kept}
    return values


def _growth(predicted: Growth) -> dict[str, list[float]]:
    return {
        "predicted": predicted.right.tolist(),
        "low": [] if predicted.low is None else predicted.low.tolist(),
        "high": [] if predicted.high is None else predicted.high.tolist(),
    }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
