"""How rarely versions fail together: one minus the share of images that a pair of them fails on.

The mean is over all pairs of members, that of one version its own failures. It wants versions that
are right and, where they are not, are wrong on different images (the double fault of Giacinto and
Roli, "Design of Effective Neural Network Ensembles for Image Classification Purposes", 2001).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import numpy as np

from nversion.measures import as_wrong
from nversion.measures.answers import ArrayLike, Doubles
from nversion.selection.criteria import Criterion

__all__ = ["Coincidence"]


@final
class Coincidence(Criterion):
    """One minus the mean share of images that two of the members fail on together.

    Args:
        wrong: bool [versions, count].

    Raises:
        InputError: malformed.
    """

    name: ClassVar[str] = "coincident-failures"

    def __init__(self, wrong: ArrayLike) -> None:
        failed = as_wrong(wrong)
        numbers = failed[:, failed.any(axis=0)].astype(np.float64)
        # Counts: sums of them are exact, in any order.
        self._together: Doubles = numbers @ numbers.T
        self._images = failed.shape[1]

    @property
    def versions(self) -> int:
        """How many versions there are to choose from."""
        return len(self._together)

    def extensions(self, members: Sequence[int]) -> Doubles:
        """Return the scores with one version more, as :class:`Criterion` says."""
        if len(members) == 0:
            alone: Doubles = 1.0 - np.diagonal(self._together) / self._images
            return alone
        chosen = self._together[np.ix_(members, members)]
        within = (chosen.sum() - np.trace(chosen)) / 2.0
        size = len(members) + 1
        pairs = size * (size - 1) / 2.0
        found: Doubles = 1.0 - (within + self._together[list(members)].sum(axis=0)) / (
            pairs * self._images
        )
        return found
