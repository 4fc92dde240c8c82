"""What a criterion of selection is: a score of some of the versions, the higher the better."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from nversion.errors import InputError
from nversion.measures.answers import Doubles

__all__ = ["Criterion", "check_members"]


class Criterion(abc.ABC):
    """A score of a program of some of the versions.

    Attributes:
        name: of the criterion.
    """

    name: ClassVar[str]

    @property
    @abc.abstractmethod
    def versions(self) -> int:
        """How many versions there are to choose from."""

    @abc.abstractmethod
    def extensions(self, members: Sequence[int]) -> Doubles:
        """Return the score of `members` and one version more, for each version, [versions].

        Args:
            members: the numbers of versions that are in; none at all is allowed. What is returned
                for them is of no meaning.
        """

    def score(self, members: Sequence[int]) -> float:
        """Return the score of some versions.

        Raises:
            InputError: none, or one that there is not, or one twice.
        """
        check_members(members, self.versions)
        *others, last = members
        return float(self.extensions(others)[last])

    def along(self, order: Sequence[int]) -> Doubles:
        """Return the scores of the first 1, 2, ... versions of an order."""
        check_members(order, self.versions)
        return np.array([self.score(order[:n]) for n in range(1, len(order) + 1)])

    def along_many(self, orders: Sequence[Sequence[int]]) -> Doubles:
        """Return the scores of the first 1, 2, ... versions of several orders, [orders, n]."""
        return np.stack([self.along(order) for order in orders])


def check_members(members: Sequence[int], versions: int) -> None:
    """Raise InputError unless there are members, all different and in range."""
    if len(members) == 0:
        raise InputError("name one version at least")
    if len(set(members)) < len(members) or not all(0 <= one < versions for one in members):
        raise InputError(
            f"members must be different numbers from 0 to {versions - 1}, not {list(members)}"
        )
