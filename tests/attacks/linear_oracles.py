"""On linear networks in the box, the exact smallest change in every norm.

The margin to a rival class is linear, so the smallest change that closes the gap to it is known: in
L1 a knapsack that may be filled in part, in L0 the pixels that gain most, in L2 all components
along the normal until the box stops them, in Linf all components equally far until the box does.
Over all rivals the smallest counts. All is float64 and independent of what the attacks use.
"""

from __future__ import annotations

import dataclasses
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

Floats: TypeAlias = npt.NDArray[np.float64]


NORMS = ("l0", "l1", "l2", "linf")


@dataclasses.dataclass(frozen=True)
class LinearProblem:
    """A linear network and images that it classifies as `labels`."""

    model: nn.Module
    images: torch.Tensor
    labels: torch.Tensor


def linear_problem(
    seed: int, *, classes: int = 4, shape: tuple[int, ...] = (1, 4, 4), count: int = 6
) -> LinearProblem:
    """Return a linear network and images on and between the ends of [0, 1]."""
    draws = torch.Generator().manual_seed(seed)
    images = torch.rand(count, *shape, generator=draws)
    images = ((images - 0.5) * 1.6 + 0.5).clamp(0.0, 1.0)
    layer = nn.Linear(images[0].numel(), classes)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(layer.weight.shape, generator=draws))
        layer.bias.copy_(-(layer.weight @ images.mean(dim=0).flatten()))
        model = nn.Sequential(nn.Flatten(), layer).eval()
        return LinearProblem(model, images, model(images).argmax(dim=1))


def smallest(problem: LinearProblem) -> dict[str, Tensor]:
    """Return the smallest sizes by norm, each float64 [count]; infinite where the box forbids."""
    weight = problem.model[1].weight.detach().double().numpy()
    bias = problem.model[1].bias.detach().double().numpy()
    found: dict[str, list[float]] = {norm: [] for norm in NORMS}
    for image, label in zip(problem.images.double().numpy(), problem.labels, strict=True):
        logits = weight @ image.ravel() + bias
        rivals = [k for k in range(len(logits)) if k != int(label)]
        for norm in NORMS:
            sizes = [
                to_boundary(
                    image, (weight[k] - weight[label]).reshape(image.shape),
                    float(logits[label] - logits[k]), norm,
                )
                for k in rivals
            ]  # fmt: skip
            found[norm].append(min(sizes))
    return {norm: torch.tensor(values, dtype=torch.float64) for norm, values in found.items()}


def to_boundary(image: Floats, normal: Floats, gap: float, norm: str) -> float:
    """Return the size of the smallest change with <normal, change> = gap that stays in [0, 1].

    Args:
        image: float64 [channels, height, width].
        normal: like `image`.
        gap: above or equal to zero.
        norm: one of :data:`NORMS`.
    """
    room = np.where(normal > 0, 1.0 - image, image)
    slope = np.abs(normal)
    if (slope * room).sum() < gap:
        return np.inf
    if norm == "l0":
        gains = np.sort((slope * room).sum(axis=0).ravel())[::-1]
        return float(np.searchsorted(np.cumsum(gains), gap) + 1)
    slope, room = slope.ravel(), room.ravel()
    if norm == "l1":
        order = np.argsort(-slope)
        gains = slope[order] * room[order]
        before = np.cumsum(gains) - gains
        left = np.clip(gap - before, 0.0, gains)
        return float((left / np.maximum(slope[order], 1e-300)).sum())
    speed = slope if norm == "l2" else (slope > 0).astype(float)
    low, high = 0.0, float((room / np.maximum(speed, 1e-300))[speed > 0].max())
    for _ in range(200):
        middle = (low + high) / 2
        reached = (slope * np.minimum(middle * speed, room)).sum()
        low, high = (middle, high) if reached < gap else (low, middle)
    moves = np.minimum(high * speed, room)
    return float(np.linalg.norm(moves) if norm == "l2" else moves.max())
