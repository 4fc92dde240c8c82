"""DeepFool (Moosavi-Dezfooli, Fawzi & Frossard 2016), algorithm 2, for the L2 norm.

Around the current point the classifier is taken as linear; the point moves onto the nearest of the
linear decision boundaries to other classes, a little past it, until the model is fooled. As in
Foolbox 2.4 only the likeliest classes are looked at (ten), and there are 100 steps at the most.

Two things save time or distance without changing where the steps go. From the second step on, only
the few boundaries that were nearest are followed (the others were farther by more than a step moves
them). And the last step's overshoot is taken back: the image is drawn in along the straight line to
the original, as the paper's final scaling by 1 + overshoot suggests, but to the boundary itself.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import torch
from torch import Tensor

from nversion.attacks.base import Attack, check_count, check_option
from nversion.attacks.criteria import is_adversarial
from nversion.attacks.noise import Noise
from nversion.attacks.oracle import Oracle
from nversion.attacks.ray import drawn_in
from nversion.attacks.registry import register

__all__ = ["DeepFool"]


@register
@dataclasses.dataclass(frozen=True)
class DeepFool(Attack):
    """Steps onto the nearest linearised decision boundary.

    Attributes:
        steps: at the most.
        subsample: how many of the likeliest classes are looked at, the label's among them.
        followed: how many of their boundaries, the nearest, are followed after the first step.
        overshoot: how far past the boundary a step goes, relative to its length.
    """

    steps: int = 100
    subsample: int = 10
    followed: int = 4
    overshoot: float = 0.02

    name: ClassVar[str] = "deepfool"
    norm: ClassVar[str] = "l2"

    def __post_init__(self) -> None:
        check_count("steps", self.steps)
        check_count("subsample", self.subsample, low=2)
        check_count("followed", self.followed)
        check_option("overshoot", self.overshoot, positive=False)

    def propose(self, oracle: Oracle, images: Tensor, labels: Tensor, noise: Noise) -> Tensor:
        """Return the first adversarial points of the steps, drawn in to the boundary."""
        points = images.clone()
        classes = _likeliest_others(oracle.logits(images), labels, self.subsample - 1)
        active = torch.arange(len(images), device=images.device)
        for _ in range(self.steps):
            own = labels[active]
            gaps, normals = _boundaries(oracle, points[active], own, classes)
            squares = normals.flatten(2).square().sum(dim=2)
            distances = torch.where(squares > 0, gaps / squares.sqrt(), torch.inf)
            nearest = distances.argmin(dim=1, keepdim=True)
            lengths = (1.0 + self.overshoot) * gaps / squares
            length = lengths.gather(1, nearest)[:, :, None, None]
            normal = normals[torch.arange(len(active), device=active.device), nearest[:, 0]]
            moved = (points[active] + length * normal).clamp(0.0, 1.0)
            pointing = distances.gather(1, nearest)[:, 0].isfinite()
            active, own = active[pointing], own[pointing]
            if len(active) == 0:
                break
            points[active] = moved[pointing]
            order = distances.argsort(dim=1, stable=True)[:, : self.followed]
            classes = classes.gather(1, order)[pointing]
            fooled = is_adversarial(oracle.logits(points[active]), own, oracle.dtype)
            active, classes = active[~fooled], classes[~fooled]
            if len(active) == 0:
                break
        return drawn_in(oracle, images, points, labels)


def _likeliest_others(logits: Tensor, labels: Tensor, count: int) -> Tensor:
    """Return the likeliest classes other than the label, int64 [rows, at most count]."""
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return others.topk(min(count, logits.shape[1] - 1), dim=1).indices


def _boundaries(
    oracle: Oracle, points: Tensor, labels: Tensor, classes: Tensor
) -> tuple[Tensor, Tensor]:
    """Return each boundary's gap (label's logit less the class's) and minus the gap's gradient.

    Args:
        oracle: the attacked model.
        points: [count, channels, height, width].
        labels: int64 [count].
        classes: int64 [count, others].

    Returns:
        float32 [count, others], made a little larger than zero where a boundary is passed already
        or stood on, and float32 [count, others, channels, height, width].
    """
    wanted = torch.cat([labels[:, None], classes], dim=1)
    logits, gradients = oracle.jacobian(points, wanted)
    picked = logits.gather(1, wanted)
    size = picked.abs().amax(dim=1, keepdim=True).clamp(min=1.0)
    gaps = (picked[:, :1] - picked[:, 1:]).abs() + 1e-4 * size
    return gaps, gradients[:, 1:] - gradients[:, :1]
