"""Projected gradient descent from a random start (Madry, Makelov, Schmidt, Tsipras & Vladu 2017).

Within the Linf ball of radius epsilon around the image: start at a uniformly random point, take
steps along the sign of the cross-entropy's gradient, project onto the ball and into [0, 1], stop at
the first adversarial point. The radius is searched as in Foolbox 2.4: it grows by half until a run
succeeds (20 runs at most), then smaller ones are tried (20 runs at most), the step size always in
the same proportion to the radius.

Chosen here, all of it to need fewer gradients:

- Once a run has succeeded, the next ones start where the last one ended, drawn into the new radius,
  and no longer at random.
- Which smaller radius to try is not always the middle between the smallest that worked and the
  largest that did not, but the one at which the linearised margin, at the last point seen, comes to
  zero within the range of the pixels. The search ends when both are within three tenths,
  as the last steps bring the same result from there.
- A run gives up before its last iteration when, at the pace of its last iterations, it will not get
  there.
- The result is improved by a few steps on the linearised margin
  (:func:`nversion.attacks.linearised.finish`) and drawn in along the line to the original.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import torch
from torch import Tensor

from nversion.attacks.ball import columns, norms, sums
from nversion.attacks.base import Attack, check_count, check_option
from nversion.attacks.criteria import excess_margins, towards_errors
from nversion.attacks.fab import to_hyperplane
from nversion.attacks.linearised import IN_LINF, finish, margin_slope
from nversion.attacks.nearest import Nearest
from nversion.attacks.noise import Noise
from nversion.attacks.oracle import Oracle
from nversion.attacks.ray import drawn_in
from nversion.attacks.registry import register

__all__ = ["RandomPGD"]

GROWTH = 1.5
"""A radius that failed is followed by one this much larger, until one succeeds."""

TOLERANCE = 0.3
"""The search ends when the failing radius is this close to the succeeding one, relatively."""

EDGE = 0.2
"""A radius tried is this far from both the failing and the succeeding one, in their difference."""

PACE = 3
"""A run's progress is judged over so many iterations."""


@register
@dataclasses.dataclass(frozen=True)
class RandomPGD(Attack):
    """Linf projected gradient descent from a random start, with a search over the radius.

    Attributes:
        epsilon: the first radius tried.
        step_size: the step at that radius; it scales with the radius.
        iterations: steps of one run.
        growing: radii tried, each half as large again, until one succeeds.
        bisecting: radii tried below it; 0 takes the first success as it is, only drawn in.
    """

    epsilon: float = 0.3
    step_size: float = 0.01
    iterations: int = 40
    growing: int = 20
    bisecting: int = 20

    name: ClassVar[str] = "random-pgd"
    norm: ClassVar[str] = "linf"
    paper: ClassVar[str] = "Madry et al. 2017"

    def __post_init__(self) -> None:
        check_option("epsilon", self.epsilon)
        check_option("step_size", self.step_size)
        check_count("iterations", self.iterations)
        check_count("growing", self.growing)
        check_count("bisecting", self.bisecting, low=0)

    def propose(self, oracle: Oracle, images: Tensor, labels: Tensor, noise: Noise) -> Tensor:
        """Return the adversarial points of the smallest radii at which a run succeeded."""
        search = _Search(self, oracle, images, labels, noise)
        while len(search.rows) > 0:
            search.advance()
        nearest = Nearest(images)
        found = search.good.isfinite()
        nearest.keep(search.everything, search.best, found, search.good.square())
        if self.bisecting > 0:
            finish(nearest, margin_slope(oracle, labels), IN_LINF)
        return drawn_in(oracle, images, nearest.points, labels)


class _Search:
    """All images' searches, each at its own radius and iteration; one gradient each at a time.

    Attributes:
        rows: the images still being searched, int64.
        everything: all rows.
        best: the adversarial point of the smallest radius so far; the original before there is one.
        good: its distance; infinite before there is one.
    """

    def __init__(
        self, attack: RandomPGD, oracle: Oracle, images: Tensor, labels: Tensor, noise: Noise
    ) -> None:
        self._attack, self._oracle, self._noise = attack, oracle, noise
        self._images, self._labels = images, labels
        count = len(images)
        self.rows = self.everything = torch.arange(count, device=images.device)
        self.best = images.clone()
        self._points = images.clone()
        self._radius = torch.full((count,), float(attack.epsilon), device=images.device)
        self.good = torch.full_like(self._radius, torch.inf)
        self._bad = torch.zeros_like(self._radius)
        self._runs = torch.zeros_like(labels)
        self._iteration = torch.zeros_like(labels)
        # The largest margin of the run up to each iteration.
        self._record = torch.empty(count, attack.iterations + 1, device=images.device)
        self._start_at_random(self.rows)

    def advance(self) -> None:
        """Take one gradient per image, and with it a step, or the end of a run."""
        rows = self.rows
        logits, gradients = self._oracle.gradient(
            self._points[rows], towards_errors(self._labels[rows])
        )
        excess = excess_margins(logits, self._labels[rows], self._oracle.dtype)
        hit = excess > 0
        over = self._is_over(rows, excess) & ~hit
        stepping = ~(hit | over)
        self._step(rows[stepping], gradients[stepping])
        self._grow(rows[over & self.good[rows].isinf()])
        over &= self.good[rows].isfinite()
        self._bad[rows[over]] = self._radius[rows[over]]
        self._take_over(rows[hit])
        ended = (hit | over).nonzero().squeeze(1)
        if len(ended) > 0:
            self._try_another_radius(rows[ended], excess[ended], gradients[ended])
        self.rows = rows[self._goes_on(rows)]

    def _step(self, rows: Tensor, gradients: Tensor) -> None:
        step = self._radius[rows] * (self._attack.step_size / self._attack.epsilon)
        moved = self._points[rows] + columns(step) * gradients.sign()
        self._points[rows] = self._projected(rows, moved)
        self._iteration[rows] += 1

    def _projected(self, rows: Tensor, points: Tensor) -> Tensor:
        centres, radius = self._images[rows], columns(self._radius[rows])
        low, high = (centres - radius).clamp(min=0.0), (centres + radius).clamp(max=1.0)
        return points.clamp(low, high)

    def _is_over(self, rows: Tensor, excess: Tensor) -> Tensor:
        """Return which runs have had all their iterations or will not get there in them."""
        now = self._iteration[rows]
        before = self._record[rows, (now - 1).clamp(min=0)]
        self._record[rows, now] = torch.where(now > 0, torch.maximum(before, excess), excess)
        reached = self._record[rows, now]
        gain = reached - self._record[rows, (now - PACE).clamp(min=0)]
        left = self._attack.iterations - now
        hopeless = (now >= PACE) & (reached + gain / PACE * left < 0)
        return hopeless | (left <= 0)

    def _grow(self, rows: Tensor) -> None:
        """Begin runs in larger radii where none has succeeded."""
        if len(rows) > 0:
            self._radius[rows] *= GROWTH
            self._start_at_random(rows)

    def _start_at_random(self, rows: Tensor) -> None:
        shape = tuple(self._images.shape[1:])
        draws = self._noise.uniform(rows, *shape, low=-1.0, high=1.0)
        start = self._images[rows] + columns(self._radius[rows]) * draws
        self._points[rows] = self._projected(rows, start)
        self._iteration[rows] = 0
        self._runs[rows] += 1

    def _take_over(self, rows: Tensor) -> None:
        """Keep adversarial points; each is nearer than the last one of its image."""
        self._runs[rows] *= self.good[rows].isfinite()
        self.best[rows] = self._points[rows]
        self.good[rows] = norms(self._points[rows] - self._images[rows], "linf")

    def _try_another_radius(self, rows: Tensor, excess: Tensor, gradients: Tensor) -> None:
        """Begin runs at radii between the failing and the succeeding one, from where we are."""
        images, changes = self._images[rows], self._points[rows] - self._images[rows]
        at_image = excess - sums(gradients * changes)
        least = to_hyperplane(images, gradients, -at_image, "linf")
        bad, good, before = self._bad[rows], self.good[rows], self._radius[rows]
        width = good - bad
        wanted = norms(least, "linf").nan_to_num(nan=0.0)
        radius = wanted.clamp(bad + EDGE * width, good - EDGE * width)
        self._radius[rows] = radius
        # Into a larger ball the change is resized, into a smaller one it is cut off.
        resized = images + columns(radius / before) * changes
        self._points[rows] = self._projected(rows, resized)
        self._iteration[rows] = 0
        self._runs[rows] += 1

    def _goes_on(self, rows: Tensor) -> Tensor:
        """Return which images' searches are not over."""
        good, bad, runs = self.good[rows], self._bad[rows], self._runs[rows]
        searching = (good - bad > TOLERANCE * good) & (runs <= self._attack.bisecting)
        return torch.where(good.isinf(), runs <= self._attack.growing, searching)
