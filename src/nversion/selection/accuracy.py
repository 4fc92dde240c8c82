"""How often the vote of some versions is right: the mean of their outputs, or a plurality.

A vote is right exactly where the label's lead, summed over the versions, is positive against every
other class. For `mean`, 0 against a higher class is enough, since of equal classes the lowest wins;
a plurality that ties is no verdict. A class that no version puts ahead never is in any sum, so that
few rivals remain of an image; images without any, and those where one rival is ahead in every
version, stay as they are and are counted once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar, final

import numpy as np
import numpy.typing as npt

from nversion.errors import InputError
from nversion.measures import Answers, as_answers
from nversion.measures.answers import ABSTENTION, ArrayLike, Doubles
from nversion.selection.criteria import Criterion, check_members

__all__ = ["Accuracy"]

TILE = 16384
"""Leads that are added up at once: they stay in the cache."""

GRID = 2.0**40
"""Scores are rounded to multiples of their largest over this, so that sums of up to 2^12 are exact
and do not depend on the order of the versions."""


@final
class Accuracy(Criterion):
    """The share of images with the right verdict.

    Args:
        outputs: floating [versions, count, classes], or classes, integers [versions, count].
        labels: integers [count].
        vote: "mean": the class with the highest mean score (of probabilities: mean softmax);
            "plurality": the class that most versions name, no verdict on a tie. None: the mean of
            scores, plurality of classes.

    Raises:
        InputError: malformed arguments, or "mean" of classes.
    """

    name: ClassVar[str] = "accuracy"

    def __init__(self, outputs: ArrayLike, labels: ArrayLike, vote: str | None = None) -> None:
        answers = as_answers(outputs, labels)
        if answers.classes < 2:
            # With one class alone there is nothing to be wrong about; a second one is never named.
            answers = dataclasses.replace(answers, classes=2)
        chosen = vote or ("plurality" if answers.scores is None else "mean")
        if chosen not in ("mean", "plurality"):
            raise InputError(f"vote must be 'mean' or 'plurality', not {vote!r}")
        if chosen == "mean" and answers.scores is None:
            raise InputError("vote 'mean' needs scores [versions, count, classes], not classes")
        self.vote = chosen
        self._images = len(answers.labels)
        self._versions = len(answers.predictions)
        leads, ties = _leads(answers, chosen)
        ahead = (leads < 0) | ((leads == 0) & ~ties)
        rivals = ahead.any(axis=0)
        lost = ahead.all(axis=0).any(axis=0)
        self._settled = int((~rivals.any(axis=0)).sum())
        self._tiles = _tiles(leads, ties, rivals & ~lost)

    @property
    def versions(self) -> int:
        """How many versions there are to choose from."""
        return self._versions

    def extensions(self, members: Sequence[int]) -> Doubles:
        """Return the accuracies with one version more, as :class:`Criterion` says."""
        counts = np.full(self._versions, self._settled)
        for leads, start in self._tiles:
            sums = start + leads[list(members)].sum(axis=0, dtype=leads.dtype)
            for version in range(self._versions):
                counts[version] += np.count_nonzero((sums + leads[version]).min(axis=0) > 0)
        found: Doubles = counts / self._images
        return found

    def along(self, order: Sequence[int]) -> Doubles:
        """Return the accuracies of the first 1, 2, ... versions of an order."""
        found: Doubles = self.along_many([order])[0]
        return found

    def along_many(self, orders: Sequence[Sequence[int]]) -> Doubles:
        """Return the accuracies of the first 1, 2, ... versions of several orders, [orders, n].

        All orders go through some images before the next, so that these stay in the cache.
        """
        for order in orders:
            check_members(order, self._versions)
        counts = np.full((len(orders), len(orders[0])), self._settled)
        for leads, start in self._tiles:
            least = np.empty((len(orders[0]), start.shape[1]), dtype=start.dtype)
            for right, order in zip(counts, orders, strict=True):
                sums = start.copy()
                for place, version in enumerate(order):
                    np.add(sums, leads[version], out=sums)
                    np.minimum.reduce(sums, axis=0, out=least[place])
                right += np.count_nonzero(least > 0, axis=1)
        found: Doubles = counts / self._images
        return found

    def score(self, members: Sequence[int]) -> float:
        """Return the accuracy of some versions; InputError as :class:`Criterion` says."""
        check_members(members, self._versions)
        right = self._settled
        for leads, start in self._tiles:
            sums = start + leads[list(members)].sum(axis=0, dtype=leads.dtype)
            right += int(np.count_nonzero(sums.min(axis=0) > 0))
        return right / self._images


def _tiles(
    leads: npt.NDArray[Any], ties: npt.NDArray[np.bool_], rivals: npt.NDArray[np.bool_]
) -> list[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
    """Return the leads over rivals, images with as many of them side by side.

    Args:
        leads: [versions, classes - 1, count].
        ties: bool [classes - 1, count]; whether the label wins a tie.
        rivals: bool [classes - 1, count]; classes that some version puts ahead; none for images
            that are settled.

    Returns:
        Of some images each, the leads [versions, rivals, images], and what decides ties, [rivals,
        images]: leads are even, so that 1 or -1 decides nothing else.
    """
    number = rivals.sum(axis=0)
    places = np.argsort(~rivals, axis=0, kind="stable")
    tiles = []
    for several in range(1, len(leads[0]) + 1):
        images = np.nonzero(number == several)[0]
        width = max(TILE // several, 1)
        for start in range(0, len(images), width):
            columns = images[start : start + width]
            rows = places[:several, columns]
            wins = ties[rows, columns]
            tiles.append(
                (
                    np.ascontiguousarray(leads[:, rows, columns]),
                    np.where(wins, 1, -1).astype(leads.dtype),
                )
            )
    return tiles


def _leads(answers: Answers, vote: str) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Return by what each version puts the label ahead, and which classes lose a tie to it.

    Returns:
        even whole numbers [versions, classes - 1, count], and bool [classes - 1, count].
    """
    labels, count = answers.labels, len(answers.labels)
    others = np.arange(answers.classes)[None].repeat(count, axis=0)
    others = others[others != labels[:, None]].reshape(count, -1).T
    scores = _votes(answers) if vote == "plurality" else _on_grid(answers.scores)
    images = np.arange(count)
    own = scores[:, images, labels]
    ties = (others > labels) & (vote == "mean")
    leads = np.empty((len(scores), *others.shape), dtype=scores.dtype)
    for version, one in enumerate(scores):
        leads[version] = own[version] - one[images, others]
    return leads, ties


def _votes(answers: Answers) -> npt.NDArray[np.int16]:
    votes = np.zeros((*answers.predictions.shape, answers.classes), dtype=np.int16)
    versions, images = np.nonzero(answers.predictions != ABSTENTION)
    votes[versions, images, answers.predictions[versions, images]] = 2
    return votes


def _on_grid(scores: npt.NDArray[np.floating[Any]] | None) -> Doubles:
    assert scores is not None
    if not np.isfinite(scores).all():
        raise InputError("the mean of infinite scores is none; give probabilities or finite logits")
    largest = float(np.abs(scores).max())
    found: Doubles = np.rint(scores.astype(np.float64) * (GRID / (largest or 1.0))) * 2.0
    return found
