"""Single-step gradient attacks: gradient, and gradient-sign (Goodfellow, Shlens & Szegedy 2014).

The image moves along one fixed direction: the gradient of the cross-entropy, scaled so that its
root mean square per pixel is 1, or its sign. The magnitude grows over a grid of 1,000 values up to
1; the first magnitude that is adversarial wins. Where that is one of the first twenty, the scan is
repeated over twenty finer magnitudes up to it (as Foolbox 2.4 does); else over 64 between it and
the one before, so that what is returned does not depend on where the grid happens to lie.

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

from nversion.attacks.ball import columns, steepest
from nversion.attacks.base import Attack, check_count, check_option
from nversion.attacks.criteria import cross_entropy, towards_errors
from nversion.attacks.noise import Noise
from nversion.attacks.oracle import Oracle
from nversion.attacks.ray import first_adversarial
from nversion.attacks.registry import register

__all__ = ["Gradient", "GradientSign", "gradient_targets"]

FINER_STEPS = 20
"""The scan is repeated this much finer where one of this many first magnitudes succeeds."""

FINEST_STEPS = 64
"""Into so many steps the one before the first magnitude that succeeds is divided otherwise."""


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
        check_count("steps", self.steps)
        check_option("largest", self.largest)

    @abc.abstractmethod
    def _direction(self, gradients: Tensor) -> Tensor:
        """Return the direction of magnitude 1, [count, ...]; zero where there is no gradient."""

    def propose(self, oracle: Oracle, images: Tensor, labels: Tensor, noise: Noise) -> Tensor:
        """Return the images at the first adversarial magnitude."""
        _, gradients = oracle.gradient(images, towards_errors(labels))
        directions = self._direction(gradients)
        return _moved(images, self._first(oracle, images, directions, labels), directions)

    @final
    def _coarse(self, oracle: Oracle, images: Tensor, directions: Tensor, labels: Tensor) -> Tensor:
        """Return which of the grid's magnitudes is the first that is adversarial; 0 for none."""
        largest = torch.full((len(images),), float(self.largest))
        return first_adversarial(oracle, images, directions, labels, largest, self.steps)

    @final
    def _first(self, oracle: Oracle, images: Tensor, directions: Tensor, labels: Tensor) -> Tensor:
        """Return the first adversarial magnitude along each direction, [count]; 0 for none."""
        first = self._coarse(oracle, images, directions, labels)
        step = self.largest / self.steps
        magnitudes = first * step
        near = first <= FINER_STEPS
        for chosen, steps, width in (
            ((first > 0) & near, FINER_STEPS, magnitudes),
            (~near, FINEST_STEPS, torch.full_like(magnitudes, step)),
        ):
            rows = chosen.nonzero().squeeze(1)
            if len(rows) == 0:
                continue
            most, least = magnitudes[rows], magnitudes[rows] - width[rows]
            given = (oracle, images[rows], directions[rows], labels[rows], most, steps)
            finer = first_adversarial(*given, least)
            # Rounding may make the last of the finer ones, the same as before, fail.
            found = least + (finer / steps) * (most - least)
            magnitudes[rows] = torch.where(finer > 0, found, most)
        return magnitudes


def _moved(images: Tensor, magnitudes: Tensor, directions: Tensor) -> Tensor:
    return (images + columns(magnitudes) * directions).clamp(0.0, 1.0)


@register
@dataclasses.dataclass(frozen=True)
class Gradient(_SingleStep):
    """Along the gradient, scaled to a root mean square of 1 per pixel."""

    name: ClassVar[str] = "gradient"
    norm: ClassVar[str] = "l2"
    paper: ClassVar[str] = "Goodfellow et al. 2014"

    def _direction(self, gradients: Tensor) -> Tensor:
        return math.sqrt(gradients[0].numel()) * steepest(gradients, "l2")


@register
@dataclasses.dataclass(frozen=True)
class GradientSign(_SingleStep):
    """Along the sign of the gradient (the fast gradient sign method).

    Where the network is sure, the cross-entropy's gradient in its own precision is made of rounding
    errors in part, and some of its signs are not those of the exact gradient. Either is what other
    implementations take for the direction; where they differ both are scanned, and the nearer
    adversarial image is returned.
    """

    name: ClassVar[str] = "gradient-sign"
    norm: ClassVar[str] = "linf"
    paper: ClassVar[str] = "Goodfellow et al. 2014"

    def propose(self, oracle: Oracle, images: Tensor, labels: Tensor, noise: Noise) -> Tensor:
        """Return the images at the first adversarial magnitude."""
        _, gradients = oracle.gradient(images, towards_errors(labels))
        _, rounded = oracle.gradient(images, cross_entropy(labels))
        directions, others = self._direction(gradients), self._direction(rounded)
        rows = (directions != others).flatten(1).any(dim=1).nonzero().squeeze(1)
        every = torch.cat([torch.arange(len(images), device=images.device), rows])
        along = torch.cat([directions, others[rows]])
        found = self._first(oracle, images[every], along, labels[every])
        magnitudes, second = found[: len(images)], found[len(images) :]
        first = magnitudes[rows]
        nearer = (second > 0) & ((first == 0) | (second < first))
        magnitudes[rows] = torch.where(nearer, second, first)
        directions[rows] = torch.where(columns(nearer), others[rows], directions[rows])
        return _moved(images, magnitudes, directions)

    def _direction(self, gradients: Tensor) -> Tensor:
        return gradients.sign()


def gradient_targets(oracle: Oracle, images: Tensor, labels: Tensor) -> Tensor:
    """Return the class that the gradient attack's scan first meets, int64 [count].

    Where it meets none: the likeliest class other than the label.
    """
    attack = Gradient()
    _, gradients = oracle.gradient(images, towards_errors(labels))
    directions = attack._direction(gradients)
    first = attack._coarse(oracle, images, directions, labels)
    points = _moved(images, first * (attack.largest / attack.steps), directions)
    others = oracle.logits(points).scatter(1, labels[:, None], -torch.inf)
    return others.argmax(dim=1)
