"""Penalties beside the cross-entropy: stable rectifiers, and small gradients as a control.

- Xiao, Tjeng, Shafiullah and Madry, "Training for faster adversarial robustness verification via
  inducing ReLU stability", 2019: -tanh(1 + l u) for every rectifier with input bounds l and u,
  which is small where l and u have the same sign.
- Hoffman, Roberts and Yaida, "Robust learning with Jacobian regularization", 2019: the squared
  Frobenius norm of the Jacobian, estimated along one random direction of the outputs.
"""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar, final

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from torch import Tensor, nn

from nversion.errors import InputError
from nversion.objectives.base import Batch, StepObjective
from nversion.objectives.boxes import boxes
from nversion.objectives.intervals import begun, check_schedule
from nversion.objectives.layers import layers

__all__ = ["JacobianPenalty", "ReluStability"]


@final
@dataclasses.dataclass(frozen=True)
class ReluStability(StepObjective):
    """Cross-entropy plus a penalty on rectifiers that may be on or off (Xiao et al. 2019).

    Attributes:
        weight: of the penalty, the mean over the network's rectifiers.
        radius: in Linf, of the bounds.
        ramp: share of the training over which the radius grows from 0.
    """

    name: ClassVar[str] = "relu-stability"
    passes: ClassVar[str] = "2 forward and back"
    weight: float = 0.5
    radius: float = 0.1
    ramp: float = 0.5

    def __post_init__(self) -> None:
        check_schedule(self.radius, self.ramp, 0.0, 1.0)
        _check_weight(self.weight)

    def step(self, batch: Batch) -> Tensor:
        """Return the loss with its penalty."""
        plain = F.cross_entropy(batch.logits(), batch.targets)
        found = layers(batch.network, self.name)
        radius = self.radius * begun(batch.progress, 0.0, self.ramp)
        every = boxes(self.name, batch, found, radius)
        stable = [
            -torch.tanh(1 + box.lower * box.upper).flatten(1)
            for layer, box in zip(found, every, strict=True)
            if isinstance(layer, nn.ReLU)
        ]
        if not stable:
            return plain
        return plain + self.weight * torch.cat(stable, dim=1).mean()


@final
@dataclasses.dataclass(frozen=True)
class JacobianPenalty(StepObjective):
    """Cross-entropy plus the squared norm of the Jacobian of the logits (Hoffman et al. 2019).

    Attributes:
        weight: of half the squared Frobenius norm, averaged over images.
    """

    name: ClassVar[str] = "jacobian"
    passes: ClassVar[str] = "one back to the images, and one back through it"
    weight: float = 0.01

    def __post_init__(self) -> None:
        _check_weight(self.weight)

    def step(self, batch: Batch) -> Tensor:
        """Return the loss with its penalty."""
        images = batch.images.float().requires_grad_()
        logits = batch.logits(images)
        drawn = torch.randn(logits.shape, generator=batch.draws, device=logits.device)
        direction = drawn / drawn.norm(dim=1, keepdim=True)
        (gradient,) = torch.autograd.grad((logits * direction).sum(), images, create_graph=True)
        norm = logits.shape[1] * gradient.square().sum() / len(images)
        return F.cross_entropy(logits, batch.targets) + self.weight / 2 * norm


def _check_weight(weight: float) -> None:
    if not (math.isfinite(weight) and weight >= 0):
        raise InputError(f"weight must be 0 or more and finite, not {weight}")
