"""The slopes of the planes below ReLUs that may be on or off: any between 0 and 1 is sound.

:mod:`nversion.certification.planes.relax` chooses by the areas. Which slopes are best for the
margins is told by their gradient. :func:`nudged` takes one step along its sign, for the price of
about two more ways back for the margins; :mod:`nversion.certification.radius.alpha` takes many.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from nversion.certification.bounds.relaxation import Relaxation
from nversion.certification.network.graph import Activation, Network
from nversion.certification.rows.walk import least, margin_rows, walk

__all__ = ["nudged", "tunable", "with_slopes"]

NUDGE = 0.5
"""The step's length. A half brings about 1 % of the margins, on dense networks and others; a whole
one, to the other end, overshoots on stacks of convolutions."""


def tunable(network: Network) -> list[int]:
    """Return the nodes whose slopes can be chosen: ReLUs, leaky ones too."""
    return [
        index
        for index, node in enumerate(network.nodes)
        if isinstance(node, Activation) and node.function == "relu"
    ]


def with_slopes(relaxation: Relaxation, slopes: dict[int, Tensor]) -> Relaxation:
    """Return the relaxation with other lower slopes where a ReLU may be on or off.

    Args:
        relaxation: of the images.
        slopes: by node, [count, *shape]; values outside the allowed range are moved into it, and
            where they are NaN the relaxation's own stay.
    """
    planes = dict(relaxation.planes)
    for index, raw in slopes.items():
        node = relaxation.network.nodes[index]
        assert isinstance(node, Activation)
        low, high = relaxation.bounds[node.inputs[0]]
        old = planes[index]
        crossing = (low < 0) & (high > 0)
        chosen = raw.clamp(node.slope, 1.0).to(low.dtype)
        lower = torch.where(crossing & ~raw.isnan(), chosen, old.lower)
        down = old.lower - lower
        coupled = old.coupled
        if coupled is not None:
            coupled = dataclasses.replace(coupled, rise=coupled.rise + down)
        planes[index] = dataclasses.replace(old, lower=lower, rise=old.rise + down, coupled=coupled)
    return dataclasses.replace(relaxation, planes=planes)


def nudged(relaxation: Relaxation, labels: Tensor, others: Tensor) -> dict[int, Tensor]:
    """Return slopes that are a step better for the margin that gives away the largest share.

    Args:
        relaxation: of the images, with planes.
        labels: int64 [count].
        others: int64 [count, rows], the classes that must stay below.
    """
    network = relaxation.network
    rows = margin_rows(network, labels, others)
    margins = (rows.a @ relaxation.logits[:, :, None]).squeeze(2).clamp(min=1e-9)
    with torch.enable_grad():
        leaves = {i: relaxation.planes[i].lower.clone().requires_grad_() for i in tunable(network)}
        back = walk(network, len(network.nodes) - 1, rows, with_slopes(relaxation, leaves).planes)
        lower = least(back, relaxation.images, relaxation.radii, relaxation.ball)[0]
        loss = ((margins - lower) / margins).amax(dim=1).sum()
        gradients = torch.autograd.grad(loss, list(leaves.values()))
    return {
        index: (leaf.detach() - NUDGE * gradient.sign()).clamp(0.0, 1.0)
        for (index, leaf), gradient in zip(leaves.items(), gradients, strict=True)
    }
