"""Weighted sums of rows, each image with its own weights."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["weighted_sums"]

FEW = 64
"""Elements of a row below which one call for all images is the faster one."""


def weighted_sums(rows: Tensor, weights: Tensor) -> Tensor:
    """Return ``sum_i rows[n, r, i] weights[n, i]``, [count, rows].

    On the processor a batched product with single columns takes several times as long as a
    product for each image.

    Args:
        rows: [count, rows, size].
        weights: [count, size].
    """
    if rows.device.type != "cpu" or rows.shape[2] < FEW or len(rows) == 0:
        return (rows @ weights[:, :, None]).squeeze(2)
    return torch.stack([a @ w for a, w in zip(rows, weights, strict=True)])
