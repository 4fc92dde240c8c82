"""The last word on an attack's claims: what does not hold on the model itself is no success.

A candidate holds if the model, evaluated on exactly the image that is returned, misclassifies it
with the margin of :mod:`nversion.attacks.criteria`, and by no less than the same share of the lead
that the label had on the original (two logits that are both about zero do not tell how they were
rounded); if it is to be storable, the same must be true of its 8-bit copy, ``round(255 x) / 255``.
A misclassified candidate that does not hold yet (its
margin is too thin, or rounding undoes it) is moved by the smallest further step that makes it hold:
first straight on, away from the original, which keeps the shape and the sparsity of the attack's
perturbation; failing that, along the gradient of the margin.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor

from nversion.attacks.criteria import (
    is_adversarial,
    margins,
    relative_margin,
    towards_errors,
)
from nversion.attacks.oracle import Oracle

__all__ = ["Constrain", "Demand", "eight_bit", "settled"]

Constrain = Callable[[Tensor, Tensor], Tensor]
"""(originals, images) -> the images brought back to where the attack may return them."""

_Path = Callable[[Tensor, Tensor], Tensor]
"""(rows, relative step) -> the images of those rows that much further on."""

FIRST_STEP = 2.0**-10
"""The first further step tried, relative to the length of the perturbation."""

DOUBLINGS = 13
"""How often it is doubled at the most: up to eight lengths of the perturbation."""

BISECTIONS = 5
"""How often the last doubling is halved: the step is the smallest up to 3 % of itself."""


def eight_bit(images: Tensor) -> Tensor:
    """Return what is left of images in [0, 1] after storing them in 8 bits a value."""
    return (images * 255.0).round() / 255.0


@dataclasses.dataclass(frozen=True)
class Demand:
    """What the images of a batch are held to.

    Attributes:
        labels: int64 [count].
        least: float32 [count], what a margin must exceed at least.
        storable: whether the 8-bit copies must be adversarial as well.
    """

    labels: Tensor
    least: Tensor
    storable: bool

    @classmethod
    def of(cls, logits: Tensor, labels: Tensor, dtype: torch.dtype, *, storable: bool) -> Demand:
        """Return the demand for images whose originals have these logits [count, classes]."""
        leads = (-margins(logits, labels)).nan_to_num(0.0, 0.0, 0.0)
        return cls(labels, relative_margin(dtype) * leads, storable)

    def rows(self, rows: Tensor) -> Demand:
        """Return the demand on some of the images."""
        return Demand(self.labels[rows], self.least[rows], self.storable)

    def met(self, oracle: Oracle, images: Tensor) -> Tensor:
        """Return which images, float32 [count, ...] in [0, 1], are what is asked, bool [count]."""
        held = self._holds(oracle, images)
        rows = held.nonzero().squeeze(1)
        if self.storable and len(rows) > 0:
            held[rows] = self.rows(rows)._holds(oracle, eight_bit(images[rows]))
        return held

    def _holds(self, oracle: Oracle, images: Tensor) -> Tensor:
        logits = oracle.logits(images)
        lead = margins(logits, self.labels) > self.least
        return lead & is_adversarial(logits, self.labels, oracle.dtype)


def settled(
    oracle: Oracle,
    originals: Tensor,
    candidates: Tensor,
    demand: Demand,
    constrain: Constrain,
) -> tuple[Tensor, Tensor]:
    """Return candidates, moved by the smallest further step where needed, and whether each holds.

    Args:
        oracle: the attacked model.
        originals: float32 [count, channels, height, width] in [0, 1], classified correctly.
        candidates: like `originals`, what the attack proposes.
        demand: what they are held to.
        constrain: brings images back to where the attack may return them.

    Returns:
        float32 like `candidates`, and bool [count].
    """
    labels = demand.labels
    held = demand.met(oracle, candidates)
    rows = (~held).nonzero().squeeze(1)
    if len(rows) == 0:
        return candidates, held
    thin = margins(oracle.logits(candidates[rows]), labels[rows]) > 0
    rows = rows[thin]
    candidates = candidates.clone()
    changes = candidates - originals

    def onwards(rows: Tensor, step: Tensor) -> Tensor:
        moved = originals[rows] + (1.0 + step) * changes[rows]
        return constrain(originals[rows], moved)

    rows = _push(oracle, candidates, held, rows, demand, onwards)
    if len(rows) == 0:
        return candidates, held
    directions = torch.zeros_like(originals)
    _, directions[rows] = oracle.gradient(candidates[rows], towards_errors(labels[rows]))
    sizes = directions.flatten(1).square().sum(dim=1).sqrt()
    lengths = changes.flatten(1).square().sum(dim=1).sqrt() / sizes.clamp(min=1e-30)
    starts = candidates.clone()

    def uphill(rows: Tensor, step: Tensor) -> Tensor:
        moved = starts[rows] + step * lengths[rows][:, None, None, None] * directions[rows]
        return constrain(originals[rows], moved)

    _push(oracle, candidates, held, rows, demand, uphill)
    return candidates, held


def _push(
    oracle: Oracle,
    candidates: Tensor,
    held: Tensor,
    rows: Tensor,
    demand: Demand,
    path: _Path,
) -> Tensor:
    """Move `rows` of `candidates` along `path` until they hold; return the rows that never did."""
    step = torch.full((len(candidates), 1, 1, 1), FIRST_STEP, device=candidates.device)
    too_small = torch.zeros_like(step)
    waiting = rows
    for _ in range(DOUBLINGS + 1):
        if len(waiting) == 0:
            break
        moved = path(waiting, step[waiting])
        good = demand.rows(waiting).met(oracle, moved)
        candidates[waiting[good]] = moved[good]
        held[waiting[good]] = True
        waiting = waiting[~good]
        too_small[waiting] = step[waiting]
        step[waiting] *= 2.0
    pushed = rows[held[rows]]
    for _ in range(BISECTIONS if len(pushed) else 0):
        middle = (too_small[pushed] + step[pushed]) / 2.0
        moved = path(pushed, middle)
        good = demand.rows(pushed).met(oracle, moved)
        candidates[pushed[good]] = moved[good]
        step[pushed[good]] = middle[good]
        too_small[pushed[~good]] = middle[~good]
    return waiting
