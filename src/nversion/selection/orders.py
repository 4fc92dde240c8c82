"""Scores as versions are added: in the given order, the best first, and at random.

How a program's curve over N rises says as much of the order as of the versions; side by side they
tell which.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from nversion.errors import InputError
from nversion.measures.answers import Doubles
from nversion.randomness import numpy_generator
from nversion.selection.criteria import Criterion

__all__ = ["OrderBand", "best_first", "in_order", "random_orders"]


@dataclasses.dataclass(frozen=True)
class OrderBand:
    """Scores of the first 1, 2, ... versions over random orders.

    Attributes:
        mean: float64 [versions].
        low: float64 [versions]; 2.5 % of the orders are below.
        high: float64 [versions]; 2.5 % are above.
    """

    mean: Doubles
    low: Doubles
    high: Doubles


def in_order(criterion: Criterion) -> Doubles:
    """Return the scores of the first 1, 2, ... versions, as they are numbered."""
    return criterion.along(range(criterion.versions))


def best_first(criterion: Criterion) -> tuple[list[int], Doubles]:
    """Return the versions by their own score, the best first, and the scores of that order."""
    order = np.argsort(-criterion.extensions(()), kind="stable").tolist()
    return order, criterion.along(order)


def random_orders(criterion: Criterion, orders: int = 1000, seed: int = 0) -> OrderBand:
    """Return mean and middle 95 % of the scores over random orders.

    Raises:
        InputError: fewer than one order.
    """
    if orders < 1:
        raise InputError(f"orders must be at least 1, not {orders}")
    randomness = numpy_generator("orders", seed)
    drawn = [randomness.permutation(criterion.versions).tolist() for _ in range(orders)]
    scores = criterion.along_many(drawn)
    low, high = np.quantile(scores, [0.025, 0.975], axis=0)
    return OrderBand(scores.mean(axis=0), low, high)
