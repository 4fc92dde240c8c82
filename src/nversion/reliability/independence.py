"""What independence predicts, exactly: how many of some versions fail on an image.

If versions fail independently, each with its own probability, the number that fail has a
Poisson-binomial distribution. It is built up a version at a time; every term is positive, so that
nothing cancels and tails are as exact as the middle.
"""

from __future__ import annotations

import numpy as np

from nversion.errors import InputError
from nversion.measures import as_wrong
from nversion.measures.answers import ArrayLike, Doubles, as_array

__all__ = ["independent_failures", "poisson_binomial"]


def poisson_binomial(rates: Doubles) -> Doubles:
    """Return the probability that 0, 1, ... of the versions fail, [versions + 1].

    Args:
        rates: each version's probability of failure, [versions], in [0, 1].
    """
    found = np.zeros(len(rates) + 1)
    found[0] = 1.0
    for n, rate in enumerate(rates, start=1):
        found[1 : n + 1] = found[1 : n + 1] * (1.0 - rate) + found[:n] * rate
        found[0] *= 1.0 - rate
    return found


def independent_failures(wrong: ArrayLike) -> Doubles:
    """Return what independence predicts of the histogram: the share of images 0, 1, ... fail on.

    Args:
        wrong: bool [versions, count], or each version's probability of failure, floating
            [versions].

    Raises:
        InputError: another shape, or probabilities outside [0, 1].
    """
    given = as_array(wrong, "wrong")
    if given.ndim == 1 and given.dtype.kind == "f":
        if len(given) == 0 or not ((given >= 0.0) & (given <= 1.0)).all():
            raise InputError("probabilities of failure must lie in [0, 1], one for each version")
        return poisson_binomial(given.astype(np.float64))
    return poisson_binomial(as_wrong(given).mean(axis=1))
