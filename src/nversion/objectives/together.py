"""Objectives of several networks that train together, so that they fail apart.

- Kariyappa and Qureshi, "Improving adversarial robustness of ensembles with diversity training",
  2019: the gradients of the networks' losses shall not point the same way; the log-sum-exp of their
  pairwise cosines is added to the losses.
- Pang, Xu, Du, Chen and Zhu, "Improving adversarial robustness via promoting ensemble diversity",
  2019 (ADP): the entropy of the mean prediction and the volume that the predictions of the wrong
  classes span are made large.
- Yang, Li, Xu, Guo, Zhang, Kailkhura, Hu and Li, "TRS: transferability reduced ensemble via
  promoting gradient diversity and model smoothness", 2021: cosines of either sign are made small,
  and so are the gradients at perturbed images, for only smooth networks with orthogonal gradients
  keep transfer low.

An objective here gets all networks' batches at once and returns one number for all of them.
"""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Sequence
from typing import ClassVar, final

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from torch import Tensor

from nversion.errors import InputError
from nversion.objectives.base import Batch, ramped
from nversion.objectives.perturbations import Ball, summed_loss, worst_images
from nversion.registry import Registry

__all__ = [
    "AdaptivePromotion",
    "GradientCosine",
    "JointObjective",
    "TransferReduction",
    "create_joint_objective",
    "joint_objective_names",
]

TINY = 1e-12


@dataclasses.dataclass(frozen=True)
class JointObjective(abc.ABC):
    """What several networks minimise together; a configured value.

    Class attributes:
        name: the name in the registry.
        passes: what a step costs beside the plain steps of all networks.
    """

    name: ClassVar[str]
    passes: ClassVar[str] = ""

    @abc.abstractmethod
    def step(self, batches: Sequence[Batch]) -> Tensor:
        """Return the loss of all networks on the same images, a scalar with a gradient.

        Args:
            batches: one for each network, two at least; images and targets are the same.
        """


JOINT: Registry[JointObjective] = Registry(
    "joint objective", "nversion.joint_objectives", JointObjective
)

create_joint_objective = JOINT.create
joint_objective_names = JOINT.names


@final
@JOINT.register
@dataclasses.dataclass(frozen=True)
class GradientCosine(JointObjective):
    """Cross-entropies plus the log-sum-exp of the gradients' cosines (Kariyappa, Qureshi 2019).

    Attributes:
        weight: of the penalty; 0 trains every network for itself.
    """

    name: ClassVar[str] = "gradient-cosine"
    passes: ClassVar[str] = "one back to the images for each network, and one back through it"
    weight: float = 0.5

    def __post_init__(self) -> None:
        _check(self.weight)

    def step(self, batches: Sequence[Batch]) -> Tensor:
        """Return the mean loss and the weighted penalty."""
        losses, gradients = _losses_and_gradients(batches, self.weight > 0)
        if not self.weight:
            return losses
        cosines = _pairs(gradients)
        return losses + self.weight * cosines.logsumexp(dim=0).mean()


@final
@JOINT.register
@dataclasses.dataclass(frozen=True)
class AdaptivePromotion(JointObjective):
    """Cross-entropies less the entropy of the mean and the log of the volume (ADP, Pang 2019).

    Attributes:
        entropy: weight of the entropy of the mean prediction.
        volume: weight of the logarithm of the squared volume of the wrong classes' predictions.
    """

    name: ClassVar[str] = "adp"
    passes: ClassVar[str] = "none"
    entropy: float = 2.0
    volume: float = 0.5

    def __post_init__(self) -> None:
        _check(self.entropy)
        _check(self.volume)

    def step(self, batches: Sequence[Batch]) -> Tensor:
        """Return the mean loss less the weighted diversity."""
        logits = torch.stack([batch.logits() for batch in batches])
        targets, labels = batches[0].targets, batches[0].labels
        losses = torch.stack([F.cross_entropy(one, targets) for one in logits]).mean()
        outputs = logits.softmax(dim=2)
        mean = outputs.mean(dim=0)
        entropy = -(mean * mean.clamp_min(TINY).log()).sum(dim=1).mean()
        wrong = torch.ones_like(mean, dtype=torch.bool).scatter(1, labels[:, None], False)
        others = outputs[:, wrong].view(len(batches), len(labels), -1).transpose(0, 1)
        units = F.normalize(others, dim=2)
        gram = units @ units.transpose(1, 2)
        # Two predictions that are the same span nothing; a little is put beside them.
        eye = 1e-6 * torch.eye(len(batches), device=gram.device)
        volume = torch.logdet(gram + eye).mean()
        return losses - self.entropy * entropy - self.volume * volume


@final
@JOINT.register
@dataclasses.dataclass(frozen=True)
class TransferReduction(JointObjective):
    """Cross-entropies plus the gradients' cosines of either sign, and their sizes (TRS, 2021).

    Attributes:
        cosine: weight of the mean absolute cosine.
        smoothness: weight of the gradients' mean size at perturbed images.
        radius: in Linf, of these images, in the end.
        steps: of the search for them.
        ramp: share of the training over which the radius grows from 0.
    """

    name: ClassVar[str] = "trs"
    passes: ClassVar[str] = "two back to the images for each network, and one back through each"
    cosine: float = 1.0
    smoothness: float = 0.1
    radius: float = 0.1
    steps: int = 2
    ramp: float = 0.5

    def __post_init__(self) -> None:
        _check(self.cosine)
        _check(self.smoothness)
        Ball.checked("inf", self.radius)
        if self.steps < 1:
            raise InputError(f"steps must be at least 1, not {self.steps}")

    def step(self, batches: Sequence[Batch]) -> Tensor:
        """Return the mean loss, the weighted cosines and the weighted sizes."""
        losses, gradients = _losses_and_gradients(batches, True)
        loss = losses + self.cosine * _pairs(gradients).abs().mean()
        if not self.smoothness:
            return loss
        first = batches[0]
        ball = Ball.checked("inf", ramped(0, self.radius, first.progress, self.ramp))
        sizes = []
        for batch in batches:
            worst = worst_images(batch, ball, self.steps, summed_loss(batch.labels))
            worst.requires_grad_()
            total = F.cross_entropy(batch.logits(worst), batch.labels, reduction="sum")
            (gradient,) = torch.autograd.grad(total, worst, create_graph=True)
            sizes.append(gradient.flatten(1).norm(dim=1).mean())
        return loss + self.smoothness * torch.stack(sizes).mean()


def _losses_and_gradients(batches: Sequence[Batch], wanted: bool) -> tuple[Tensor, Tensor]:
    """Return the mean loss, and each network's gradients [networks, batch, values]."""
    losses, gradients = [], []
    for batch in batches:
        images = batch.images.float().requires_grad_(wanted)
        total = F.cross_entropy(batch.logits(images), batch.targets, reduction="sum")
        losses.append(total / len(images))
        if wanted:
            (gradient,) = torch.autograd.grad(total, images, create_graph=True)
            gradients.append(gradient.flatten(1))
    mean = torch.stack(losses).mean()
    return mean, torch.stack(gradients) if wanted else mean


def _pairs(gradients: Tensor) -> Tensor:
    """Return the cosine of every two networks' gradients, [pairs, batch]."""
    units = F.normalize(gradients, dim=2)
    cosines = torch.einsum("ibv,jbv->ijb", units, units)
    first, second = torch.triu_indices(len(gradients), len(gradients), 1).unbind()
    return cosines[first, second]


def _check(weight: float) -> None:
    if not (math.isfinite(weight) and weight >= 0):
        raise InputError(f"a weight must be 0 or more and finite, not {weight}")
