"""Margins by Lipschitz constants: certifiable training in L2.

- Leino, Wang and Fredrikson, "Globally-robust neural networks", 2021 (GloRo): a further logit
  stands for "not certified", max over j of z_j + radius * K_jy, with K_jy a Lipschitz constant of
  z_j - z_y; the cross-entropy then keeps the right logit above it.
- Tsuzuku, Sato and Sugiyama, "Lipschitz-margin training: scalable certification of perturbation
  invariance for deep neural networks", 2018 (LMT): the same amount is added to every wrong logit.

K_jy is |w_j - w_y| of the last layer times the spectral norms of the layers before it. These are
found by power iteration through the convolution itself, one step a batch, from where the last one
ended. While training they are estimates from below; certificates rest on none of them.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar, final

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from torch import Tensor, nn

from nversion.errors import InputError, TrainingError
from nversion.objectives.base import Batch, StepObjective, ramped, soft_labels
from nversion.objectives.layers import grows, layers, moves

__all__ = ["LipschitzMargin", "LipschitzMarginTraining", "RaisedLogits", "lipschitz_constants"]

FIRST_STEPS = 20
"""Power iterations at the first batch; afterwards the vectors are nearly right already."""

TINY = 1e-12


@dataclasses.dataclass(frozen=True)
class RaisedLogits(StepObjective):
    """An objective of logits of which the wrong ones are raised by what a change can do.

    Attributes:
        radius: the L2 radius that shall be certified.
        ramp: share of the training over which the radius grows from 0.
        steps: of the power iteration, per batch.
    """

    passes: ClassVar[str] = "steps of one image, forward and back"
    radius: float = 1.0
    ramp: float = 0.5
    steps: int = 1

    def __post_init__(self) -> None:
        if not (math.isfinite(self.radius) and self.radius >= 0):
            raise InputError(f"radius must be 0 or more and finite, not {self.radius}")
        if not 0 <= self.ramp <= 1:
            raise InputError(f"ramp must be in [0, 1], not {self.ramp}")
        if self.steps < 1:
            raise InputError(f"steps must be at least 1, not {self.steps}")

    def raised(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the logits, and those with the wrong ones raised by radius * K, both alike."""
        logits = batch.logits()
        reach = ramped(0, self.radius, batch.progress, self.ramp)
        constants = lipschitz_constants(self.name, batch, self.steps)
        return logits, logits + reach * constants[batch.labels]


@final
@dataclasses.dataclass(frozen=True)
class LipschitzMargin(RaisedLogits):
    """Cross-entropy with one more logit, for images that are not certified (GloRo, 2021).

    Its options are those of :class:`RaisedLogits`.
    """

    name: ClassVar[str] = "lipschitz-margin"

    def step(self, batch: Batch) -> Tensor:
        """Return the mean cross-entropy over one class more than there are."""
        logits, raised = self.raised(batch)
        labels = batch.labels[:, None]
        # The right class cannot stand for "not certified" itself.
        others = raised.scatter(1, labels, -math.inf)
        extended = torch.cat([logits, others.amax(dim=1, keepdim=True)], dim=1)
        wanted = soft_labels(batch.targets, logits.shape[1])
        return F.cross_entropy(extended, F.pad(wanted, (0, 1)))


@final
@dataclasses.dataclass(frozen=True)
class LipschitzMarginTraining(RaisedLogits):
    """Cross-entropy with every wrong logit raised by what a change can do (LMT, 2018).

    Its options are those of :class:`RaisedLogits`.
    """

    name: ClassVar[str] = "lmt"

    def step(self, batch: Batch) -> Tensor:
        """Return the mean cross-entropy of the raised logits."""
        _, raised = self.raised(batch)
        return F.cross_entropy(raised, batch.targets)


def lipschitz_constants(asking: str, batch: Batch, steps: int) -> Tensor:
    """Return estimates of the Lipschitz constants of z_j - z_y in L2, [y, j], with gradients.

    Args:
        asking: name of the objective, for messages.
        batch: gives the network, and remembers the vectors of the power iteration.
        steps: of the power iteration.

    Raises:
        TrainingError: the network has a layer whose constant is not known.
    """
    found = layers(batch.network, asking)
    memory: dict[int, Any] = batch.memory.setdefault("power iteration", {})
    if not memory:
        _remember(found, batch, memory)
        steps = max(steps, FIRST_STEPS)
    below = torch.ones((), device=batch.images.device)
    for place, layer in enumerate(found[:-1]):
        below = below * _norm(asking, layer, memory, place, steps)
    last = found[-1]
    assert isinstance(last, nn.Linear)
    # Differences rather than cdist, whose gradient at 0 is not a number.
    between = last.weight[:, None] - last.weight[None]
    return below * (between.square().sum(dim=2) + TINY).sqrt()


def _remember(found: list[nn.Module], batch: Batch, memory: dict[int, Any]) -> None:
    """Draw a vector of each linear layer's input shape."""
    values = batch.images[:1].float()
    with torch.no_grad():
        for place, layer in enumerate(found):
            drawn = torch.randn(values.shape, generator=batch.draws, device=values.device)
            memory[place] = drawn / drawn.norm()
            values = layer(values)


def _norm(
    asking: str, layer: nn.Module, memory: dict[int, Any], place: int, steps: int
) -> Tensor | float:
    if isinstance(layer, nn.Conv2d | nn.Linear | nn.AvgPool2d):
        vector = memory[place]
        for _ in range(steps):
            vector = vector.detach().requires_grad_()
            with torch.enable_grad():
                image = _linear(layer, vector)
                (vector,) = torch.autograd.grad(image, vector, image.detach())
            vector = vector / vector.norm().clamp_min(TINY)
        memory[place] = vector.detach()
        norm: Tensor = _linear(layer, vector.detach()).norm()
        return norm
    if isinstance(layer, nn.MaxPool2d):
        kernel, stride = int(layer.kernel_size), int(layer.stride)  # type: ignore[arg-type]
        return float(math.ceil(kernel / stride))
    if isinstance(layer, nn.Sigmoid):
        return 0.25
    if moves(layer) or grows(layer):
        return 1.0
    raise TrainingError(
        f"the objective {asking} knows no Lipschitz constant of {type(layer).__name__} while it "
        "trains; leave it out of the architecture"
    )


def _linear(layer: nn.Conv2d | nn.Linear | nn.AvgPool2d, vector: Tensor) -> Tensor:
    """Return the layer's outputs without its constants."""
    if isinstance(layer, nn.Conv2d):
        return F.conv2d(
            vector, layer.weight, None, layer.stride, layer.padding, layer.dilation, layer.groups
        )
    if isinstance(layer, nn.Linear):
        return F.linear(vector, layer.weight)
    return layer(vector)  # type: ignore[no-any-return]
