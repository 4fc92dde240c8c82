"""Projected gradient descent from a random start (Madry, Makelov, Schmidt, Tsipras & Vladu 2017).

Within the Linf ball of radius epsilon around the image: start at a uniformly random point, take
steps along the sign of the cross-entropy's gradient, project onto the ball and into [0, 1], stop at
the first adversarial image. The radius is searched as in Foolbox 2.4: it grows by half until a run
succeeds (20 runs at most), then the interval below it is bisected (20 runs), the step size always
in the same proportion to the radius, each run with a new random start.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import torch
from torch import Tensor

from nversion.attacks.base import Attack, check_option, is_adversarial, towards_errors
from nversion.attacks.noise import Noise
from nversion.attacks.oracle import Oracle
from nversion.attacks.registry import register

__all__ = ["RandomPGD"]

GROWTH = 1.5


@register
@dataclasses.dataclass(frozen=True)
class RandomPGD(Attack):
    """Linf projected gradient descent from a random start, with a search over the radius.

    Attributes:
        epsilon: the first radius tried.
        step_size: the step at that radius; it scales with the radius.
        iterations: steps of one run.
        growing: radii tried, each half as large again, until one succeeds.
        bisecting: radii tried below it.
    """

    epsilon: float = 0.3
    step_size: float = 0.01
    iterations: int = 40
    growing: int = 20
    bisecting: int = 20

    name: ClassVar[str] = "random-pgd"
    norm: ClassVar[str] = "linf"

    def __post_init__(self) -> None:
        check_option("epsilon", self.epsilon)
        check_option("step_size", self.step_size)
        check_option("iterations", self.iterations)
        check_option("growing", self.growing)
        check_option("bisecting", self.bisecting, positive=False)

    def propose(self, oracle: Oracle, images: Tensor, labels: Tensor, noise: Noise) -> Tensor:
        """Return the adversarial image of the smallest radius at which a run succeeded."""
        best = images.clone()
        good = torch.full((len(images),), self.epsilon, device=images.device)
        found = torch.zeros_like(labels, dtype=torch.bool)
        for _ in range(self.growing):
            rows = (~found).nonzero().squeeze(1)
            if len(rows) == 0:
                break
            success, reached = self._run(oracle, images, labels, noise, rows, good[rows])
            best[rows[success]] = reached[success]
            found[rows[success]] = True
            good[rows[~success]] *= GROWTH
        rows = found.nonzero().squeeze(1)
        bad = torch.zeros_like(good)
        for _ in range(self.bisecting if len(rows) else 0):
            middle = (good[rows] + bad[rows]) / 2
            success, reached = self._run(oracle, images, labels, noise, rows, middle)
            best[rows[success]] = reached[success]
            good[rows[success]] = middle[success]
            bad[rows[~success]] = middle[~success]
        return best

    def _run(
        self,
        oracle: Oracle,
        images: Tensor,
        labels: Tensor,
        noise: Noise,
        rows: Tensor,
        epsilon: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Return which of `rows` a run at their radius succeeded on, and where each ended."""
        shape = tuple(images.shape[1:])
        radius = epsilon[:, None, None, None]
        step = radius * (self.step_size / self.epsilon)
        centre = images[rows]
        low, high = (centre - radius).clamp(min=0.0), (centre + radius).clamp(max=1.0)
        points = centre + radius * noise.uniform(rows, *shape, low=-1.0, high=1.0)
        points = torch.minimum(torch.maximum(points, low), high)
        success = torch.zeros_like(rows, dtype=torch.bool)
        active = torch.arange(len(rows), device=rows.device)
        for iteration in range(self.iterations + 1):
            own = labels[rows[active]]
            logits, gradients = oracle.gradient(points[active], towards_errors(own))
            hit = is_adversarial(logits, own)
            success[active[hit]] = True
            active, gradients = active[~hit], gradients[~hit]
            if len(active) == 0 or iteration == self.iterations:
                break
            moved = points[active] + step[active] * gradients.sign()
            points[active] = torch.minimum(torch.maximum(moved, low[active]), high[active])
        return success, points
