"""The way of linear functions back to the image, and their minimum over the ball there."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from nversion.certification.ball import Reach, dual_norm, per_image, weighted_sums
from nversion.certification.network.graph import Flatten, MaxPool, Network, Sum, tiles
from nversion.certification.planes.planes import Planes
from nversion.certification.problem import Rivals
from nversion.certification.region import Region
from nversion.certification.rows.dense import DenseRows
from nversion.certification.rows.patches import PatchRows

__all__ = ["Minimum", "Rows", "back_to_image", "margin_rows", "minimum"]

Rows = DenseRows | PatchRows


def back_to_image(network: Network, start: int, rows: Rows, planes: dict[int, Planes]) -> Rows:
    """Take rows over node `start` back to the image."""
    pending: dict[int, Rows] = {start: rows}
    for index in range(start, 0, -1):
        if index not in pending:
            continue
        node, here = network.nodes[index], pending.pop(index)
        if isinstance(node, Sum):
            other = dataclasses.replace(here, constant=torch.zeros_like(here.constant))
            _deposit(network, pending, node.inputs[0], here)
            _deposit(network, pending, node.inputs[1], other)
            continue
        overlapping = isinstance(node, MaxPool) and not tiles(node)
        if isinstance(here, PatchRows) and (
            isinstance(node, Flatten) or overlapping or here.geometry.covers(node.shape)
        ):
            here = here.dense(node.shape)
        before = node.inputs[0]
        moved = here.back(node, planes.get(index), network.nodes[before].shape)
        _deposit(network, pending, before, moved)
    return pending[0]


def _deposit(network: Network, pending: dict[int, Rows], index: int, rows: Rows) -> None:
    present = pending.get(index)
    if present is None:
        pending[index] = rows
    elif isinstance(present, PatchRows) and isinstance(rows, PatchRows):
        pending[index] = present.plus(rows)
    else:
        shape = network.nodes[index].shape
        first, second = (r.dense(shape) if isinstance(r, PatchRows) else r for r in (present, rows))
        pending[index] = first.plus(second)


@dataclasses.dataclass(frozen=True)
class Minimum:
    """Rows over the image, and how small they are at the least.

    Attributes:
        rows: over the image.
        lower: the minima over each image's ball, [count, rows (and positions)].
        center: the values at the images themselves, likewise.
        a: the coefficients with pixels as the last axis.
        reach: how far pixels may go, laid out to fit the coefficients.
    """

    rows: Rows
    lower: Tensor
    center: Tensor
    a: Tensor
    reach: Reach


def minimum(rows: Rows, region: Region) -> Minimum:
    """Minimise rows over the image."""
    images, reach = region.images, region.reach()

    def laid(x: Tensor) -> Tensor:
        if isinstance(rows, PatchRows):
            return rows.geometry.cut(x)[:, None]
        return x.reshape(len(x), 1, -1)

    a = rows.a if isinstance(rows, PatchRows) else rows.a.flatten(2)
    spread = per_image(region.radii, rows.constant)
    if isinstance(rows, PatchRows):
        parts = [(x * y).sum(dim=-1) for x, y in zip(a, laid(images), strict=True)]
        center = rows.constant + torch.stack(parts)
    elif a.stride(0) == 0:
        center = rows.constant + images.flatten(1) @ a[0].t()
        if region.ball.box is None:
            # The first layer's rows are the same for all images, and so are their norms.
            lower = center - dual_norm(a[0], region.norm) * spread
            return Minimum(rows, lower, center, a, reach)
    else:
        center = rows.constant + weighted_sums(a, images.flatten(1))
    if reach.down is not None and reach.up is not None:
        reach = Reach(reach.norm, laid(reach.down), laid(reach.up))
    return Minimum(rows, center + reach.minimum(a, spread)[0], center, a, reach)


def margin_rows(network: Network, rivals: Rivals) -> DenseRows:
    """Return rows ``logit[label] - logit[other]`` over the last node.

    Args:
        network: gives the number of classes and the precision.
        rivals: the labels and the others.
    """
    identity = torch.eye(network.classes, dtype=network.dtype, device=rivals.labels.device)
    a = identity[rivals.labels][:, None] - identity[rivals.others]
    return DenseRows(a, a.new_zeros(a.shape[:2]))
