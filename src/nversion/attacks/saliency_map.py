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
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import torch
from torch import Tensor

from nversion.attacks.base import Attack, check_count, check_option
from nversion.attacks.criteria import is_adversarial, log_odds
from nversion.attacks.gradient import gradient_targets
from nversion.attacks.noise import Noise
from nversion.attacks.oracle import Oracle
from nversion.attacks.registry import register

__all__ = ["SaliencyMap"]


@register
@dataclasses.dataclass(frozen=True)
class SaliencyMap(Attack):
    """Moves one pixel at a time, the most salient for a target class first.

    Attributes:
        iterations: moves of pixels at the most, all together.
        theta: how far one move goes.
        changes_per_pixel: how often one pixel may move.
    """

    iterations: int = 2000
    theta: float = 0.1
    changes_per_pixel: int = 7

    name: ClassVar[str] = "saliency-map"
    norm: ClassVar[str] = "l0"

    def __post_init__(self) -> None:
        check_count("iterations", self.iterations)
        check_option("theta", self.theta)
        check_count("changes_per_pixel", self.changes_per_pixel)

    def propose(self, oracle: Oracle, images: Tensor, labels: Tensor, noise: Noise) -> Tensor:
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
        few, many = torch.zeros_like(labels), made
        for _ in range((self.changes_per_pixel - 1).bit_length()):
            middle = (few + many) // 2
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
