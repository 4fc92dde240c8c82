"""Single-step gradient attacks: gradient, and gradient-sign (Goodfellow, Shlens & Szegedy 2014).

The image moves along one fixed direction: the gradient of the cross-entropy, scaled so that its
root mean square per pixel is 1, or its sign. The magnitude grows over a grid of 1,000 values up to
1; the first magnitude that is adversarial wins. The scan is then repeated over twenty finer
magnitudes between it and the one before; where it is one of the first twenty, between it and 0 (as
Foolbox 2.4 does, and only there).

The grid is not walked value by value: :func:`nversion.attacks.ray.first_adversarial` finds the same
magnitude with about a dozen evaluations.
"""

from __future__ import annotations

import abc
import dataclasses
import math
from typing import ClassVar, final

import torch
from torch import Tensor

from nversion.attacks.ball import steepest
from nversion.attacks.base import Attack, towards_errors
from nversion.attacks.noise import Noise
from nversion.attacks.oracle import Oracle
from nversion.attacks.ray import first_adversarial
from nversion.attacks.registry import register
from nversion.errors import InputError

__all__ = ["Gradient", "GradientSign", "gradient_targets"]

FINER_STEPS = 20
"""The scan is repeated over so many magnitudes below the first that succeeds: from the one before
it, or from 0 if it is one of so many first ones."""


@dataclasses.dataclass(frozen=True)
class _SingleStep(Attack):
    """A scan of growing magnitudes along one direction.

    Attributes:
        steps: magnitudes tried, evenly spaced up to `largest`.
        largest: the largest magnitude, in units of the pixel range.
    """

    steps: int = 1000
    largest: float = 1.0

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise InputError(f"steps must be at least 1, not {self.steps!r}")
        if not 0.0 < self.largest < float("inf"):
            raise InputError(f"largest must be a finite number above 0, not {self.largest!r}")

    @abc.abstractmethod
    def _direction(self, gradients: Tensor) -> Tensor:
        """Return the direction of magnitude 1, [count, ...]; zero where there is no gradient."""

    @final
    def propose(self, oracle: Oracle, images: Tensor, labels: Tensor, noise: Noise) -> Tensor:
        """Return the images at the first adversarial magnitude."""
        _, gradients = oracle.gradient(images, towards_errors(labels))
        directions = self._direction(gradients)
        largest = torch.full((len(images),), float(self.largest))
        first = first_adversarial(oracle, images, directions, labels, largest, self.steps)
        step = self.largest / self.steps
        magnitudes = first * step
        rows = (first > 0).nonzero().squeeze(1)
        if len(rows) > 0:
            most = magnitudes[rows]
            least = torch.where(first[rows] <= FINER_STEPS, 0.0, most - step)
            given = (oracle, images[rows], directions[rows], labels[rows], most, FINER_STEPS)
            finer = first_adversarial(*given, least)
            # Rounding may make the last of the finer ones, the same as before, fail.
            found = least + (finer / FINER_STEPS) * (most - least)
            magnitudes[rows] = torch.where(finer > 0, found, most)
        return (images + magnitudes[:, None, None, None] * directions).clamp(0.0, 1.0)


@register
@dataclasses.dataclass(frozen=True)
class Gradient(_SingleStep):
    """Along the gradient, scaled to a root mean square of 1 per pixel."""

    name: ClassVar[str] = "gradient"
    norm: ClassVar[str] = "l2"

    def _direction(self, gradients: Tensor) -> Tensor:
        return math.sqrt(gradients[0].numel()) * steepest(gradients, "l2")


@register
@dataclasses.dataclass(frozen=True)
class GradientSign(_SingleStep):
    """Along the sign of the gradient (the fast gradient sign method)."""

    name: ClassVar[str] = "gradient-sign"
    norm: ClassVar[str] = "linf"

    def _direction(self, gradients: Tensor) -> Tensor:
        return gradients.sign()


def gradient_targets(oracle: Oracle, images: Tensor, labels: Tensor) -> Tensor:
    """Return the class that the gradient attack turns each image into, int64 [count].

    Where it fails: the likeliest class other than the label.
    """
    points = Gradient().propose(oracle, images, labels, Noise(0, "", images[:0], labels[:0]))
    others = oracle.logits(points).scatter(1, labels[:, None], -torch.inf)
    return others.argmax(dim=1)
