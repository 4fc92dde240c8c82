"""HopSkipJump: a minimal perturbation from decisions alone (Chen, Jordan & Wainwright 2020).

"HopSkipJumpAttack: a query-efficient decision-based attack", IEEE S&P 2020, algorithms 1 and 2. The
model is asked only whether an image is adversarial. From some adversarial image far away, each
iteration goes to the boundary by bisection on the way to the original; estimates the boundary's
normal there from the answers to small random changes, evaluations * sqrt(t) of them in iteration t,
each answer reduced by their mean (equation 16); and steps along it, distance / sqrt(t) at first,
halved until the image is adversarial again. The width of the changes is the distance over the
number of inputs (0.1 in the first iteration), the bisection's tolerance gamma * inputs^(-3/2) for
L2 and gamma * inputs^(-2) for Linf (section IV).

Chosen here:

- "Adversarial" is asked with the margin that a success needs, as everywhere in this package.
- The first adversarial image: the paper blends in uniform noise. Many networks give all noise one
  class, so the image's own negative, even greys, mirrored and turned copies and noise of fewer
  pixels are tried as well; the nearest of those that are adversarial begins.
- The nearest adversarial image of all iterations is returned, not the last one's.
"""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import torch
from torch import Tensor

from nversion.attacks.ball import BALLS, columns, norms, steepest
from nversion.attacks.base import Attack, check_count, check_option
from nversion.attacks.criteria import is_adversarial
from nversion.attacks.noise import Noise
from nversion.attacks.oracle import Oracle
from nversion.attacks.registry import register
from nversion.norms import norm_name

__all__ = ["HopSkipJump"]

FIRST_WIDTH = 0.1
"""Width of the random changes in the first iteration, of the range [0, 1]."""

HALVINGS = 40
"""How often a step is halved before it is given up."""

GREYS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Even images tried as a start."""


@register
@dataclasses.dataclass(frozen=True)
class HopSkipJump(Attack):
    """HopSkipJump for L2 or Linf; asks for the predicted class only.

    Attributes:
        norm: "l2" or "linf".
        steps: iterations.
        evaluations: random changes asked about in the first iteration (B_0 in the paper).
        most_evaluations: as many at the most in any iteration.
        starts: random images tried as a start.
        gamma: scales the bisection's tolerance.
    """

    # The base fixes the norm per class; here it is an option, and so differs between instances.
    norm: str = "l2"  # type: ignore[misc]
    steps: int = 40
    evaluations: int = 100
    most_evaluations: int = 10_000
    starts: int = 100
    gamma: float = 1.0

    name: ClassVar[str] = "hop-skip-jump"
    paper: ClassVar[str] = "Chen et al. 2020"
    targetable: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "norm", norm_name(self.norm, BALLS))
        for option in ("steps", "evaluations", "most_evaluations", "starts"):
            check_count(option, getattr(self, option))
        check_option("gamma", self.gamma)

    def propose(self, oracle: Oracle, images: Tensor, labels: Tensor, noise: Noise) -> Tensor:
        """Return the nearest adversarial image found; the original where no start was."""
        hop = _Hop(self, oracle, images, labels, noise)
        rows, points = hop.begin()
        result = images.clone()
        if len(rows) == 0:
            return result
        points = hop.to_boundary(points, rows)
        best, distances = points, norms(points - images[rows], self.norm)
        for step in range(1, self.steps + 1):
            points = hop.to_boundary(hop.jump(points, rows, step), rows)
            reached = norms(points - images[rows], self.norm)
            nearer = reached < distances
            best = torch.where(columns(nearer), points, best)
            distances = torch.where(nearer, reached, distances)
        result[rows] = best
        return result


class _Hop:
    """The parts of one attack on a batch; `rows` are indices into it."""

    def __init__(
        self, attack: HopSkipJump, oracle: Oracle, images: Tensor, labels: Tensor, noise: Noise
    ) -> None:
        self._attack = attack
        self._oracle = oracle
        self._images = images
        self._labels = labels
        self._noise = noise
        inputs = images[0].numel()
        power = 1.5 if attack.norm == "l2" else 2.0
        self._inputs = inputs
        tolerance = min(attack.gamma / inputs**power, 0.5)
        self._bisections = math.ceil(-math.log2(tolerance))

    def _decide(self, points: Tensor, labels: Tensor) -> Tensor:
        """Return whether each point is adversarial, bool [count]: all that the model is asked."""
        return is_adversarial(self._oracle.logits(points), labels, self._oracle.dtype)

    def begin(self) -> tuple[Tensor, Tensor]:
        """Return the rows for which an adversarial image was found, and these images."""
        rows, points = [], []
        for row, (image, label) in enumerate(zip(self._images, self._labels, strict=True)):
            candidates = self._candidates(image, row)
            hits = self._decide(candidates, label.expand(len(candidates)))
            if bool(hits.any()):
                found = candidates[hits]
                away = norms(found - image, self._attack.norm)
                rows.append(row)
                points.append(found[int(away.argmin())])
        chosen = torch.tensor(rows, dtype=torch.int64, device=self._images.device)
        return chosen, torch.stack(points) if points else self._images[:0]

    def _candidates(self, image: Tensor, row: int) -> Tensor:
        """Return images that may be adversarial for this one, [count, channels, height, width]."""
        which = torch.tensor([row])
        noisy = self._noise.uniform(which, self._attack.starts, *image.shape)[0]
        # Each draw is blended in by another share, and in another share of the pixels.
        shares = self._noise.uniform(which, self._attack.starts, 2)[0][:, :, None, None, None]
        picked = self._noise.uniform(which, self._attack.starts, *image.shape)[0] < shares[:, 0]
        blended = image + shares[:, 1] * (noisy - image)
        made = [
            torch.stack([torch.full_like(image, grey) for grey in GREYS]),
            torch.stack([1.0 - image, image.flip(2), image.flip(1), image.flip(1, 2)]),
            noisy,
            blended,
            torch.where(picked, noisy.round(), image),
        ]
        if image.shape[1] == image.shape[2]:
            made.append(torch.stack([image.mT, image.mT.flip(1), image.mT.flip(2)]))
        return torch.cat(made)

    def to_boundary(self, points: Tensor, rows: Tensor) -> Tensor:
        """Return adversarial points on the way to the originals, up to the tolerance nearest."""
        originals, labels = self._images[rows], self._labels[rows]
        lengths = norms(points - originals, self._attack.norm)
        low, high = torch.zeros_like(lengths), torch.ones_like(lengths)
        nearest = points
        for _ in range(self._bisections):
            middle = (low + high) / 2
            if self._attack.norm == "l2":
                tried = originals + columns(middle) * (points - originals)
            else:
                reach = columns(middle * lengths)
                tried = torch.minimum(torch.maximum(points, originals - reach), originals + reach)
            hit = self._decide(tried, labels)
            nearest = torch.where(columns(hit), tried, nearest)
            low, high = torch.where(hit, low, middle), torch.where(hit, middle, high)
        return nearest

    def jump(self, points: Tensor, rows: Tensor, step: int) -> Tensor:
        """Return adversarial points a step along the boundary's normal; `points` where none is."""
        originals, labels = self._images[rows], self._labels[rows]
        distances = norms(points - originals, self._attack.norm)
        widths = distances / self._inputs if step > 1 else torch.full_like(distances, FIRST_WIDTH)
        asked = min(int(self._attack.evaluations * math.sqrt(step)), self._attack.most_evaluations)
        normals = torch.stack(
            [
                self._normal(point, label, int(row), width, asked)
                for point, label, row, width in zip(points, labels, rows, widths, strict=True)
            ]
        )
        directions = steepest(normals, self._attack.norm)
        lengths = distances / math.sqrt(step)
        moved = points.clone()
        open_ = torch.arange(len(rows), device=rows.device)
        for _ in range(HALVINGS):
            if len(open_) == 0:
                break
            ahead = columns(lengths[open_]) * directions[open_]
            tried = (points[open_] + ahead).clamp(0.0, 1.0)
            hit = self._decide(tried, labels[open_])
            moved[open_[hit]] = tried[hit]
            open_ = open_[~hit]
            lengths = lengths / 2
        return moved

    def _normal(self, point: Tensor, label: Tensor, row: int, width: Tensor, asked: int) -> Tensor:
        """Return the estimated direction into the adversarial side at one point (equation 16)."""
        which = torch.tensor([row])
        if self._attack.norm == "l2":
            draws = self._noise.normal(which, asked, *point.shape)[0]
        else:
            draws = self._noise.uniform(which, asked, *point.shape, low=-1.0, high=1.0)[0]
        changed = (point + width * steepest(draws, "l2")).clamp(0.0, 1.0)
        # What was asked about is the clipped change; the estimate rests on that.
        asked_about = (changed - point) / width
        answers = torch.where(self._decide(changed, label.expand(asked)), 1.0, -1.0)
        mean = answers.mean()
        if float(mean.abs()) < 1.0:
            answers = answers - mean
        return (columns(answers) * asked_about).mean(dim=0)
