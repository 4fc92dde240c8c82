"""ALMA, the augmented Lagrangian method for adversarial attacks (Rony et al. 2021).

Rony, Granger, Pedersoli & Ben Ayed, "Augmented Lagrangian adversarial attacks", ICCV 2021,
algorithm 1. The change d minimises

    distance(d) + P(y, rho, mu),    y = how far the point is from being adversarial,

with the penalty P2 of the paper, whose multiplier mu follows the penalty's slope by a running mean,
and whose parameter rho grows by gamma every few steps while nothing adversarial has been met and y
has not fallen by the share 1 - tau. y is the difference of logits ratio, which knows no scale. The
change descends by RMSProp with momentum; its first step is such that it alone has a given distance,
and the steps shrink geometrically from when a point was adversarial first. Chosen here:

- The squared distance (L2), and the distance (L1), are what is minimised, as the authors' programs
  do for L1; the first step's distance is set by the distance to the linearised boundary, at most
  the one given.
- What is found is improved in the end as in the other minimum-norm attacks; `refinements=0` leaves
  what the algorithm found.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import torch
from torch import Tensor

from nversion.attacks.apgd import logit_ratio
from nversion.attacks.ball import columns, norms
from nversion.attacks.base import Attack, check_count, check_option
from nversion.attacks.goal import Goal
from nversion.attacks.noise import Noise
from nversion.attacks.oracle import Oracle
from nversion.attacks.polish import polish
from nversion.attacks.projections import sizes_of
from nversion.attacks.record import Record
from nversion.attacks.registry import register
from nversion.norms import norm_name

__all__ = ["AugmentedLagrangian"]

SMOOTHING = 0.9
"""What the running means (multiplier, squared gradients, momentum) keep in each step."""

SMALLEST, LARGEST = 1e-6, 1e12
"""The multiplier's range."""

PAST = 1e-4
"""How far past the boundary, in the ratio, the constraint asks."""

TINY = 1e-30


@register
@dataclasses.dataclass(frozen=True)
class AugmentedLagrangian(Attack):
    """ALMA in L1 or L2.

    Attributes:
        norm: "l1" or "l2" (or 1, 2).
        steps: iterations.
        first_distance: what the first step alone has, at the most.
        last_rate: the last step's share of the first.
        check_every: steps between two looks at rho.
        tau: share of y that must be left for rho to stay.
        gamma: factor by which rho grows.
        refinements: further steps on the linearised margin.
    """

    # The base fixes the norm per class; here it is an option, and so differs between instances.
    norm: str = "l2"  # type: ignore[misc]
    steps: int = 200
    first_distance: float = 1.0
    last_rate: float = 0.01
    check_every: int = 10
    tau: float = 0.95
    gamma: float = 1.2
    refinements: int = 20

    name: ClassVar[str] = "alma"
    paper: ClassVar[str] = "Rony et al. 2021"

    def __post_init__(self) -> None:
        object.__setattr__(self, "norm", norm_name(self.norm, ("l1", "l2")))
        check_count("steps", self.steps)
        check_count("check_every", self.check_every)
        for option in ("first_distance", "last_rate", "tau", "gamma"):
            check_option(option, getattr(self, option))
        check_count("refinements", self.refinements, low=0)

    def propose(self, oracle: Oracle, images: Tensor, labels: Tensor, noise: Noise) -> Tensor:
        """Return the nearest adversarial image met; the original where none was."""
        goal, record = Goal(oracle, images, labels), Record(images, self.norm)
        _Descent(self, goal, record).run()
        polish(goal, record, self.refinements)
        return record.points


class _Descent:
    """One run for all images; every field has one entry per row."""

    def __init__(self, attack: AugmentedLagrangian, goal: Goal, record: Record) -> None:
        self._attack, self._goal, self._record = attack, goal, record
        self._rows = torch.arange(len(record.sizes), device=record.sizes.device)
        self._changes = torch.zeros_like(record.originals)
        self._squares = torch.ones_like(record.originals)
        self._momentum = torch.zeros_like(record.originals)
        self._multiplier = torch.ones_like(record.sizes)
        self._penalty = torch.ones_like(record.sizes)
        self._rate = torch.ones_like(record.sizes)
        self._found_at = torch.full_like(record.sizes, float(attack.steps))

    def run(self) -> None:
        """Take all steps, and show the record the points met."""
        attack, record = self._attack, self._record
        before = torch.zeros_like(record.sizes)
        for number in range(attack.steps):
            ratio, gradients = self._look(number)
            found = record.sizes.isfinite()
            if number == 0:
                before = ratio
                self._rate = self._first_rate(gradients, ratio)
            elif (number + 1) % attack.check_every == 0:
                grows = ~found & ~(ratio < attack.tau * before)
                self._penalty = torch.where(grows, attack.gamma * self._penalty, self._penalty)
                before = ratio
            if number > 0:
                slope = penalty_slope(ratio, self._penalty, self._multiplier)
                mixed = SMOOTHING * self._multiplier + (1.0 - SMOOTHING) * slope
                self._multiplier = mixed.clamp(SMALLEST, LARGEST)
            weight = penalty_slope(ratio, self._penalty, self._multiplier)
            downhill = columns(weight) * gradients
            if number > 0:
                downhill = downhill + self._distance_gradient()
            self._step(downhill, number)

    def _look(self, number: int) -> tuple[Tensor, Tensor]:
        """Return y and its gradients at the present points, and note those that are adversarial."""
        labels, points = self._goal.labels, self._record.originals + self._changes
        logits, gradients = self._goal.oracle.gradient(
            points, lambda z, k: -logit_ratio(z, labels[k])
        )
        held = self._goal.lack(logits, self._rows) < 0
        self._record.keep(self._rows, points, held)
        first = held & (self._found_at == self._attack.steps)
        self._found_at = torch.where(first, float(number), self._found_at)
        return (PAST - logit_ratio(logits, labels)).nan_to_num(1.0, 1.0, 1.0), gradients

    def _distance_gradient(self) -> Tensor:
        if self._record.norm == "l1":
            return self._changes.sign()
        return self._changes / columns(norms(self._changes, "l2").clamp(min=TINY))

    def _first_rate(self, gradients: Tensor, ratio: Tensor) -> Tensor:
        """Return the rate at which the first step alone has the distance wanted, [count]."""
        slope = penalty_slope(ratio, self._penalty, self._multiplier)
        downhill = columns(slope) * gradients
        # The first step, with its running means, is this long at a rate of 1.
        root = (SMOOTHING + (1.0 - SMOOTHING) * downhill.square()).sqrt()
        lengths = sizes_of(downhill / root, self._record.norm).clamp(min=TINY)
        dual = norms(gradients, "l2" if self._record.norm == "l2" else "linf").clamp(min=TINY)
        wanted = (ratio / dual).clamp(max=self._attack.first_distance)
        return wanted / lengths

    def _step(self, downhill: Tensor, number: int) -> None:
        attack = self._attack
        self._squares = SMOOTHING * self._squares + (1.0 - SMOOTHING) * downhill.square()
        self._momentum = SMOOTHING * self._momentum + downhill / (self._squares.sqrt() + 1e-8)
        since = (number - self._found_at).clamp(min=0.0)
        share = since / (attack.steps - self._found_at).clamp(min=1.0)
        rate = self._rate * attack.last_rate**share
        moved = self._changes - columns(rate) * self._momentum
        originals = self._record.originals
        self._changes = (originals + moved).clamp(0.0, 1.0) - originals


def penalty_slope(values: Tensor, penalty: Tensor, multiplier: Tensor) -> Tensor:
    """Return the derivative of P2 by the constraint's values, elementwise.

    P2 is mu y + mu rho y^2 + rho^2 y^3 / 6 for y >= 0, and mu y / (1 - rho y) for y < 0.
    """
    above = multiplier + 2.0 * multiplier * penalty * values + 0.5 * (penalty * values).square()
    below = multiplier / (1.0 - penalty * values.clamp(max=0.0)).square()
    return torch.where(values >= 0, above, below)
