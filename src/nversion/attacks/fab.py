"""FAB, the Fast Adaptive Boundary attack (Croce & Hein 2020).

"Minimally distorted adversarial examples with a fast adaptive boundary attack", ICML 2020. Each
step takes the boundary between the label and a wrong class to be the hyperplane that the logits'
gradients at the current point say, projects both the current point and the original onto it within
[0, 1] (section 3.1), and goes to a mean of the two, each taken further by the factor eta (section
3.2); the nearer the current point is to the hyperplane, the less the original counts, and never
more than alpha_max. An adversarial point is pulled back towards the original by beta (3.3).

This is the targeted form that AutoAttack uses: one run per wrong class, those with the largest
logits on the original; whatever class a point is given, it counts if it is not the label.
Chosen here:

- The nearest adversarial image of all runs is brought back along the line to the original by ten
  bisections, where the paper's final search takes three steps.
- An image is on its way to all its classes at once, and those ways end early that have come to
  rest or to nothing near the nearest.
- The first run for a class starts from the original, later ones at random within half the best
  distance so far (half of the default epsilon if there is none).
- `enough`: an image is finished once it is adversarial within this distance. AutoAttack asks only
  whether there is such an image.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import torch
from torch import Tensor

from nversion.attacks.apgd import targets_by_rank
from nversion.attacks.ball import BALLS, DEFAULT_EPSILON, columns, norms, sums, within
from nversion.attacks.base import Attack, check_count, check_option
from nversion.attacks.criteria import is_adversarial, pair_margin
from nversion.attacks.noise import Noise
from nversion.attacks.oracle import Oracle
from nversion.attacks.registry import register
from nversion.norms import norm_name

__all__ = ["FastAdaptiveBoundary", "to_hyperplane"]

BISECTIONS = 10

AT_ONCE = 64
"""Images treated at once, at the most: each is on its way to all its targets."""

PATIENCE = 15
STILL = 2e-3
HOPELESS = 1.5
"""Every so many steps a walk ends, if it is not the nearest of its image, whose distance has not
fallen by this share since, or is more than this many times the nearest's."""

AIM = 2.0
"""Where the hyperplane is put, in success margins behind the boundary."""


def to_hyperplane(points: Tensor, normals: Tensor, gaps: Tensor, norm: str) -> Tensor:
    """Return the smallest change that takes each point onto its hyperplane within [0, 1].

    The change d minimises its L2 or Linf norm under <normal, d> = gap and 0 <= point + d <= 1;
    where no such d exists, it goes as far towards the hyperplane as the box allows.

    For a gap above zero (for one below, the normal's sign is turned), component i moves by
    min(t * s_i, room_i) in the direction of the normal's sign, where s_i is the normal's size for
    L2 and 1 for Linf, and room_i what the box leaves. The gain, the sum of |normal_i| times the
    moves, is a concave function of t made of straight pieces, so Newton's method from t = 0 rises
    to the t at which it equals the gap in a few steps and is exact there.

    Args:
        points: float32 [count, ...] in [0, 1].
        normals: float32 [count, ...].
        gaps: float32 [count].
        norm: "l2" or "linf".
    """
    signs = torch.where(gaps < 0, -1.0, 1.0)
    slopes = normals.flatten(1) * signs[:, None]
    start = points.flatten(1)
    directions = slopes.sign()
    room = (torch.where(slopes > 0, 1.0 - start, start) * directions.abs()).double()
    sizes = slopes.abs().double()
    speeds = sizes if norm == "l2" else directions.abs().double()
    # Components that do not move have met the box from the beginning.
    times = torch.where(speeds > 0, room / speeds, 0.0)
    rates, gains = sizes * speeds, sizes * room
    wanted = gaps.abs().double()
    time = torch.zeros_like(wanted)
    open_ = wanted > 0
    while bool(open_.any()):
        moving = times > time[:, None]
        rate = sums(torch.where(moving, rates, 0.0))
        needed = (wanted - sums(torch.where(moving, 0.0, gains))) / rate
        needed = torch.where(rate > 0, needed, torch.inf)
        open_ &= (needed > time) & time.isfinite()
        time = torch.where(open_, needed, time)
    farthest = torch.finfo(torch.float64).max
    moves = torch.minimum(time.clamp(max=farthest)[:, None] * speeds, room)
    return (moves * directions).to(points.dtype).reshape(points.shape)


@register
@dataclasses.dataclass(frozen=True)
class FastAdaptiveBoundary(Attack):
    """FAB, targeted at the likeliest wrong classes one after another; minimises L2 or Linf.

    Attributes:
        norm: "linf" or "l2".
        targets: wrong classes aimed at, at the most.
        steps: iterations of one run.
        restarts: runs per class; the first starts from the original, the others at random.
        alpha_max: largest weight of the original's projection.
        eta: how far each step goes, in lengths of the projection.
        beta: what part of its distance an adversarial point keeps.
        enough: distance at which an image is finished; None: never before its last step.
    """

    # The base fixes the norm per class; here it is an option, and so differs between instances.
    norm: str = "linf"  # type: ignore[misc]
    targets: int = 9
    steps: int = 100
    restarts: int = 1
    alpha_max: float = 0.1
    eta: float = 1.05
    beta: float = 0.9
    enough: float | None = None

    name: ClassVar[str] = "fab"
    paper: ClassVar[str] = "Croce & Hein 2020"

    def __post_init__(self) -> None:
        object.__setattr__(self, "norm", norm_name(self.norm, BALLS))
        for option in ("targets", "steps", "restarts"):
            check_count(option, getattr(self, option))
        for option in ("alpha_max", "eta", "beta"):
            check_option(option, getattr(self, option))
        if self.enough is not None:
            check_option("enough", self.enough)

    def propose(self, oracle: Oracle, images: Tensor, labels: Tensor, noise: Noise) -> Tensor:
        """Return the nearest adversarial image found; the original where none was."""
        rows = torch.arange(len(images), device=images.device)
        parts = [
            self._nearest(oracle, images[part], labels[part], noise.of(part))
            for part in torch.split(rows, AT_ONCE)
        ]
        return torch.cat(parts)

    def _nearest(self, oracle: Oracle, images: Tensor, labels: Tensor, noise: Noise) -> Tensor:
        best = images.clone()
        distances = torch.full((len(images),), torch.inf, device=images.device)
        aims = targets_by_rank(oracle.logits(images), labels, self.targets)
        open_ = torch.arange(len(images), device=images.device)
        for restart in range(self.restarts):
            start = images[open_, None].expand(-1, aims.shape[1], -1, -1, -1)
            if restart:
                start = self._random_starts(start, distances[open_], open_, noise)
            run = _Run(self, oracle, images[open_], labels[open_], aims[open_])
            found, reached = run.go(start.flatten(0, 1))
            nearer = reached < distances[open_]
            best[open_[nearer]], distances[open_[nearer]] = found[nearer], reached[nearer]
            if self.enough is not None:
                open_ = open_[~self._enough(best[open_], images[open_], distances[open_])]
            if len(open_) == 0:
                break
        rows = distances.isfinite().nonzero().squeeze(1)
        best[rows] = _drawn_in(oracle, best[rows], images[rows], labels[rows])
        return best

    def _enough(self, points: Tensor, originals: Tensor, distances: Tensor) -> Tensor:
        """Return which rows, bool [count], are adversarial as near as asked for."""
        if self.enough is None:
            return torch.zeros_like(distances, dtype=torch.bool)
        return distances.isfinite() & within(points, originals, self.enough, self.norm)

    def _random_starts(
        self, originals: Tensor, distances: Tensor, rows: Tensor, noise: Noise
    ) -> Tensor:
        """Return one start for each target, like `originals`, [count, targets, ...]."""
        shape = tuple(originals.shape[1:])
        if self.norm == "linf":
            draws = noise.uniform(rows, *shape, low=-1.0, high=1.0)
        else:
            draws = noise.normal(rows, *shape)
        radius = distances.clamp(max=DEFAULT_EPSILON[self.norm]) / 2
        sizes = norms(draws.flatten(0, 1), self.norm).view(draws.shape[:2])
        scales = radius[:, None] / sizes.clamp(min=torch.finfo(draws.dtype).tiny)
        return (originals + scales[:, :, None, None, None] * draws).clamp(0.0, 1.0)


class _Run:
    """One run towards each class for each image; a walk is an image on its way to one class.

    Attributes:
        best: the nearest adversarial point that each walk has met.
        distances: float32 [walks], their distances; infinite where none was met.
    """

    def __init__(
        self,
        attack: FastAdaptiveBoundary,
        oracle: Oracle,
        images: Tensor,
        labels: Tensor,
        targets: Tensor,
    ) -> None:
        self._attack = attack
        self._oracle = oracle
        count, aims = targets.shape
        owners = torch.arange(count, device=images.device)
        self._owners = owners.repeat_interleave(aims)
        self._images = images[self._owners]
        self._labels = labels[self._owners]
        self._targets = targets.flatten()
        self._shape = (count, aims)
        self.best = self._images.clone()
        self.distances = torch.full((count * aims,), torch.inf, device=images.device)

    def go(self, start: Tensor) -> tuple[Tensor, Tensor]:
        """Return the nearest points found, one per image, and their distances, [count]."""
        attack = self._attack
        points = start
        rows = torch.arange(len(start), device=start.device)
        record = torch.full_like(self.distances, torch.inf)
        for step in range(1, attack.steps + 1):
            originals, labels = self._images[rows], self._labels[rows]
            points = self._step(points, rows)
            hit = is_adversarial(self._oracle.logits(points), labels, self._oracle.dtype)
            distances = norms(points - originals, attack.norm)
            better = hit & (distances < self.distances[rows])
            self.best[rows[better]] = points[better]
            self.distances[rows[better]] = distances[better]
            nearer = originals + attack.beta * (points - originals)
            points = torch.where(columns(hit), nearer, points)
            going = self._not_enough(rows)
            if step % PATIENCE == 0:
                going &= self._promising(rows, record)
                record = self.distances.clone()
            rows, points = rows[going], points[going]
            if len(rows) == 0:
                break
        distances, nearest = self.distances.view(self._shape).min(dim=1)
        walks = nearest + self._shape[1] * torch.arange(len(nearest), device=nearest.device)
        return self.best[walks], distances

    def _not_enough(self, rows: Tensor) -> Tensor:
        """Return which walks' images are not finished, bool [walks]."""
        done = self._attack._enough(self.best, self._images, self.distances)
        return ~done.view(self._shape).any(dim=1)[self._owners[rows]]

    def _promising(self, rows: Tensor, record: Tensor) -> Tensor:
        """Return which walks go on, bool [walks], given their distances some steps ago.

        The nearest of each image does, and others that still come nearer and are not far behind.
        """
        now, before = self.distances[rows], record[rows]
        nearest = self.distances.view(self._shape).amin(dim=1)[self._owners[rows]]
        falling = before - now > STILL * now
        return (
            now.isinf()
            | before.isinf()
            | (now == nearest)
            | (falling & (now <= HOPELESS * nearest))
        )

    def _step(self, points: Tensor, rows: Tensor) -> Tensor:
        """Return where the next step takes the points of `rows`."""
        attack = self._attack
        originals = self._images[rows]
        pairs = torch.stack([self._targets[rows], self._labels[rows]], dim=1)

        def lead(logits: Tensor, chosen: Tensor) -> Tensor:
            target, own = logits.gather(1, pairs[chosen]).unbind(dim=1)
            return target - own

        logits, gradients = self._oracle.gradient(points, lead)
        # Aim behind the margin that a success needs: a point between the boundary and the margin
        # would be no success, and yet have nowhere left to go.
        target, own = logits.gather(1, pairs).unbind(dim=1)
        wanted = AIM * pair_margin(target, own, self._oracle.dtype)
        missing = wanted - (target - own)
        missing = missing.nan_to_num(0.0, 0.0, 0.0)
        here = to_hyperplane(points, gradients, missing, attack.norm)
        # The hyperplane lies further from the original by what the way to the point gained.
        missing = missing + sums(gradients * (points - originals))
        there = to_hyperplane(originals, gradients, missing, attack.norm)
        near = norms(here, attack.norm).clamp(min=1e-8)
        far = norms(there, attack.norm).clamp(min=1e-8)
        weight = columns((near / (near + far)).clamp(max=attack.alpha_max))
        ahead = points + attack.eta * here
        beside = originals + attack.eta * there
        return ((1.0 - weight) * ahead + weight * beside).clamp(0.0, 1.0)


def _drawn_in(oracle: Oracle, points: Tensor, originals: Tensor, labels: Tensor) -> Tensor:
    """Return adversarial points on the line to the originals, as near as bisection brings them."""
    if len(points) == 0:
        return points
    low = torch.zeros(len(points), device=points.device)
    high = torch.ones_like(low)
    best = points
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        tried = originals + columns(middle) * (points - originals)
        hit = is_adversarial(oracle.logits(tried), labels, oracle.dtype)
        best = torch.where(columns(hit), tried, best)
        low, high = torch.where(hit, low, middle), torch.where(hit, middle, high)
    return best
