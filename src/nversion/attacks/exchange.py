"""Fewer pixels by exchange: a local search among the sets of pixels one smaller than the best met.

Linear models choose all pixels at once (:mod:`nversion.attacks.pixels`), and are wrong about pixels
that go from one end of the box to the other. Here the network itself is asked about each change.
From the point with the fewest pixels, the one that a linear model says brings least is set back, so
that the margin is lost. Then the exchanges of one pixel for another are tried that the model ranks
highest, a few at a time, and the one that brings most margin is made, if it brings any: hill
climbing with the neighbourhood of one exchange (Kernighan & Lin 1970, "An efficient heuristic
procedure for partitioning graphs", exchange in the same manner). Once the margin is won, the image
has a pixel less, and the next one is set back. The search of an image ends where none of the
exchanges ranked brings anything.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from nversion.attacks.ball import columns
from nversion.attacks.goal import Goal
from nversion.attacks.pixels import ends_of
from nversion.attacks.record import Record

__all__ = ["Exchange", "exchange"]


@dataclasses.dataclass(frozen=True)
class Exchange:
    """How :func:`exchange` goes about it.

    Attributes:
        rounds: how often exchanges are tried, at the most.
        tries: exchanges tried in a round.
        added: pixels that may come in: those that a linear model says bring most.
        dropped: pixels that may be set back for them: those that bring least.
    """

    rounds: int = 24
    tries: int = 4
    added: int = 12
    dropped: int = 4

    @property
    def most(self) -> int:
        """Passes that an image may take."""
        return 2 + self.rounds * (self.tries + 4)


def exchange(goal: Goal, record: Record, how: Exchange) -> None:
    """Look for points of fewer pixels than those of `record`, which is in L0, by exchanges."""
    rows = record.found()
    rows = rows[record.sizes[rows] > 1]
    if len(rows) == 0:
        return
    search = _Search(goal, record, how, rows)
    for _ in range(how.rounds):
        search.go_on()
        if len(search.rows) == 0:
            return


class _Search:
    """The searches of all images; every field has one entry for each that goes on.

    Attributes:
        rows: int64, the images.
    """

    def __init__(self, goal: Goal, record: Record, how: Exchange, rows: Tensor) -> None:
        self._goal, self._record, self._how, self.rows = goal, record, how, rows
        self._points = record.points[rows]
        # What the margins lack at the points, and their gradients.
        self._lacks, self._normals = goal.slope(self._points, rows)
        # How many of the exchanges ranked at the points have been tried.
        self._tried = torch.zeros_like(rows)

    def go_on(self) -> None:
        """Try the next exchanges of each image, and make the best one if it brings anything.

        Where the margin is won, a pixel is set back before.
        """
        won = (self._lacks < 0).nonzero().squeeze(1)
        if len(won) > 0:
            self._set_back(won)
        points, possible = self._ranked()
        count, tries = points.shape[:2]
        lacks = self._goal.look(points.flatten(0, 1), self.rows.repeat_interleave(tries))
        lacks = torch.where(possible, lacks.view(count, tries), torch.inf)
        best = lacks.argmin(dim=1)
        every = torch.arange(count, device=best.device)
        lack, nearest = lacks[every, best], points[every, best]
        self._record.keep(self.rows, nearest, lack < 0)
        better = lack < self._lacks
        self._points = torch.where(columns(better), nearest, self._points)
        self._lacks = torch.where(better, lack, self._lacks)
        self._tried = torch.where(better, 0, self._tried + tries)
        left = self._tried < self._how.added * self._how.dropped
        left &= self._record.sizes[self.rows] > 1
        self._leave(left)
        moved = better[left].nonzero().squeeze(1)
        if len(moved) > 0:
            lacks, normals = self._goal.slope(self._points[moved], self.rows[moved])
            self._lacks[moved], self._normals[moved] = lacks, normals

    def _leave(self, left: Tensor) -> None:
        """Go on with the images `left`, bool, alone."""
        self.rows, self._points = self.rows[left], self._points[left]
        self._lacks, self._normals = self._lacks[left], self._normals[left]
        self._tried = self._tried[left]

    def _set_back(self, places: Tensor) -> None:
        """Set back the pixel that brings least."""
        originals, points = self._record.originals[self.rows[places]], self._points[places]
        changes = points - originals
        losses = _of_pixels(changes * self._normals[places])
        losses = torch.where(_changed(changes), losses, torch.inf)
        least = losses.argmin(dim=1, keepdim=True)
        kept = torch.ones_like(losses).scatter(1, least, 0.0)
        points = originals + changes * _as_pixels(kept, changes)
        self._points[places] = points
        lacks, normals = self._goal.slope(points, self.rows[places])
        self._record.keep(self.rows[places], points, lacks < 0)
        self._lacks[places], self._normals[places] = lacks, normals
        self._tried[places] = 0

    def _ranked(self) -> tuple[Tensor, Tensor]:
        """Return the points after the next exchanges, [images, tries, ...], and which there are."""
        how, originals = self._how, self._record.originals[self.rows]
        changes, ends = self._points - originals, ends_of(originals, self._normals)
        used = _changed(changes)
        gains = torch.where(used, -torch.inf, _of_pixels(ends * self._normals))
        losses = torch.where(used, _of_pixels(changes * self._normals), torch.inf)
        gains, come = _first(gains, how.added, descending=True)
        losses, go = _first(losses, how.dropped, descending=False)
        worth = (gains[:, :, None] - losses[:, None, :]).flatten(1)
        order = worth.sort(dim=1, descending=True, stable=True).indices
        place = self._tried[:, None] + torch.arange(how.tries, device=order.device)
        chosen = order.gather(1, place.clamp(max=order.shape[1] - 1))
        possible = (place < order.shape[1]) & worth.gather(1, chosen).isfinite()
        coming = come.gather(1, chosen // go.shape[1])[:, :, None]
        going = go.gather(1, chosen % go.shape[1])[:, :, None]
        blank = torch.zeros_like(used)[:, None].expand(-1, how.tries, -1)
        added = _as_pixels(blank.scatter(2, coming, True).flatten(0, 1), changes)
        left = _as_pixels(~blank.scatter(2, going, True).flatten(0, 1), changes)
        each = [one.repeat_interleave(how.tries, dim=0) for one in (originals, changes, ends)]
        moved = (each[0] + torch.where(added, each[2], each[1] * left)).clamp(0.0, 1.0)
        return moved.view(len(used), how.tries, *changes.shape[1:]), possible


def _of_pixels(values: Tensor) -> Tensor:
    """Return the sums over the channels, [count, pixels]."""
    return values.sum(dim=1).flatten(1)


def _changed(changes: Tensor) -> Tensor:
    return (changes != 0).any(dim=1).flatten(1)


def _as_pixels(values: Tensor, like: Tensor) -> Tensor:
    """Return one value for each pixel, [count, pixels], in a shape that fits images."""
    return values.view(len(values), 1, *like.shape[2:])


def _first(values: Tensor, count: int, *, descending: bool) -> tuple[Tensor, Tensor]:
    """Return the first so many values in order, and where they are, both [rows, count]."""
    ordered, places = values.sort(dim=1, descending=descending, stable=True)
    return ordered[:, :count], places[:, :count]
