"""The last word on an attack's claims: what does not hold on the model itself is no success.

A candidate holds if the model, evaluated on exactly the image that is returned, misclassifies it
with the margin of :mod:`nversion.attacks.criteria`; if it is to be storable, the same must be true
of its 8-bit copy, ``round(255 x) / 255``. A misclassified candidate that does not hold yet (its
margin is too thin, or rounding undoes it) is moved by the smallest further step that makes it hold:
first straight on, away from the original, which keeps the shape and the sparsity of the attack's
perturbation; failing that, along the gradient of the margin.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nversion.attacks.criteria import is_adversarial, margins, towards_errors
from nversion.attacks.oracle import Oracle

__all__ = ["Constrain", "eight_bit", "holds", "settled"]

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


def holds(oracle: Oracle, images: Tensor, labels: Tensor, *, storable: bool) -> Tensor:
    """Return whether each image is adversarial, and after 8-bit storage too if `storable`.

    Args:
        oracle: the attacked model.
        images: float32 [count, channels, height, width] in [0, 1].
        labels: int64 [count].
        storable: whether the 8-bit copy must be adversarial as well.

    Returns:
        bool [count].
    """
    held = is_adversarial(oracle.logits(images), labels, oracle.dtype)
    rows = held.nonzero().squeeze(1)
    if storable and len(rows) > 0:
        copies = oracle.logits(eight_bit(images[rows]))
        held[rows] = is_adversarial(copies, labels[rows], oracle.dtype)
    return held


def settled(
    oracle: Oracle,
    originals: Tensor,
    candidates: Tensor,
    labels: Tensor,
    constrain: Constrain,
    *,
    storable: bool,
) -> tuple[Tensor, Tensor]:
    """Return candidates, moved by the smallest further step where needed, and whether each holds.

    Args:
        oracle: the attacked model.
        originals: float32 [count, channels, height, width] in [0, 1], classified correctly.
        candidates: like `originals`, what the attack proposes.
        labels: int64 [count].
        constrain: brings images back to where the attack may return them.
        storable: whether the 8-bit copies must be adversarial too.

    Returns:
        float32 like `candidates`, and bool [count].
    """
    held = holds(oracle, candidates, labels, storable=storable)
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

    rows = _push(oracle, candidates, held, rows, labels, onwards, storable=storable)
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

    _push(oracle, candidates, held, rows, labels, uphill, storable=storable)
    return candidates, held


def _push(
    oracle: Oracle,
    candidates: Tensor,
    held: Tensor,
    rows: Tensor,
    labels: Tensor,
    path: _Path,
    *,
    storable: bool,
) -> Tensor:
    """Move `rows` of `candidates` along `path` until they hold; return the rows that never did."""
    step = torch.full((len(candidates), 1, 1, 1), FIRST_STEP, device=candidates.device)
    too_small = torch.zeros_like(step)
    waiting = rows
    for _ in range(DOUBLINGS + 1):
        if len(waiting) == 0:
            break
        moved = path(waiting, step[waiting])
        good = holds(oracle, moved, labels[waiting], storable=storable)
        candidates[waiting[good]] = moved[good]
        held[waiting[good]] = True
        waiting = waiting[~good]
        too_small[waiting] = step[waiting]
        step[waiting] *= 2.0
    pushed = rows[held[rows]]
    for _ in range(BISECTIONS if len(pushed) else 0):
        middle = (too_small[pushed] + step[pushed]) / 2.0
        moved = path(pushed, middle)
        good = holds(oracle, moved, labels[pushed], storable=storable)
        candidates[pushed[good]] = moved[good]
        step[pushed[good]] = middle[good]
        too_small[pushed[~good]] = middle[~good]
    return waiting
