"""Norm balls, image by image: what the attacks with a distance budget share.

All functions treat each row by itself and return the same bits for it in every batch, so that the
attacks built on them do too. The balls are closed and lie around the original image; everything is
also kept in [0, 1].
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from nversion.attacks.base import Attack, check_option
from nversion.norms import norm_name

__all__ = [
    "BALLS",
    "DEFAULT_EPSILON",
    "BallAttack",
    "columns",
    "norms",
    "on_sphere",
    "project",
    "steepest",
    "sums",
    "within",
]

BALLS = ("l2", "linf")
"""The norms that have balls here."""

DEFAULT_EPSILON = {"linf": 0.3, "l2": 2.0}
"""Radii customary for MNIST-like data: Linf as in Madry et al. 2017; L2 about as hard to resist."""


@dataclasses.dataclass(frozen=True)
class BallAttack(Attack):
    """An attack whose success means: adversarial within `epsilon` of the original.

    Attributes:
        norm: "linf" or "l2", the norm that epsilon is measured in.
        epsilon: radius of the ball; None takes :data:`DEFAULT_EPSILON` of the norm.
    """

    # The base fixes the norm per class; here it is an option, and so differs between instances.
    norm: str = "linf"  # type: ignore[misc]
    epsilon: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "norm", norm_name(self.norm, BALLS))
        if self.epsilon is None:
            # Resolved here, so that `options` records the radius that was used.
            object.__setattr__(self, "epsilon", DEFAULT_EPSILON[self.norm])
        check_option("epsilon", self.radius)

    @property
    def radius(self) -> float:
        """The ball's radius: epsilon, never None."""
        return DEFAULT_EPSILON[self.norm] if self.epsilon is None else self.epsilon

    def constrain(self, originals: Tensor, images: Tensor) -> Tensor:
        """Return `images` brought back into the ball around the originals and into [0, 1]."""
        return project(images, originals, self.radius, self.norm)


def columns(values: Tensor) -> Tensor:
    """Return one value per image, [count], as [count, 1, 1, 1], to combine with images."""
    return values[:, None, None, None]


def sums(values: Tensor) -> Tensor:
    """Return each row's sum, [count], over all its other dimensions."""
    flat = values.flatten(1)
    if len(flat) == 1:
        # A lone long row would be cut up among the threads, and so summed in another order.
        return flat.expand(2, -1).contiguous().sum(dim=1)[:1]
    return flat.sum(dim=1)


def norms(changes: Tensor, norm: str) -> Tensor:
    """Return each row's L2 or Linf norm, [count], in the dtype of `changes`."""
    if norm == "l2":
        return sums(changes.square()).sqrt()
    return changes.abs().flatten(1).amax(dim=1)


def _unit(changes: Tensor, norm: str) -> Tensor:
    """Return each row scaled to norm 1; rows of zeros stay zero, tiny ones do not underflow."""
    tiny = torch.finfo(changes.dtype).tiny
    scaled = changes / columns(norms(changes, "linf").clamp(min=tiny))
    return scaled if norm == "linf" else scaled / columns(norms(scaled, "l2").clamp(min=tiny))


def steepest(gradients: Tensor, norm: str) -> Tensor:
    """Return per row the change of norm 1 that a linear function with this gradient grows most by.

    Its sign for "linf", the unit vector along it for "l2"; zero where the gradient is zero.
    """
    return gradients.sign() if norm == "linf" else _unit(gradients, "l2")


def on_sphere(draws: Tensor, originals: Tensor, epsilon: float, norm: str) -> Tensor:
    """Return random points: the draws scaled to norm epsilon around the originals, in [0, 1]."""
    return project(originals + epsilon * _unit(draws, norm), originals, epsilon, norm)


def project(points: Tensor, originals: Tensor, epsilon: float, norm: str) -> Tensor:
    """Return the points pulled into the balls around the originals, then clipped into [0, 1].

    Clipping moves no component further from an original in [0, 1], so the result lies in both. The
    radius is taken smaller by what rounding can add, so that the result is :func:`within` epsilon.
    """
    inner = epsilon - min(1e-7 + 1e-6 * epsilon, epsilon / 2)
    if norm == "linf":
        pulled = torch.minimum(torch.maximum(points, originals - inner), originals + inner)
        return pulled.clamp(0.0, 1.0)
    changes = points - originals
    factors = (inner / norms(changes, "l2").clamp(min=inner)).clamp(max=1.0)
    return (originals + columns(factors) * changes).clamp(0.0, 1.0)


def within(points: Tensor, originals: Tensor, epsilon: float, norm: str) -> Tensor:
    """Return bool [count]: the distance, as the result of an attack reports it, is at most epsilon.

    Linf distances are the largest float32 change; L2 distances are summed in float64.
    """
    changes = points - originals
    if norm == "l2":
        changes = changes.double()
    return norms(changes, norm).to(torch.float32).double() <= epsilon
