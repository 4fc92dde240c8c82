"""Weights of versions, fitted to the distance that the linearised vote predicts.

The weights are a softmax of as many free numbers, so that they are positive and sum to 1, and Adam
(Kingma and Ba 2015) climbs the mean distance of :class:`nversion.selection.WhiteBox`. Fit on
held-out training images, never on those that the program is judged on.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nversion.errors import InputError
from nversion.measures.answers import Doubles, Integers
from nversion.selection.white_box import WhiteBox

__all__ = ["fit_weights"]

RATE = 0.1


def fit_weights(criterion: WhiteBox, *, size: int | None = None, steps: int = 300) -> Doubles:
    """Return weights that push the linearised vote's nearest class away.

    Args:
        criterion: margins and gradients of the versions.
        size: keep so many of the versions, those with the largest weights, and fit again among
            them; None: all.
        steps: of Adam; the best weights of all steps are returned.

    Returns:
        float64 [versions], not negative, of sum 1; 0 for versions that are left out.

    Raises:
        InputError: there are not `size` versions, or no steps.
    """
    versions = criterion.versions
    if steps < 1:
        raise InputError(f"steps must be at least 1, not {steps}")
    if size is not None and not 1 <= size <= versions:
        raise InputError(f"size must lie between 1 and {versions}, not {size}")
    weights = _fit(criterion, np.arange(versions), steps)
    if size is None or size == versions:
        return weights
    # Of equal weights the first are kept.
    kept = np.sort(np.argsort(-weights, kind="stable")[:size])
    return _fit(criterion, kept, steps)


def _fit(criterion: WhiteBox, kept: Integers, steps: int) -> Doubles:
    margins = torch.from_numpy(np.ascontiguousarray(criterion.margins[:, kept])).float()
    products = torch.from_numpy(
        np.ascontiguousarray(criterion.products[:, kept[:, None], kept])
    ).float()
    logits = torch.zeros(len(kept), requires_grad=True)
    optimiser = torch.optim.Adam([logits], lr=RATE)
    best, least = torch.full((len(kept),), 1.0 / len(kept)), float("inf")
    with torch.enable_grad():
        for _ in range(steps):
            weights = logits.softmax(dim=0)
            loss = -_mean_distance(margins, products, weights, criterion.count)
            reached = float(loss.detach())
            if reached < least:
                best, least = weights.detach().clone(), reached
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
    found = np.zeros(criterion.versions)
    found[kept] = best.double().numpy()
    normed: Doubles = found / found.sum()
    return normed


def _mean_distance(margins: Tensor, products: Tensor, weights: Tensor, count: int) -> Tensor:
    """Return the mean distance to the nearest rival; below 0 for images that are wrong."""
    squares = (products @ weights) @ weights
    known = squares > 1e-12 * squares.max()
    each = (margins @ weights) / squares.clamp(min=1e-30).sqrt()
    each = torch.where(known, each, torch.full_like(each, float("inf"))).reshape(count, -1)
    nearest = each.min(dim=1).values
    return torch.where(nearest.isfinite(), nearest, torch.zeros_like(nearest)).mean()
