"""The saliency map attack, JSMA (Papernot, McDaniel, Jha, Fredrikson, Celik & Swami 2016).

One pixel at a time is moved by theta: the one that raises the probability of a target class most
for the probability it takes from the others. As in Foolbox 2.4 the pixel may get brighter or
darker, it moves seven times at the most, the search has 2,000 moves at the most, it ends as soon as
the image is misclassified, and the target is the class that a gradient attack reaches.

The paper's saliency of a pixel is the product of the target probability's derivative and minus the
sum of the others'. Softmax probabilities sum to one, so both factors are the same, and the map
ranks pixels by the target's derivative; here by that of its log-odds, which has the same sign and
ranking and does not vanish where the model is sure.

Chosen here:

- Pixels that cannot move the way they should (they are at the end of the range, or have moved seven
  times) leave the map at once; the attack ends when the map is empty.
- The chosen pixel makes all its moves in one go, and the surplus ones of the last pixel are taken
  back. A pixel that moves hardly changes its own derivative, so it would be chosen again anyway;
  this needs seven times fewer gradients.
- A pixel chosen early may turn out to be worth little, and one with little room to move even by the
  map. So in the end the pixels are chosen anew, `refinements` times: the fewest that, each with all
  its moves, make the image misclassified according to a linear model around the original. The model
  is a running mean of the linearisations at the images met
  (:func:`nversion.attacks.linearised.finish`), and of the margin to whichever other class is the
  likeliest. The image with the fewest changed pixels is returned, with the least L2 distance among
  those with as few.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import ClassVar

import torch
from torch import Tensor

from nversion.attacks.ball import sums
from nversion.attacks.base import Attack, check_count, check_option
from nversion.attacks.criteria import is_adversarial, log_odds
from nversion.attacks.gradient import gradient_targets
from nversion.attacks.linearised import Finish, Linearised, finish, margin_slope
from nversion.attacks.nearest import Nearest
from nversion.attacks.noise import Noise
from nversion.attacks.oracle import Oracle
from nversion.attacks.registry import register

__all__ = ["SaliencyMap"]

REFINED = Finish(extra=0.05, memory=0.7, relax=0.7, tighten=1.5, last_step=1.0)
"""How the pixels are chosen anew."""

NEARLY = 1e-3
"""Share of a move by which rounding may make one look longer."""


@register
@dataclasses.dataclass(frozen=True)
class SaliencyMap(Attack):
    """Moves one pixel at a time, the most salient for a target class first.

    Attributes:
        iterations: moves of pixels at the most, all together.
        theta: how far one move goes.
        changes_per_pixel: how often one pixel may move.
        refinements: how often fewer pixels are sought from those found; 0 leaves these.
    """

    iterations: int = 2000
    theta: float = 0.1
    changes_per_pixel: int = 7
    refinements: int = 8

    name: ClassVar[str] = "saliency-map"
    norm: ClassVar[str] = "l0"
    paper: ClassVar[str] = "Papernot et al. 2016"

    def __post_init__(self) -> None:
        check_count("iterations", self.iterations)
        check_option("theta", self.theta)
        check_count("changes_per_pixel", self.changes_per_pixel)
        check_count("refinements", self.refinements, low=0)

    def propose(self, oracle: Oracle, images: Tensor, labels: Tensor, noise: Noise) -> Tensor:
        """Return the images with the fewest changed pixels that were met."""
        points = self._greedy(oracle, images, labels)
        return self._refined(oracle, images, points, labels) if self.refinements > 0 else points

    def _greedy(self, oracle: Oracle, images: Tensor, labels: Tensor) -> Tensor:
        """Return the images after the first move that made them adversarial."""
        targets = gradient_targets(oracle, images, labels)
        points, earlier = images.clone(), images.clone()
        unmoved = torch.ones_like(points, dtype=torch.bool).flatten(1)
        budget = torch.full_like(labels, self.iterations)
        pixels, made = torch.zeros_like(labels), torch.zeros_like(labels)
        directions = torch.zeros(len(images), device=images.device)
        rows = torch.arange(len(images), device=images.device)
        while True:
            slopes, adversarial = _slopes(oracle, points[rows], labels[rows], targets[rows])
            slopes = torch.where(unmoved[rows], slopes, 0.0)
            steepest, pixel = slopes.abs().max(dim=1)
            going = ~adversarial & (steepest > 0) & (budget[rows] > 0)
            rows, pixel, slopes = rows[going], pixel[going], slopes[going]
            if len(rows) == 0:
                break
            moves = budget[rows].clamp(max=self.changes_per_pixel)
            direction = slopes.gather(1, pixel[:, None])[:, 0].sign()
            earlier[rows] = points[rows]
            pixels[rows], directions[rows], made[rows] = pixel, direction, moves
            points[rows] = self._moved(points[rows], pixel, direction, moves)
            unmoved[rows, pixel] = False
            budget[rows] -= moves
        fewest = self._fewest_moves(oracle, earlier, labels, pixels, directions, made)
        return self._moved(earlier, pixels, directions, fewest)

    def _refined(self, oracle: Oracle, images: Tensor, points: Tensor, labels: Tensor) -> Tensor:
        """Return adversarial images with no more pixels changed than `points` has, where it is."""
        nearest = Nearest(images)
        fooled = is_adversarial(oracle.logits(points), labels, oracle.dtype)
        every = torch.arange(len(images), device=images.device)
        before = self._cost(points - images)
        nearest.keep(every, points, fooled, before)
        kind = functools.partial(_FewestPixels, attack=self)
        how = dataclasses.replace(REFINED, steps=self.refinements)
        finish(nearest, margin_slope(oracle, labels), how, kind)
        rows = (nearest.squares < before).nonzero().squeeze(1)
        if len(rows) > 0:
            given = images[rows], nearest.points[rows], labels[rows]
            points[rows] = self._surplus_taken_back(oracle, *given)
        return points

    def _cost(self, changes: Tensor) -> Tensor:
        """Return the number of changed pixels plus a share of 1 that grows with the L2 distance.

        Infinite where the changes take more moves than there may be.
        """
        pixels = (changes != 0).any(dim=1).flatten(1).sum(dim=1)
        length = sums(changes.square()) / (changes[0].numel() + 1)
        moves = self._moves(changes.flatten(1).abs()).sum(dim=1)
        return torch.where(moves <= self.iterations, pixels + length, torch.inf)

    def _moves(self, lengths: Tensor) -> Tensor:
        """Return how many moves ways of these lengths take, whole numbers in float32."""
        return (lengths / self.theta - NEARLY).ceil()

    def _surplus_taken_back(
        self, oracle: Oracle, images: Tensor, points: Tensor, labels: Tensor
    ) -> Tensor:
        """Return adversarial `points` less the moves beyond need of the pixel that moved least."""
        changes = (points - images).flatten(1)
        lengths, pixels = torch.where(changes != 0, changes.abs(), torch.inf).min(dim=1)
        directions = changes.gather(1, pixels[:, None])[:, 0].sign()
        unmoved = images.flatten(1).gather(1, pixels[:, None])
        earlier = points.flatten(1).scatter(1, pixels[:, None], unmoved).view_as(points)
        made = self._moves(lengths).long().clamp(max=self.changes_per_pixel)
        fewest = self._fewest_moves(oracle, earlier, labels, pixels, directions, made)
        return self._moved(earlier, pixels, directions, fewest)

    def _moved(self, points: Tensor, pixels: Tensor, directions: Tensor, moves: Tensor) -> Tensor:
        """Return points whose chosen pixel made so many moves in its direction."""
        flat = points.flatten(1)
        steps = (self.theta * moves * directions)[:, None]
        return flat.scatter_add(1, pixels[:, None], steps).clamp(0.0, 1.0).view_as(points)

    def _fewest_moves(
        self,
        oracle: Oracle,
        earlier: Tensor,
        labels: Tensor,
        pixels: Tensor,
        directions: Tensor,
        made: Tensor,
    ) -> Tensor:
        """Return how many of the moves `made` make each image adversarial, int64 [count]."""
        few, many = torch.full_like(labels, -1), made
        for _ in range(self.changes_per_pixel.bit_length()):
            middle = ((few + many) // 2).clamp(min=0)
            points = self._moved(earlier, pixels, directions, middle)
            held = is_adversarial(oracle.logits(points), labels, oracle.dtype)
            few, many = torch.where(held, few, middle), torch.where(held, middle, many)
        return many


def _slopes(
    oracle: Oracle, points: Tensor, labels: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the derivative of each pixel, [count, pixels], and which points are adversarial.

    The derivative is that of the target's log-odds; it is 0 where the pixel cannot follow it.
    """
    logits, gradients = oracle.gradient(
        points, lambda logits, rows: -log_odds(logits, targets[rows])
    )
    slopes, values = gradients.flatten(1), points.flatten(1)
    stuck = ((slopes > 0) & (values >= 1.0)) | ((slopes < 0) & (values <= 0.0))
    return slopes.masked_fill(stuck, 0.0), is_adversarial(logits, labels, oracle.dtype)


@dataclasses.dataclass
class _FewestPixels(Linearised):
    """Linear models of margins, and the fewest pixels whose moves bring them about.

    Attributes:
        attack: how far pixels may move.
    """

    attack: SaliencyMap = dataclasses.field(default_factory=SaliencyMap)

    def nearest(self, extra: Tensor) -> Tensor:
        """Return the images with the fewest moved pixels for which the models say `extra`.

        The pixels that bring most come first, with all their moves; the last one makes no more
        moves than are needed.
        """
        theta, most = self.attack.theta, self.attack.changes_per_pixel
        values, slopes = self.originals.flatten(1), self.normals.flatten(1)
        room = torch.where(slopes > 0, 1.0 - values, values).clamp(max=theta * most)
        gains, order = (slopes.abs() * room).sort(dim=1, descending=True, stable=True)
        gaps = (extra - self.values)[:, None] - (gains.cumsum(dim=1) - gains)
        steps = theta * slopes.gather(1, order)
        moves = (gaps / steps.abs()).ceil().clamp(0.0, float(most))
        moves = torch.where(gains > 0, moves, 0.0)
        changes = torch.zeros_like(values).scatter(1, order, theta * moves * steps.sign())
        return (values + changes).clamp(0.0, 1.0).view_as(self.originals)

    def size(self, changes: Tensor) -> Tensor:
        """Return the number of changed pixels, and among equals what is larger in L2."""
        return self.attack._cost(changes)
