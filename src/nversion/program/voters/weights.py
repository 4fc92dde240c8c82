"""Weights of versions, fitted on images that nobody is judged on.

``log-odds`` weighs votes: where versions err independently, and alike towards all wrong classes,
the class with the largest sum of log(p (C - 1) / (1 - p)) is the likeliest (Nitzan and Paroush,
"Optimal decision rules in uncertain dichotomous choice situations", International Economic Review
23(2), 1982, for two classes). ``likelihood`` weighs probabilities: the mixture of the versions'
outputs under which the labels are likeliest, by expectation maximisation (Dempster, Laird and
Rubin, Journal of the Royal Statistical Society B 39(1), 1977); the problem is concave.

Weights that are fitted to test images flatter the program on them. Fit them on training images
that the versions did not learn from.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nversion.errors import InputError
from nversion.models import check_labels
from nversion.naming import did_you_mean

__all__ = ["WEIGHTINGS", "fit_weights"]

WEIGHTINGS = ("log-odds", "likelihood")

ITERATIONS = 500
SMALLEST = 2.0**-20
"""No version's weight is less than this part of the largest: weights are positive."""


def fit_weights(probabilities: Tensor, labels: Tensor, by: str = "log-odds") -> Tensor:
    """Return a weight for each version, float64 [versions], the largest 1.

    Args:
        probabilities: the versions' softmax outputs on held-out training images, floating
            [versions, count, classes].
        labels: their classes, int64 [count], at least one.
        by: "log-odds" for voters that count votes, "likelihood" for the mean softmax.

    Raises:
        InputError: malformed probabilities or labels, no images, an unknown way, or no version
            that is better than chance.
    """
    if not isinstance(probabilities, Tensor) or probabilities.ndim != 3:
        raise InputError("probabilities must be a torch.Tensor [versions, count, classes]")
    count, classes = probabilities.shape[1:]
    check_labels(labels, count, classes)
    if count == 0:
        raise InputError("there must be images to fit weights on, at least one")
    if by not in WEIGHTINGS:
        hint = did_you_mean(by, WEIGHTINGS)
        raise InputError(f"by must be one of {', '.join(WEIGHTINGS)}, not {by!r}{hint}")
    values, truth = probabilities.detach().cpu().double(), labels.cpu()
    weights = _log_odds(values, truth) if by == "log-odds" else _likeliest(values, truth)
    if not float(weights.max()) > 0:
        raise InputError("no version is right more often than chance on these images")
    return (weights / weights.max()).clamp(min=SMALLEST)


def _log_odds(values: Tensor, labels: Tensor) -> Tensor:
    """Return log(p (C - 1) / (1 - p)); p counts one image right and one wrong more than seen."""
    right = (values.argmax(dim=2) == labels).double().sum(dim=1)
    share = (right + 1) / (len(labels) + 2)
    return (share / (1 - share)).log() + math.log(values.shape[2] - 1)


def _likeliest(values: Tensor, labels: Tensor) -> Tensor:
    own = values.gather(2, labels.expand(len(values), -1)[:, :, None]).squeeze(2)
    own = own + torch.finfo(torch.float32).tiny
    shares = torch.full((len(values), 1), 1 / len(values), dtype=torch.float64)
    for _ in range(ITERATIONS):
        held = own * shares
        shares = (held / held.sum(dim=0)).mean(dim=1, keepdim=True)
    return shares.squeeze(1)
