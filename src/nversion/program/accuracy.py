"""A program's accuracy as versions are added, in one order and over many random orders.

The study's fifth figure adds versions one at a time in the order of their names. Its shape depends
on that order, so the mean and a band over random orders go beside it.

Everything is computed from the versions' stored softmax outputs, a block of images at a time. For
voters that add up, a prefix's verdict is right exactly when each running sum of (ballot for the
label - ballot for another class) is positive; the sums are exact (see
:mod:`nversion.program.voters`), so the counts are whole numbers that depend on nothing but the
outputs and the seed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nversion.errors import InputError
from nversion.models import check_labels
from nversion.program.verdict import blocks, check_probabilities, check_weights
from nversion.program.voters import Outputs, Voter, create_voter
from nversion.randomness import generator

__all__ = ["AccuracyBand", "AccuracyCounter", "accuracy_by_n", "accuracy_by_n_orders"]

Weights = Sequence[float] | Tensor | None
Doubles = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

TILE = 1024
"""Images whose running sums are held at once, so that they stay in the processor's cache."""


@dataclasses.dataclass(frozen=True)
class AccuracyBand:
    """Accuracy of the program of the first N versions, over random orders, for N = 1, 2, ...

    Attributes:
        orders: how many orders were drawn.
        mean: the mean over the orders, one number per N.
        low: the 2.5 % quantile over the orders.
        high: the 97.5 % quantile over the orders.
    """

    orders: int
    mean: list[float]
    low: list[float]
    high: list[float]


def accuracy_by_n(
    probabilities: Tensor,
    labels: Tensor,
    voter: str | Voter = "mean-softmax",
    weights: Weights = None,
) -> list[float]:
    """Return the accuracy of the program of the first N versions, for N = 1, ..., versions.

    An abstention counts as wrong. The N-th number is what :func:`vote_outputs` gives for the
    first N versions.

    Args:
        probabilities: softmax outputs, floating [versions, count, classes].
        labels: int64 [count].
        voter: a voter or its name.
        weights: one positive number per version; equal ones by default.

    Raises:
        InputError: malformed probabilities, labels or weights, an unknown voter, or no images.
    """
    check_probabilities(probabilities)
    counter = AccuracyCounter(probabilities.shape[0], voter, orders=0, weights=weights)
    counter.add(probabilities, labels)
    return counter.in_order()


def accuracy_by_n_orders(
    probabilities: Tensor,
    labels: Tensor,
    voter: str | Voter = "mean-softmax",
    *,
    orders: int = 1000,
    seed: int = 0,
    weights: Weights = None,
) -> AccuracyBand:
    """Return mean and 95 % band of the accuracy by N over random orders of the versions.

    Takes well under two minutes on one core for 100 versions, 12,000 images, 10 classes and 1,000
    orders, and about 200 MB beside its arguments. ``median-softmax`` does not add up and takes
    many times longer.

    Args:
        probabilities: softmax outputs, floating [versions, count, classes].
        labels: int64 [count].
        voter: a voter or its name.
        orders: how many random orders.
        seed: of the orders; one seed gives the same numbers everywhere.
        weights: one positive number per version; they go with the versions.

    Raises:
        InputError: as :func:`accuracy_by_n`, or fewer than one order.
    """
    if orders < 1:
        raise InputError(f"orders must be at least 1, not {orders}")
    check_probabilities(probabilities)
    counter = AccuracyCounter(probabilities.shape[0], voter, orders, seed, weights)
    counter.add(probabilities, labels)
    return counter.over_orders()


class AccuracyCounter:
    """Counts the images that prefixes of several orders get right, some images at a time.

    Give it the outputs on all images, or on one part of them after the other, so that not all have
    to be in memory; how they are parted changes nothing.

    Args:
        versions: how many there are.
        voter: a voter or its name.
        orders: random orders, beside the versions' own.
        seed: of the orders; one seed gives the same numbers everywhere.
        weights: one positive number per version; they go with the versions.

    Attributes:
        images: how many were added so far.

    Raises:
        InputError: an unknown voter, or malformed weights.
    """

    def __init__(
        self,
        versions: int,
        voter: str | Voter = "mean-softmax",
        orders: int = 1000,
        seed: int = 0,
        weights: Weights = None,
    ) -> None:
        self._voter = create_voter(voter)
        self._weights = check_weights(weights, versions)
        self._voter.check_weights(self._weights)
        # What a winner needs after 1, 2, ... versions; None for a voter that asks for nothing.
        needed = [self._voter.threshold(n) for n in range(1, versions + 1)]
        self._needed = needed if np.isfinite(needed).any() else None
        randomness = generator("accuracy-by-n", seed)
        drawn = [torch.randperm(versions, generator=randomness).numpy() for _ in range(orders)]
        self._orders: Counts = np.stack([np.arange(versions), *drawn])
        self._right: Counts = np.zeros(self._orders.shape, dtype=np.int64)
        self.images = 0

    def add(self, probabilities: Tensor, labels: Tensor) -> None:
        """Count some images more.

        Args:
            probabilities: softmax outputs, floating [versions, count, classes].
            labels: int64 [count].

        Raises:
            InputError: malformed probabilities or labels.
        """
        check_probabilities(probabilities)
        check_labels(labels, probabilities.shape[1], probabilities.shape[2])
        stored, truth = probabilities.detach().cpu(), labels.cpu()
        for rows in blocks(len(truth), stored.shape[0] * stored.shape[2]):
            outputs = Outputs.from_probabilities(stored[:, rows])
            ballots = self._voter.ballots(outputs, self._weights)
            if self._voter.additive:
                self._add_sums(ballots, truth[rows], self._orders, self._right)
            else:
                self._add_scores(ballots, truth[rows], self._orders, self._right)
        self.images += len(truth)

    def in_order(self) -> list[float]:
        """Return the accuracy of the first N versions in their own order, for N = 1, 2, ...

        Raises:
            InputError: no images were added.
        """
        self._check_images()
        return [int(right) / self.images for right in self._right[0]]

    def over_orders(self) -> AccuracyBand:
        """Return mean and 95 % band over the random orders.

        Raises:
            InputError: no images were added, or there are no random orders.
        """
        self._check_images()
        right = self._right[1:]
        if len(right) == 0:
            raise InputError("there are no random orders")
        low, high = np.quantile(right, [0.025, 0.975], axis=0) / self.images
        mean = right.sum(axis=0) / (len(right) * self.images)
        return AccuracyBand(len(right), mean.tolist(), low.tolist(), high.tolist())

    def _check_images(self) -> None:
        if self.images == 0:
            raise InputError("there are no images to count")

    def _add_scores(
        self, ballots: Tensor, labels: Tensor, orders: npt.NDArray[np.int64], counts: Counts
    ) -> None:
        for place, order in enumerate(orders):
            shuffled = ballots[torch.from_numpy(order)]
            for n in range(1, len(order) + 1):
                winners = self._voter.elect(self._voter.scores(shuffled[:n]), n)
                counts[place, n - 1] += int((winners == labels).sum())

    def _add_sums(
        self, ballots: Tensor, labels: Tensor, orders: npt.NDArray[np.int64], counts: Counts
    ) -> None:
        leads, head_start = self._leads(ballots.numpy(), labels.numpy())
        settled = (leads > 0).all(axis=(0, 1))
        if self._needed is None:
            # Images that every version gets right stay right in every sum; those on which one
            # other class beats the label in every version stay wrong.
            counts += int(settled.sum())
            settled |= (leads < 0).all(axis=0).any(axis=0)
            leads, head_start = leads[:, :, ~settled], head_start[:, ~settled]
        for start in range(0, leads.shape[2], TILE):
            tile = np.ascontiguousarray(leads[:, :, start : start + TILE])
            offset = head_start[:, start : start + TILE]
            for place, order in enumerate(orders):
                counts[place] += _positive(tile, offset, order, self._needed)

    def _leads(self, ballots: Doubles, labels: npt.NDArray[np.int64]) -> tuple[Doubles, Doubles]:
        """Return what the label is ahead of each other class, and half a grid step for ties.

        Both end in the images: [versions, classes - 1, images] and [classes - 1, images]. A
        threshold adds one more row, the label's own ballots.
        """
        images, classes = ballots.shape[1:]
        others = np.arange(classes)[None].repeat(images, axis=0)
        others = others[others != labels[:, None]].reshape(images, classes - 1)
        rows = np.arange(images)
        own = ballots[:, rows, labels]
        leads = own[:, None] - ballots[:, rows[:, None], others].transpose(0, 2, 1)
        half = self._voter.step / 2
        wins_ties = (others > labels[:, None]) & (not self._voter.abstains_on_ties)
        head_start = np.where(wins_ties, half, 0.0).T
        if self._needed is not None:
            leads = np.concatenate([leads, own[:, None]], axis=1)
            head_start = np.concatenate([head_start, np.full((1, images), half)])
        return np.ascontiguousarray(leads), np.ascontiguousarray(head_start)


def _positive(
    leads: Doubles, offset: Doubles, order: npt.NDArray[np.int64], needed: list[float] | None
) -> Counts:
    """Return of how many images all running sums are positive after 1, 2, ... versions.

    `needed` is what the last row's sum must reach. One addition and one minimum a version, each
    along the images: NumPy's own cumulative sum along the first axis is ten times slower.
    """
    sums = offset.copy()
    least = np.empty((len(order), leads.shape[2]))
    for place, version in enumerate(order):
        np.add(sums, leads[version], out=sums)
        if needed is None:
            np.minimum.reduce(sums, axis=0, out=least[place])
        else:
            np.minimum.reduce(sums[:-1], axis=0, out=least[place])
            np.minimum(least[place], sums[-1] - needed[place], out=least[place])
    counts: Counts = (least > 0).sum(axis=1)
    return counts
