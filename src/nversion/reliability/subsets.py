"""How many of n versions fail, n of them taken at random, for every n at once.

Of a random n of N versions, one taken away at random leaves a random n - 1. So with h_n[j] the
share of images on which j of n fail,

    h_{n-1}[j] = h_n[j] (n - j) / n + h_n[j + 1] (j + 1) / n,

from the histogram h_N down. It is the sum over images of hypergeometric probabilities, without a
binomial coefficient: all terms are positive, and N steps give every n.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nversion.measures.answers import Doubles

__all__ = ["failing_subsets", "majorities", "pairs_together"]


def failing_subsets(shares: Doubles) -> Iterator[tuple[int, Doubles]]:
    """Yield n and the distribution [..., n + 1] of failures among a random n, from N down to 1.

    Args:
        shares: of images on which 0, 1, ... N versions fail, [..., N + 1].
    """
    for n in range(shares.shape[-1] - 1, 0, -1):
        yield n, shares
        failing = np.arange(n)
        shares = shares[..., :-1] * ((n - failing) / n) + shares[..., 1:] * ((failing + 1) / n)


def majorities(shares: Doubles) -> tuple[Doubles, Doubles]:
    """Return, for a random 1, 2, ... N, the share of images that most fail on, and of ties.

    Args:
        shares: as :func:`failing_subsets` takes them.

    Returns:
        [..., N] and [..., N]: more than half fail; exactly half do.
    """
    versions = shares.shape[-1] - 1
    failed = np.zeros((*shares.shape[:-1], versions))
    tied = np.zeros_like(failed)
    for n, found in failing_subsets(shares):
        failed[..., n - 1] = found[..., n // 2 + 1 :].sum(axis=-1)
        if n % 2 == 0:
            tied[..., n - 1] = found[..., n // 2]
    return failed, tied


def pairs_together(shares: Doubles) -> Doubles:
    """Return the probability that two different versions, taken at random, fail together."""
    versions = shares.shape[-1] - 1
    failing = np.arange(versions + 1.0)
    found: Doubles = shares @ (failing * (failing - 1.0)) / (versions * (versions - 1.0))
    return found
