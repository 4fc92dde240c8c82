"""What each version contributes: its Shapley value, by sampling orders, with its error.

A version's contribution is what it adds to the score of those that came before it, in the mean over
all orders of the versions (Shapley 1953). It is estimated from random orders (Castro, Gomez and
Tejada, "Polynomial calculation of the Shapley value based on sampling", 2009). The program without
versions is given the mean score of one version: it stands for "some version". So in each order the
contributions add up to what all versions together gain over one of them, and so do the estimates,
exactly; and a version that only makes the vote worse has a negative one.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from nversion.errors import InputError
from nversion.measures.answers import Doubles
from nversion.randomness import numpy_generator
from nversion.selection.criteria import Criterion

__all__ = ["Contributions", "contributions"]


@dataclasses.dataclass(frozen=True)
class Contributions:
    """Shapley values.

    Attributes:
        values: float64 [versions].
        errors: float64 [versions]; the standard error of each.
        orders: how many were sampled.
    """

    values: Doubles
    errors: Doubles
    orders: int

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "values": self.values.tolist(),
            "standard_errors": self.errors.tolist(),
            "orders": self.orders,
        }


def contributions(criterion: Criterion, orders: int = 200, seed: int = 0) -> Contributions:
    """Return each version's contribution to the score.

    Args:
        criterion: the score.
        orders: to sample, two at least; the error falls with their square root.
        seed: of the orders.

    Raises:
        InputError: fewer than two orders.
    """
    if orders < 2:
        raise InputError(f"orders must be at least 2, not {orders}")
    randomness = numpy_generator("shapley", seed)
    drawn = [randomness.permutation(criterion.versions).tolist() for _ in range(orders)]
    gains = np.empty((orders, criterion.versions))
    some_version = float(criterion.extensions(()).mean())
    for row, order, scores in zip(gains, drawn, criterion.along_many(drawn), strict=True):
        row[order] = np.diff(scores, prepend=some_version)
    errors = gains.std(axis=0, ddof=1) / np.sqrt(orders)
    return Contributions(gains.mean(axis=0), errors, orders)
