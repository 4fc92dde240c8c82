"""Perturbations for training: short attacks on a batch, made to be cheap rather than minimal.

Nothing is verified here and nothing is searched for: an attack for training takes a fixed number of
gradients. (The attacks that judge networks are in :mod:`nversion.attacks`.) Only the gradients with
respect to the images are taken, which costs about two thirds of a full backward pass.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from torch import Tensor

from nversion.errors import InputError
from nversion.norms import norm_name
from nversion.objectives.base import Batch

__all__ = [
    "Ball",
    "Norm",
    "bisected",
    "climbed",
    "decoupled",
    "lengths",
    "summed_loss",
    "worst_images",
]

Norm = Literal["2", "inf"]

TINY = 1e-12


@dataclasses.dataclass(frozen=True)
class Ball:
    """Where a perturbation may lie: an L2 or Linf ball around the image, within [0, 1].

    Attributes:
        norm: "2" or "inf".
        radius: of the ball; 0 or more.
    """

    norm: Norm
    radius: float

    @classmethod
    def checked(cls, norm: str, radius: float) -> Ball:
        """Return the ball, once norm and radius make sense.

        Raises:
            InputError: they do not.
        """
        name = norm_name(norm, ("l2", "linf"))
        if not (math.isfinite(radius) and radius >= 0):
            raise InputError(f"radius must be 0 or more and finite, not {radius}")
        return cls("2" if name == "l2" else "inf", float(radius))

    def scaled(self, part: float) -> Ball:
        """Return the ball of a part of the radius."""
        return dataclasses.replace(self, radius=self.radius * part)

    def random(self, images: Tensor, draws: torch.Generator) -> Tensor:
        """Return a random image of each ball: uniform in Linf, of uniform length in L2."""
        shape = images.shape
        if self.norm == "inf":
            noise = torch.rand(shape, generator=draws, device=images.device) * 2 - 1
            return self.within(images + self.radius * noise, images)
        noise = torch.randn(shape, generator=draws, device=images.device)
        lengthy = torch.rand((shape[0], 1, 1, 1), generator=draws, device=images.device)
        return self.within(images + self.radius * lengthy * _unit(noise), images)

    def within(self, points: Tensor, images: Tensor) -> Tensor:
        """Return the points drawn into the ball around the images, and into [0, 1]."""
        change = points - images
        if self.norm == "inf":
            change = change.clamp(-self.radius, self.radius)
        else:
            change = change * (self.radius / lengths(change).clamp_min(TINY)).clamp_max(1)
        return (images + change).clamp(0, 1)

    def direction(self, gradients: Tensor) -> Tensor:
        """Return the steepest direction of length 1: the sign, or the gradient's direction."""
        return gradients.sign() if self.norm == "inf" else _unit(gradients)


def climbed(
    images: Tensor,
    ball: Ball,
    steps: int,
    loss: Callable[[Tensor], Tensor],
    draws: torch.Generator,
    step: float = 0.0,
) -> Tensor:
    """Return images of the ball at which a loss is large (PGD, Madry et al. 2018).

    Args:
        images: float32 [batch, channels, height, width] in [0, 1].
        ball: around each.
        steps: gradients taken.
        loss: gives one number per image, or their sum.
        draws: of the random start.
        step: the length of a step; 0: 2.5 radii over the number of steps.
    """
    length = step or 2.5 * ball.radius / steps
    points = ball.random(images, draws)
    for _ in range(steps):
        points.requires_grad_()
        (gradient,) = torch.autograd.grad(loss(points).sum(), points)
        points = ball.within(points.detach() + length * ball.direction(gradient), images)
    return points.detach()


def worst_images(batch: Batch, ball: Ball, steps: int, loss: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the images of balls around a batch's at which a loss of the network is large.

    The network is asked as attacks want it, and handed back in training mode.

    Args:
        batch: gives images, network and draws.
        ball: around each image.
        steps: gradients taken.
        loss: of the logits of such images, summed over them.
    """
    with batch.attacked():
        return climbed(
            batch.images.float(),
            ball,
            steps,
            lambda points: loss(batch.logits(points)),
            batch.draws,
        )


def summed_loss(targets: Tensor) -> Callable[[Tensor], Tensor]:
    """Return the cross-entropy to the targets, summed over images, as a function of logits."""
    return lambda logits: F.cross_entropy(logits, targets, reduction="sum")


def decoupled(batch: Batch, images: Tensor, radius: float, steps: int) -> Tensor:
    """Return near adversarial images by DDN (Rony et al. 2019), drawn into an L2 ball.

    The norm shrinks by a twentieth where the image is wrong, and grows by one where it is right;
    what is kept is the nearest wrong one, else the last.
    """
    labels = batch.labels
    count = len(images)
    norms = images.new_ones(count, 1, 1, 1)
    best, nearest = images.clone(), images.new_full((count, 1, 1, 1), math.inf)
    change = torch.zeros_like(images)
    for index in range(steps):
        points = (images + change).requires_grad_()
        logits = batch.logits(points)
        wrong = (logits.argmax(dim=1) != labels).view(-1, 1, 1, 1)
        loss = F.cross_entropy(logits, labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, points)
        size = lengths(change)
        better = wrong & (size < nearest)
        nearest = torch.where(better, size, nearest)
        best = torch.where(better, points.detach(), best)
        rate = 0.01 + 0.495 * (1 - 0.01) * (1 + math.cos(math.pi * index / steps))
        change = change + rate * _unit(gradient)
        norms = norms * torch.where(wrong, 0.95, 1.05)
        change = _unit(change) * norms
        change = (images + change).clamp(0, 1) - images
    best = torch.where(nearest.isfinite(), best, images + change)
    return Ball("2", radius).within(best, images).detach()


def bisected(batch: Batch, images: Tensor, ends: Tensor, halvings: int) -> Tensor:
    """Return where, on the way from images to ends, the verdict turns wrong.

    Args:
        batch: gives network and labels.
        images: classified correctly.
        ends: classified wrongly.
        halvings: of the way; each is a pass forward.
    """
    low = images.new_zeros(len(images), 1, 1, 1)
    high = torch.ones_like(low)
    with torch.no_grad():
        for _ in range(halvings):
            middle = (low + high) / 2
            logits = batch.logits(images + middle * (ends - images))
            wrong = (logits.argmax(dim=1) != batch.labels).view(-1, 1, 1, 1)
            low, high = torch.where(wrong, low, middle), torch.where(wrong, middle, high)
    return images + high * (ends - images)


def lengths(change: Tensor) -> Tensor:
    """Return the L2 norm of each image's change, [batch, 1, 1, 1]."""
    norms: Tensor = change.flatten(1).norm(dim=1)
    return norms.view(-1, 1, 1, 1)


def _unit(change: Tensor) -> Tensor:
    return change / lengths(change).clamp_min(TINY)
