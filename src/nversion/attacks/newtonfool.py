"""NewtonFool (Jang, Wu & Jha 2017), algorithm 1.

Gradient descent on the label's probability p. The step goes straight down its gradient, so long
that the linearised p falls by delta = min(eta * ||x0|| * ||grad p||, p - 1 / classes): by no more
than takes the label down to an even chance, and never longer than eta times the original's norm.
All norms are L2 norms, not their squares.

With z the log-odds of an error, p = 1 / (1 + exp(z)) and grad p = -p (1 - p) grad z; so the step is
along grad z, with length min(eta * ||x0||, (p - 1 / classes) / (p (1 - p) ||grad z||)). This form
does not break down where p rounds to 1.

Chosen here: as in Foolbox 2.4 the descent stops at the first adversarial point, after 100 steps at
the most. That point is drawn in along the straight line to the original.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import torch
from torch import Tensor

from nversion.attacks.ball import columns, norms
from nversion.attacks.base import Attack, check_count, check_option
from nversion.attacks.criteria import is_adversarial, log_odds, towards_errors
from nversion.attacks.noise import Noise
from nversion.attacks.oracle import Oracle
from nversion.attacks.ray import drawn_in
from nversion.attacks.registry import register

__all__ = ["NewtonFool"]


@register
@dataclasses.dataclass(frozen=True)
class NewtonFool(Attack):
    """Descent on the label's probability with Newton-like steps.

    Attributes:
        iterations: steps at the most.
        eta: the longest step, relative to the original's L2 norm.
    """

    iterations: int = 100
    eta: float = 0.01

    name: ClassVar[str] = "newtonfool"
    norm: ClassVar[str] = "l2"
    paper: ClassVar[str] = "Jang et al. 2017"
    targetable: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_count("iterations", self.iterations)
        check_option("eta", self.eta)

    def propose(self, oracle: Oracle, images: Tensor, labels: Tensor, noise: Noise) -> Tensor:
        """Return the first adversarial points of the descent, drawn in to the boundary."""
        points = images.clone()
        longest = self.eta * norms(images, "l2")
        rows = torch.arange(len(images), device=images.device)
        for iteration in range(self.iterations + 1):
            own = labels[rows]
            logits, gradients = oracle.gradient(points[rows], towards_errors(own))
            sizes = norms(gradients, "l2")
            going = ~is_adversarial(logits, own, oracle.dtype) & (sizes > 0)
            rows, sizes = rows[going], sizes[going]
            if len(rows) == 0 or iteration == self.iterations:
                break
            lengths = torch.minimum(longest[rows], _to_even_chance(logits, own)[going] / sizes)
            steps = columns(lengths / sizes) * gradients[going]
            points[rows] = (points[rows] + steps).clamp(0.0, 1.0)
        return drawn_in(oracle, images, points, labels)


def _to_even_chance(logits: Tensor, labels: Tensor) -> Tensor:
    """Return how much the log-odds must rise, linearly, to take p down to 1 / classes, [count].

    That is (p - 1 / classes) / (p (1 - p)), at least 0; it is huge where p is close to 1.
    """
    odds = log_odds(logits, labels).double().clamp(-500.0, 500.0).exp()
    # In terms of odds = (1 - p) / p this is (1 - (1 + odds) / classes) (1 + odds) / odds.
    excess = 1.0 - (1.0 + odds) / logits.shape[1]
    return (excess.clamp(min=0.0) * (1.0 + odds) / odds).float()
