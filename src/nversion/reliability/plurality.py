"""The probability that a random n of N votes give the label the most, for every n at once, exactly.

Of N votes let v_c be for class c and v for the label. A random n of them have `a` for the label and
b_c for each other class, in as many ways as

    C(v, a) * prod_c C(v_c, b_c)   where   a + sum_c b_c = n.

The label wins if each b_c < a (or <= a where it wins the tie). So for each `a` the number of ways
is a coefficient of a product of polynomials in x, each cut off at its limit, and all n come of one
product. Only additions and products of positive numbers occur; binomials are scaled by powers of
two, so that they neither overflow nor lose a digit. Images with the same votes are treated once,
and the order of the other classes does not matter.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from nversion.errors import InputError
from nversion.measures.answers import ABSTENTION, Doubles, Integers

__all__ = ["VotePatterns", "right_of_plurality"]

MOST_VERSIONS = 1000
"""2^-1000 is still a number of full precision in float64."""


@dataclasses.dataclass(frozen=True)
class VotePatterns:
    """Images' votes, those alike taken together.

    Attributes:
        label: int64 [patterns]; votes for the label.
        below: int64 [patterns, classes]; votes for classes that lose a tie with the label.
        above: int64 [patterns, classes]; votes for those that do not.
        nobody: int64 [patterns]; versions that name no class.
        counts: int64 [patterns]; images of each.
    """

    label: Integers
    below: Integers
    above: Integers
    nobody: Integers
    counts: Integers

    @classmethod
    def of(cls, predictions: Integers, labels: Integers, lowest_wins: bool) -> VotePatterns:
        """Return the patterns of classes [versions, count], in no particular order of classes.

        Raises:
            InputError: there are more than `MOST_VERSIONS` versions.
        """
        versions, count = predictions.shape
        if versions > MOST_VERSIONS:
            raise InputError(f"there must be at most {MOST_VERSIONS} versions, not {versions}")
        # Only classes that are named matter, and no more of them than there are versions.
        named, places = np.unique(
            np.concatenate([predictions.ravel(), labels]), return_inverse=True
        )
        votes = np.zeros((count, len(named)), dtype=np.int64)
        images = np.arange(count)
        for row in places[: versions * count].reshape(versions, count):
            votes[images, row] += 1
        own = votes[images, places[versions * count :]]
        nobody = votes[:, named == ABSTENTION].sum(axis=1)
        others = votes * ((named != labels[:, None]) & (named != ABSTENTION))
        loses = (named > labels[:, None]) & lowest_wins
        below = -np.sort(-(others * loses), axis=1)
        above = -np.sort(-(others * ~loses), axis=1)
        rows = np.concatenate([own[:, None], nobody[:, None], below, above], axis=1)
        kinds, counts = np.unique(rows, axis=0, return_counts=True)
        split = 2 + len(named)
        return cls(
            kinds[:, 0], kinds[:, 2:split], kinds[:, split:], kinds[:, 1], counts.astype(np.int64)
        )


def right_of_plurality(patterns: VotePatterns) -> Doubles:
    """Return the probability that the label wins among a random n, [patterns, versions]."""
    versions = int(
        patterns.label[0] + patterns.nobody[0] + patterns.below[0].sum() + patterns.above[0].sum()
    )
    scaled = _scaled_binomials(versions)
    return np.stack(
        [
            _right(
                int(patterns.label[place]),
                patterns.below[place][patterns.below[place] > 0].tolist(),
                patterns.above[place][patterns.above[place] > 0].tolist(),
                int(patterns.nobody[place]),
                scaled,
            )
            for place in range(len(patterns.counts))
        ]
    )


def _right(
    label: int, below: list[int], above: list[int], nobody: int, scaled: list[Doubles]
) -> Doubles:
    """Return the probability for one pattern, [versions].

    Args:
        label: votes for the label.
        below: votes for each class that loses ties, positive.
        above: votes for each that does not, positive.
        nobody: versions without a class.
        scaled: C(v, b) / 2^v for b = 0 to v, by v.
    """
    versions = len(scaled) - 1
    if label == 0:
        return np.zeros(versions)
    # Row a - 1 is for `a` votes of the label, column m for m votes of all others.
    ways = np.zeros((label, versions - label + 1))
    ways[:, 0] = 1.0
    degree = 0
    for votes, limit in [(v, -1) for v in below] + [(v, 0) for v in above] + [(nobody, None)]:
        if votes == 0:
            continue
        more = np.zeros_like(ways)
        for drawn, number in enumerate(scaled[votes].tolist()):
            # Others may have at most a - 1 votes, or a where they lose the tie.
            first = 0 if limit is None else max(drawn + limit, 0)
            if first >= label:
                break
            more[first:, drawn : drawn + degree + 1] += number * ways[first:, : degree + 1]
        ways, degree = more, degree + votes
    found = np.zeros(versions + 1)
    for drawn, number in enumerate(scaled[label].tolist()[1:], start=1):
        found[drawn : drawn + degree + 1] += number * ways[drawn - 1]
    right: Doubles = found[1:] / scaled[versions][1:]
    return right


def _scaled_binomials(versions: int) -> list[Doubles]:
    """Return C(v, b) / 2^v for b = 0 to v, for v = 0 to `versions`, by Pascal's triangle."""
    rows = [np.ones(1)]
    for _ in range(versions):
        last = rows[-1] / 2.0
        rows.append(np.concatenate([last, [0.0]]) + np.concatenate([[0.0], last]))
    return rows
