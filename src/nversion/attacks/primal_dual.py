"""PDGD and PDPGD, primal-dual gradient descent (Matyasko & Chau 2021).

"PDPGD: Primal-dual proximal gradient descent adversarial attack", arXiv 2106.01538. The smallest
change r that is adversarial is a saddle point of

    l0 * |r| + l1 * softplus(-margin(x + r)),    l0 + l1 = 1,

which r makes small and the weights make large. The weights are a softmax whose second input rises
while the point is not adversarial and falls while it is, and a running mean of them is used. (The
game is not zero-sum: the weights see whether there is an error, r a smooth surrogate of it.)
The change descends by Adam, in steps that shrink geometrically. PDGD takes the gradient of the L2
norm along with that of the loss. PDPGD takes a step for the loss alone, and then the norm's
proximal operator in Adam's metric D, which there is for L0, L1, L2 and Linf:

    minimise  (l0 / l1) * |z| + (z - r)' D (z - r) / (2 step)    over the z with x + z in [0, 1].

Chosen here:

- In L0 and L1 this falls apart into pixels, in Linf all are cut off at one level, and it is solved
  exactly, the box included. In L2 it is solved by proximal gradient steps in the metric's largest
  entry, as the authors do for all norms.
- The first step is no longer than suits the distance to the linearised boundary: a fixed one of a
  tenth of the range never settles on images that lie nearer than that.
- Margins are measured in parts of the lead that the label has on the original (times
  :data:`SHARPNESS`), so that the scale of the logits does not matter.
- What is found is improved in the end as in the other minimum-norm attacks; `refinements=0` leaves
  what the algorithm found.
"""

from __future__ import annotations

import abc
import dataclasses
import math
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from nversion.attacks.ball import columns, norms
from nversion.attacks.base import Attack, check_count, check_option
from nversion.attacks.criteria import margins
from nversion.attacks.goal import Goal
from nversion.attacks.noise import Noise
from nversion.attacks.oracle import Oracle
from nversion.attacks.polish import polish
from nversion.attacks.record import Record
from nversion.attacks.registry import register
from nversion.norms import norm_name

__all__ = ["PrimalDual", "PrimalDualProximal"]

BETA1, BETA2, STABILISER = 0.9, 0.999, 1e-8
"""Adam's usual constants."""

SHARPNESS = 10.0
"""The margin's size on the original, as the softplus sees it."""

LEAST_RATIO = 1e-6
"""Neither weight is less than this share of the other."""

RELATIVE_RATE = 2.0
"""The first step at the most, in the distance to the linearised boundary spread over all values."""

MEAN = 0.9
"""What the running mean of the weights keeps in each step."""

INNER_STEPS = 5
"""Proximal gradient steps for L2's proximal operator in Adam's metric."""

TINY = 1e-30


@dataclasses.dataclass(frozen=True)
class _PrimalDual(Attack):
    """What both attacks share: Adam, the weights, and the points met.

    Attributes:
        steps: iterations.
        learning_rate: Adam's first step at the most, in units of the pixel range.
        last_rate: the last step's share of the first.
        first_ratio: the first ratio of the norm's weight to the loss's.
        dual_rate: the first step of the weights; the last is a tenth of it.
        refinements: further steps on the linearised margin.
    """

    steps: int = 200
    learning_rate: float = 0.1
    last_rate: float = 0.01
    first_ratio: float = 0.01
    dual_rate: float = 0.1
    refinements: int = 20

    def __post_init__(self) -> None:
        check_count("steps", self.steps)
        for option in ("learning_rate", "last_rate", "first_ratio", "dual_rate"):
            check_option(option, getattr(self, option))
        check_count("refinements", self.refinements, low=0)

    def propose(self, oracle: Oracle, images: Tensor, labels: Tensor, noise: Noise) -> Tensor:
        """Return the nearest adversarial image met; the original where none was."""
        goal, record = Goal(oracle, images, labels), Record(images, self.norm)
        self._descend(goal, record)
        polish(goal, record, self.refinements)
        return record.points

    def _descend(self, goal: Goal, record: Record) -> None:
        """Take all steps, and show `record` the points met."""
        originals = record.originals
        rows = torch.arange(len(originals), device=originals.device)
        units, rates = SHARPNESS / goal.leads.clamp(min=TINY), torch.ones_like(record.sizes)
        changes = torch.zeros_like(originals)
        state = _Adam(torch.zeros_like(changes), torch.zeros_like(changes))
        duals = torch.full_like(record.sizes, -math.log(self.first_ratio))
        weights = torch.stack([torch.zeros_like(duals), duals], dim=1).softmax(dim=1)

        def loss(logits: Tensor, chosen: Tensor) -> Tensor:
            return functional.softplus(-units[chosen] * margins(logits, goal.labels[chosen]))

        for number in range(self.steps):
            logits, gradients = goal.oracle.gradient(originals + changes, loss)
            held = goal.lack(logits, rows) < 0
            record.keep(rows, originals + changes, held)
            if number == 0:
                rates = self._rates(gradients)
            progress = number / self.steps
            step = rates * self.last_rate**progress
            changes = self._moved(changes, gradients, originals, weights, state, step)
            rate = self.dual_rate * (1.0 - 0.9 * progress)
            duals = duals + rate * torch.where(held, -1.0, 1.0)
            duals = duals.clamp(math.log(LEAST_RATIO), -math.log(LEAST_RATIO))
            newest = torch.stack([torch.zeros_like(duals), duals], dim=1).softmax(dim=1)
            weights = MEAN * weights + (1.0 - MEAN) * newest

    def _rates(self, gradients: Tensor) -> Tensor:
        """Return Adam's first steps, [count], by the loss's gradients at the originals."""
        distance = SHARPNESS / norms(gradients, "l2").clamp(min=TINY)
        return (RELATIVE_RATE * distance / math.sqrt(gradients[0].numel())).clamp(
            max=self.learning_rate
        )

    @abc.abstractmethod
    def _moved(
        self,
        changes: Tensor,
        gradients: Tensor,
        originals: Tensor,
        weights: Tensor,
        state: _Adam,
        step: Tensor,
    ) -> Tensor:
        """Return the next changes, within the box.

        Args:
            changes: float32 [count, ...].
            gradients: like `changes`, of the loss.
            originals: like `changes`, in [0, 1].
            weights: float32 [count, 2], the norm's and the loss's.
            state: Adam's.
            step: Adam's step, float32 [count].
        """


@dataclasses.dataclass
class _Adam:
    """Adam's running means, and how many steps they have seen."""

    first: Tensor
    second: Tensor
    count: int = 0

    def direction(self, gradients: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean gradient and what it is divided by, both without their bias."""
        self.count += 1
        self.first = BETA1 * self.first + (1.0 - BETA1) * gradients
        self.second = BETA2 * self.second + (1.0 - BETA2) * gradients.square()
        mean = self.first / (1.0 - BETA1**self.count)
        root = (self.second / (1.0 - BETA2**self.count)).sqrt()
        return mean, root + STABILISER


def _in_box(changes: Tensor, originals: Tensor) -> Tensor:
    return (originals + changes).clamp(0.0, 1.0) - originals


@register
@dataclasses.dataclass(frozen=True)
class PrimalDual(_PrimalDual):
    """PDGD: the L2 norm and the loss descend together."""

    name: ClassVar[str] = "pdgd"
    norm: ClassVar[str] = "l2"
    paper: ClassVar[str] = "Matyasko & Chau 2021"

    def _moved(
        self,
        changes: Tensor,
        gradients: Tensor,
        originals: Tensor,
        weights: Tensor,
        state: _Adam,
        step: Tensor,
    ) -> Tensor:
        away = changes / columns(norms(changes, "l2").clamp(min=TINY))
        both = columns(weights[:, 0]) * away + columns(weights[:, 1]) * gradients
        mean, root = state.direction(both)
        return _in_box(changes - columns(step) * mean / root, originals)


@register
@dataclasses.dataclass(frozen=True)
class PrimalDualProximal(_PrimalDual):
    """PDPGD: a step for the loss, then the norm's proximal operator.

    Attributes:
        norm: "l0", "l1", "l2" or "linf" (or 0, 1, 2, inf).
    """

    # The base fixes the norm per class; here it is an option, and so differs between instances.
    norm: str = "l1"  # type: ignore[misc]

    name: ClassVar[str] = "pdpgd"
    paper: ClassVar[str] = "Matyasko & Chau 2021"

    def __post_init__(self) -> None:
        object.__setattr__(self, "norm", norm_name(self.norm))
        super().__post_init__()

    def _moved(
        self,
        changes: Tensor,
        gradients: Tensor,
        originals: Tensor,
        weights: Tensor,
        state: _Adam,
        step: Tensor,
    ) -> Tensor:
        mean, root = state.direction(gradients)
        moved = changes - columns(step) * mean / root
        return _PROXIMAL[self.norm](moved, originals, step * weights[:, 0] / weights[:, 1], root)


# Each takes changes and originals [count, ...], Adam's step times the norm's weight over the
# loss's, [count], and Adam's metric, like the changes; and returns the proximal points.


def _fewest(changes: Tensor, originals: Tensor, weights: Tensor, metric: Tensor) -> Tensor:
    """Return L0's proximal points: a pixel is kept if that gains more than it costs."""
    kept = _in_box(changes, originals)
    gains = metric * (changes.square() - (changes - kept).square())
    return torch.where(gains.sum(dim=1, keepdim=True) > 2.0 * columns(weights), kept, 0.0)


def _shrunk(changes: Tensor, originals: Tensor, weights: Tensor, metric: Tensor) -> Tensor:
    """Return L1's proximal points: each value less a threshold of its own, cut off at the box."""
    thresholds = columns(weights) / metric
    return _in_box(changes - changes.clamp(-thresholds, thresholds), originals)


def _shortened(changes: Tensor, originals: Tensor, weights: Tensor, metric: Tensor) -> Tensor:
    """Return L2's proximal points, by proximal gradient steps in the metric's largest entry."""
    largest = metric.flatten(1).amax(dim=1)
    shares, reach = metric / columns(largest), weights / largest
    changes = points = _in_box(changes, originals)
    for _ in range(INNER_STEPS):
        inner = points - shares * (points - changes)
        lengths = norms(inner, "l2").clamp(min=TINY)
        points = _in_box(columns((1.0 - reach / lengths).clamp(min=0.0)) * inner, originals)
    return points


def _levelled(changes: Tensor, originals: Tensor, weights: Tensor, metric: Tensor) -> Tensor:
    """Return Linf's proximal points: values cut off at a common level.

    What lies above the level, summed in the metric, is the weight. Of the levels at which this
    would be so for the largest value, the two largest and so on, the highest is the level.
    """
    changes = _in_box(changes, originals)
    sizes, order = changes.abs().flatten(1).sort(dim=1, descending=True)
    masses = metric.flatten(1).gather(1, order)
    levels = ((masses * sizes).cumsum(dim=1) - weights[:, None]) / masses.cumsum(dim=1)
    level = columns(levels.amax(dim=1).clamp(min=0.0))
    return changes.clamp(-level, level)


_PROXIMAL = {"l0": _fewest, "l1": _shrunk, "l2": _shortened, "linf": _levelled}
