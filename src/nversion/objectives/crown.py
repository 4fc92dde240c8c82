"""CROWN-IBP: linear bounds of the outputs over interval bounds of the layers between.

Zhang, Chen, Xiao, Gowal, Stanforth, Li, Boning and Hsieh, "Towards stable and efficient training of
verifiably robust neural networks", 2020. The bounds of the layers between are intervals, as in IBP,
and one backward pass of linear relaxations (Zhang et al. 2018) bounds the leads of the right class.
The share of the linear bounds falls from 1 to 0, so that in the end training is IBP's.

Where a layer has no linear relaxation here (max-pooling, average pooling), the backward pass ends
and takes the interval bounds of that layer's outputs: looser, and as valid.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import ClassVar, final

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from torch import Tensor, nn
from torch.nn.grad import conv2d_input

from nversion.objectives.base import Batch, StepObjective
from nversion.objectives.boxes import Box, box_leads, boxes, lead_rows, without_own
from nversion.objectives.intervals import begun, beside_plain, check_schedule, worst_loss
from nversion.objectives.layers import layers, moved_back, moves

__all__ = ["CrownInterval", "crown_leads"]


@final
@dataclasses.dataclass(frozen=True)
class CrownInterval(StepObjective):
    """Cross-entropy at the worst logits of linear bounds, then of intervals (CROWN-IBP, 2020).

    Attributes:
        radius: in Linf, in the end.
        ramp: share of the training over which radius and weights change.
        start: share of the training before that, with the plain loss alone.
        clean: weight of the plain loss in the end, in [0, 1].
        linear: weight of the linear bounds in the end, in [0, 1].
    """

    name: ClassVar[str] = "crown-ibp"
    passes: ClassVar[str] = "2 forward and back, and one back for each class"
    radius: float = 0.3
    ramp: float = 0.6
    start: float = 0.05
    clean: float = 0.0
    linear: float = 0.0

    def __post_init__(self) -> None:
        check_schedule(self.radius, self.ramp, self.start, self.clean)
        check_schedule(self.radius, self.ramp, self.start, self.linear)

    def step(self, batch: Batch) -> Tensor:
        """Return the mixed loss."""
        part = begun(batch.progress, self.start, self.ramp)
        if part == 0:
            return F.cross_entropy(batch.logits(), batch.targets)
        found = layers(batch.network, self.name)
        every = boxes(self.name, batch, found, self.radius * part)
        share = 1 + (self.linear - 1) * part
        leads = (1 - share) * box_leads(found[-1], every[-1], batch.labels)
        if share > 0:
            leads = leads + share * _leads(found, every, batch.labels)
        return beside_plain(batch, 1 + (self.clean - 1) * part, worst_loss(leads))


def crown_leads(asking: str, batch: Batch, radius: float) -> Tensor:
    """Return lower bounds of z_y - z_j within Linf balls, [batch, classes]; huge at y itself.

    Raises:
        TrainingError: the network has a layer that intervals cannot pass.
    """
    found = layers(batch.network, asking)
    return _leads(found, boxes(asking, batch, found, radius), batch.labels)


def _leads(found: Sequence[nn.Module], every: Sequence[Box], labels: Tensor) -> Tensor:
    """Return the leads, by the bounds of every layer's inputs."""
    last = found[-1]
    assert isinstance(last, nn.Linear)
    rows, constants = lead_rows(last, labels)
    place = len(found) - 2
    while place >= 0:
        layer, box = found[place], every[place]
        if isinstance(layer, nn.ReLU):
            rows, constants = _rectified(rows, constants, box)
        elif isinstance(layer, nn.Linear):
            if layer.bias is not None:
                constants = constants + rows @ layer.bias
            rows = rows @ layer.weight
        elif isinstance(layer, nn.Conv2d):
            rows, constants = _convolved(layer, rows, constants, box)
        elif moves(layer):
            flat = moved_back(layer, rows.flatten(0, 1), box.lower.shape[1:])
            rows = flat.view(*rows.shape[:2], *flat.shape[1:])
        else:
            break
        place -= 1
    centre, half = every[place + 1].around()
    rows = rows.flatten(2)
    least = (rows * centre.flatten(1)[:, None]).sum(2) - (
        rows.abs() * half.flatten(1)[:, None]
    ).sum(2)
    return without_own(least + constants, labels)


def _rectified(rows: Tensor, constants: Tensor, box: Box) -> tuple[Tensor, Tensor]:
    """Pass rows back through a rectifier: the line below where a row is positive, else above."""
    lower, upper = box.lower.clamp_max(0), box.upper.clamp_min(0)
    above = upper / (upper - lower).clamp_min(1e-8)
    below = (upper > -lower).to(rows.dtype)
    below = torch.where(box.lower >= 0, torch.ones_like(below), below)
    below = torch.where(box.upper <= 0, torch.zeros_like(below), below)
    offset = (-lower * above)[:, None]
    positive, negative = rows.clamp_min(0), rows.clamp_max(0)
    constants = constants + (negative * offset).flatten(2).sum(2)
    return positive * below[:, None] + negative * above[:, None], constants


def _convolved(
    layer: nn.Conv2d, rows: Tensor, constants: Tensor, box: Box
) -> tuple[Tensor, Tensor]:
    """Pass rows back through a convolution."""
    if layer.bias is not None:
        constants = constants + (rows.sum(dim=(3, 4)) * layer.bias).sum(2)
    shape = (rows.shape[0] * rows.shape[1], *box.lower.shape[1:])
    back: Tensor = conv2d_input(  # type: ignore[no-untyped-call]
        shape,
        layer.weight,
        rows.flatten(0, 1),
        layer.stride,
        layer.padding,
        layer.dilation,
        layer.groups,
    )
    return back.view(*rows.shape[:2], *shape[1:]), constants
