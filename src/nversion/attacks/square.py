"""The Square attack: random search with square patches, no gradients (Andriushchenko et al. 2020).

"Square Attack: a query-efficient black-box adversarial attack via random search", ECCV 2020,
algorithms 1 to 3. Each query changes a random square of the best image so far and keeps the change
if the margin loss falls. The squares' area starts at the share p_init of the image and is halved
on the paper's schedule. For Linf the changed square holds +epsilon or -epsilon per channel, and the
search starts from vertical stripes. For L2 the change takes the budget of two windows, and what is
unused, for a bump with one half positive and one negative; the search starts from a grid of bumps.

Chosen here:

- Each image draws its own squares (the authors' programs give all images of a batch the same), and
  squares reach the last row and column, as the paper has it.
- The schedule is counted in queries of 10,000, as in AutoAttack, also when fewer are allowed.
- L2: sides of at least 3 pixels and odd; the changed perturbation is scaled to the ball's surface
  before it is clipped into [0, 1]. Both as in the authors' programs.
"""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import torch
from torch import Tensor

from nversion.attacks.ball import BallAttack, columns, norms, on_sphere, project, sums
from nversion.attacks.base import check_count, check_option
from nversion.attacks.criteria import is_adversarial, margins
from nversion.attacks.noise import Noise
from nversion.attacks.oracle import Oracle
from nversion.attacks.registry import register

__all__ = ["Square", "bump", "patch_share"]

HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""Queries after which the patches' area is halved (section 3.2, for a budget of 10,000)."""

BLOCK = 50
"""Queries whose random numbers are drawn together."""

GRID = 5
"""Bumps per side in the L2 start."""


def patch_share(query: int, p_init: float) -> float:
    """Return the share of the image that a patch covers at the given query, counted from 0."""
    halvings: int = sum(query > after for after in HALVINGS)
    return p_init / 2.0**halvings


def _hill(height: int, width: int) -> Tensor:
    """Return a pyramid of nested squares around the middle, float32 [height, width] (equation 2).

    The square with pixels up to k from the middle adds 1 / (k + 1)^2 to each of them.
    """
    rows = (torch.arange(height) - height // 2).abs()[:, None]
    columns_ = (torch.arange(width) - width // 2).abs()[None, :]
    squares = max(height, width) // 2 + 1
    steps = 1.0 / torch.arange(1, squares + 1).square()
    heights = steps.flip(0).cumsum(0).flip(0)
    away = torch.maximum(rows.expand(height, width), columns_.expand(height, width))
    padded = torch.cat([heights, torch.zeros(1)])
    return padded[away.clamp(max=squares)]


def bump(side: int) -> Tensor:
    """Return the L2 patch of norm 1, float32 [side, side]: a hill above, its negative below."""
    upper = _hill(side // 2, side)
    lower = _hill(side - side // 2, side)
    parts = [part / part.norm().clamp(min=1e-12) for part in (upper, lower)]
    whole: Tensor = torch.cat([parts[0], -parts[1]])
    return whole.div(whole.norm())


@register
@dataclasses.dataclass(frozen=True)
class Square(BallAttack):
    """The Square attack within an Linf or L2 ball; asks for logits only.

    Attributes:
        norm: "linf" or "l2".
        epsilon: radius; by default 0.3 (Linf) or 2.0 (L2).
        queries: patches tried per run.
        p_init: share of the image that the first patches cover.
        restarts: runs, each with new random numbers.
    """

    queries: int = 5000
    p_init: float = 0.8
    restarts: int = 1

    name: ClassVar[str] = "square"
    paper: ClassVar[str] = "Andriushchenko et al. 2020"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("queries", self.queries)
        check_option("p_init", self.p_init)
        check_count("restarts", self.restarts)

    def propose(self, oracle: Oracle, images: Tensor, labels: Tensor, noise: Noise) -> Tensor:
        """Return an adversarial image within epsilon; the original where none was found."""
        result = images.clone()
        open_ = torch.arange(len(images), device=images.device)
        for _ in range(self.restarts):
            if len(open_) == 0:
                break
            search = _Search(self, oracle, images[open_], labels[open_], noise.of(open_))
            success, reached = search.run()
            result[open_[success]] = reached[success]
            open_ = open_[~success]
        return result


class _Search:
    """One run of the random search for each image."""

    def __init__(
        self, attack: Square, oracle: Oracle, images: Tensor, labels: Tensor, noise: Noise
    ) -> None:
        self._attack = attack
        self._oracle = oracle
        self._images = images
        self._labels = labels
        self._noise = noise
        self._change = self._linf_change if attack.norm == "linf" else self._l2_change
        self._bumps: dict[int, Tensor] = {}

    def run(self) -> tuple[Tensor, Tensor]:
        """Return which rows succeeded, bool [count], and the best images of all."""
        attack = self._attack
        rows = torch.arange(len(self._images), device=self._images.device)
        best = _stripes(attack, self._images, self._noise, rows)
        loss, success = self._look(best, rows)
        channels = best.shape[1]
        rows = rows[~success]
        for query in range(attack.queries):
            if len(rows) == 0:
                break
            if query % BLOCK == 0:
                # Drawn for all rows that are left; an image that finishes leaves the rest unused.
                drawn_for = rows
                draws = self._noise.uniform(rows, BLOCK, channels + 5)
            mine = torch.searchsorted(drawn_for, rows)
            share = patch_share(query, attack.p_init)
            numbers = draws[mine, query % BLOCK]
            tried = self._change(self._images[rows], best[rows], share, numbers)
            found_loss, hit = self._look(tried, rows)
            better = hit | (found_loss < loss[rows])
            best[rows[better]] = tried[better]
            loss[rows[better]] = found_loss[better]
            success[rows[hit]] = True
            rows = rows[~hit]
        return success, best

    def _look(self, points: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return the margin loss (the label's logit less the largest other) and the successes."""
        logits = self._oracle.logits(points)
        labels = self._labels[rows]
        return -margins(logits, labels), is_adversarial(logits, labels, self._oracle.dtype)

    def _linf_change(self, images: Tensor, best: Tensor, share: float, draws: Tensor) -> Tensor:
        """Return `best` with one square per image moved to a face of the ball (algorithm 2)."""
        height, width = images.shape[2:]
        side = min(max(round(math.sqrt(share * height * width)), 1), height, width)
        window = _window(draws[:, :2], side, height, width)
        signs = _signs(draws[:, 5:])[:, :, None, None]
        moved = best + 2.0 * self._attack.radius * signs * window[:, None]
        return project(moved, images, self._attack.radius, "linf")

    def _l2_change(self, images: Tensor, best: Tensor, share: float, draws: Tensor) -> Tensor:
        """Return `best` with the budget of two windows spent in the first (algorithm 3)."""
        count, channels, height, width = images.shape
        radius = self._attack.radius
        side = min(max(round(math.sqrt(share * height * width)), 3) | 1, height, width)
        changes = best - images
        to_fill = _window(draws[:, :2], side, height, width)[:, None]
        to_empty = _window(draws[:, 2:4], side, height, width)[:, None]
        unused = (radius**2 - sums(changes.square())).clamp(min=0.0)
        freed = sums((changes * (to_fill | to_empty)).square().flatten(0, 1))
        budget = (freed.view(count, channels) + unused[:, None] / channels).sqrt()

        old = changes[to_fill.expand_as(changes)].view(count, channels, side, side)
        if side not in self._bumps:
            self._bumps[side] = bump(side).to(images.device)
        pattern = self._bumps[side]
        pattern = torch.where(columns(draws[:, 4] < 0.5), pattern.T, pattern)
        new = _per_channel_unit(old) + _signs(draws[:, 5:])[:, :, None, None] * pattern
        new = _per_channel_unit(new) * budget[:, :, None, None]

        changes = torch.where(to_empty, 0.0, changes).masked_scatter(to_fill, new)
        return on_sphere(changes, images, radius, "l2")


def _stripes(attack: Square, images: Tensor, noise: Noise, rows: Tensor) -> Tensor:
    """Return where the search starts: vertical stripes for Linf, a grid of bumps for L2."""
    _, channels, height, width = images.shape
    if attack.norm == "linf":
        signs = _signs(noise.uniform(rows, channels, 1, width))
        return project(images + attack.radius * signs, images, attack.radius, "linf")
    tile = max(min(height, width) // GRID, 1)
    down, across = height // tile, width // tile
    flips = noise.uniform(rows, 1 + channels, down, across)
    signs = _signs(flips[:, 1:])[:, :, :, None, :, None]
    pattern = bump(tile).to(images.device)
    turned = flips[:, :1, :, None, :, None] < 0.5
    tiles = torch.where(turned, pattern.T[:, None, :], pattern[:, None, :]) * signs
    start = torch.zeros_like(images)
    top, left = (height - down * tile) // 2, (width - across * tile) // 2
    start[:, :, top : top + down * tile, left : left + across * tile] = tiles.reshape(
        len(images), channels, down * tile, across * tile
    )
    return on_sphere(start, images, attack.radius, "l2")


def _signs(uniform: Tensor) -> Tensor:
    return torch.where(uniform < 0.5, -1.0, 1.0)


def _corner(uniform: Tensor, room: int) -> Tensor:
    """Return int64 positions in 0..room from numbers uniform in [0, 1)."""
    return (uniform * (room + 1)).long().clamp(max=room)


def _per_channel_unit(patches: Tensor) -> Tensor:
    """Return patches [count, channels, side, side], each scaled to L2 norm 1 (zeros stay zero)."""
    lengths = norms(patches.flatten(0, 1), "l2").clamp(min=1e-12)
    return patches / lengths.view(*patches.shape[:2], 1, 1)


def _window(draws: Tensor, side: int, height: int, width: int) -> Tensor:
    """Return bool [count, height, width]: a square of this side, placed by two uniform numbers."""
    top = _corner(draws[:, 0], height - side)[:, None]
    left = _corner(draws[:, 1], width - side)[:, None]
    down = torch.arange(height, device=draws.device)
    across = torch.arange(width, device=draws.device)
    in_rows = (down >= top) & (down < top + side)
    in_columns = (across >= left) & (across < left + side)
    return in_rows[:, :, None] & in_columns[:, None, :]
