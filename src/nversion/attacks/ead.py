"""EAD, the elastic-net attack (Chen, Sharma, Zhang, Yi & Hsieh 2018).

"EAD: elastic-net attacks to deep neural networks via adversarial examples", AAAI 2018,
algorithm 1. For a constant c, accelerated shrinkage-thresholding (FISTA) minimises

    c * max(0, label's logit - largest other logit) + |d|^2 + (beta / rate) |d|_1

over the box: a gradient step on the first two terms, then every component within beta of the
original goes back to it and the others come nearer by beta. As in the authors' programs beta is not
multiplied by the rate, which falls with the square root of what is left of a round. A search over c
seeks the smallest that succeeds. The decision rule says which of the points met is returned: the
nearest in L1, or that of the smallest beta |d|_1 + |d|^2. Chosen here:

- The first c is the one at which the gradient just outweighs the penalties of a component that
  moves all the way, by the largest component of the gradient at the original; so the scale of the
  logits does not matter. It grows tenfold after rounds without a success.
- Rounds after the first start from the nearest point found, and so need fewer iterations.
- With the rule "l1", the nearest point is improved on in the end by linear models of the margin
  (:mod:`nversion.attacks.proximal`); `refinements=0` leaves what the algorithm found.
"""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import torch
from torch import Tensor

from nversion.attacks.ball import columns, norms
from nversion.attacks.base import Attack, check_count, check_option
from nversion.attacks.goal import Goal
from nversion.attacks.noise import Noise
from nversion.attacks.oracle import Oracle
from nversion.attacks.polish import polish
from nversion.attacks.projections import sizes_of
from nversion.attacks.record import Record
from nversion.attacks.registry import register
from nversion.errors import InputError

__all__ = ["ElasticNet"]

RULES = ("l1", "elastic-net")

TINY = 1e-30


@register
@dataclasses.dataclass(frozen=True)
class ElasticNet(Attack):
    """EAD.

    Attributes:
        rule: which point is returned: "l1", the nearest in L1; or "elastic-net".
        beta: by how much each step shrinks every component's change.
        rate: the first step's rate.
        iterations: steps for one c.
        binary_search_steps: values of c per image.
        refinements: linear models solved at the end (module docstring).
    """

    rule: str = "l1"
    beta: float = 0.001
    rate: float = 0.01
    iterations: int = 100
    binary_search_steps: int = 5
    refinements: int = 30

    name: ClassVar[str] = "ead"
    norm: ClassVar[str] = "l1"
    paper: ClassVar[str] = "Chen et al. 2018"

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise InputError(f"rule must be one of {', '.join(RULES)}, not {self.rule!r}")
        check_option("beta", self.beta)
        check_option("rate", self.rate)
        check_count("iterations", self.iterations)
        check_count("binary_search_steps", self.binary_search_steps)
        check_count("refinements", self.refinements, low=0)

    def propose(self, oracle: Oracle, images: Tensor, labels: Tensor, noise: Noise) -> Tensor:
        """Return the best adversarial image met, by the rule; the original where none was."""
        goal = Goal(oracle, images, labels)
        record = Record(images, self.norm, None if self.rule == "l1" else self._elastic)
        rows = torch.arange(len(images), device=images.device)
        _, gradients = goal.slope(images, rows)
        full = 2.0 + self.beta / self.rate
        constants = full / norms(gradients, "linf").clamp(min=TINY)
        low, high = torch.zeros_like(constants), torch.full_like(constants, torch.inf)
        for _ in range(self.binary_search_steps):
            held = self._round(goal, record, constants)
            high = torch.where(held, constants, high)
            low = torch.where(held, low, constants)
            middle = (low + high) / 2
            constants = torch.where(middle.isinf(), 10.0 * constants, middle)
        if self.rule == "l1":
            polish(goal, record, self.refinements)
        return record.points

    def _elastic(self, changes: Tensor) -> Tensor:
        return self.beta * sizes_of(changes, "l1") + sizes_of(changes, "l2").square()

    def _round(self, goal: Goal, record: Record, constants: Tensor) -> Tensor:
        """Minimise for one constant per image; return which met an adversarial point."""
        originals = record.originals
        rows = torch.arange(len(originals), device=originals.device)
        points = ahead = record.points.clone()
        met = torch.zeros_like(constants, dtype=torch.bool)
        for number in range(self.iterations):
            rate = self.rate * math.sqrt(1.0 - number / self.iterations)
            lacks, gradients = goal.slope(ahead, rows)
            met |= lacks < 0
            record.keep(rows, ahead, lacks < 0)
            weights = columns(torch.where(lacks > 0, constants, 0.0))
            downhill = weights * gradients - 2.0 * (ahead - originals)
            changes = ahead + rate * downhill - originals
            changes = changes - changes.clamp(-self.beta, self.beta)
            following = (originals + changes).clamp(0.0, 1.0)
            momentum = number / (number + 3.0)
            ahead = (following + momentum * (following - points)).clamp(0.0, 1.0)
            points = following
        return met
