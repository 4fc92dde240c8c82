"""Whether backward linear bounds of a layer are worth their time beside the Jacobian's range.

Where the range of the Jacobian is carried along it bounds every layer for next to nothing, and
taking a layer's rows back to the image is the dearest part of the whole work. What those rows can
add is that neurons come to keep their sign whose ranges from the Jacobian alone hold zero: each of
them makes the Jacobian's range behind it narrower, which moving an end of the range does not. A few
neurons, spread over the layer, answer for all.
"""

from __future__ import annotations

import dataclasses

from torch import Tensor

from nversion.certification.bounds.intervals import Bounds
from nversion.certification.bounds.layer import Layer
from nversion.certification.network.graph import Activation, Convolution, Dense, MaxPool
from nversion.certification.rows.dense import DenseRows, stacked_rows
from nversion.certification.rows.patches import PatchRows, convolution_rows

__all__ = ["SETTLED", "linear_bounds_pay"]

SAMPLE = 6
"""How many neurons of a dense layer, or rows and columns of a convolution's maps, are asked."""

SETTLED = 0.25
"""Linear bounds are drawn if they settle the sign of more than this share of the neurons asked
whose sign the Jacobian's range leaves open. On trained networks they settle 0.02 to 0.07 where all
they bring is 1 % of the radius for a third to a half of the time. With a max-pool they settle up to
0.45; this limit gives away 2 % there, of 15, and saves a fifth of the time."""


def linear_bounds_pay(layer: Layer, by_range: Bounds, settled: float) -> bool:
    """Tell whether linear bounds of a layer are worth their time.

    Args:
        layer: the layer.
        by_range: its bounds from the Jacobian's range.
        settled: the share of open signs that must be settled for it (see :data:`SETTLED`).
    """
    if not layer.planes:
        # An affine map of the image: both are exact, but for the box.
        return layer.region.ball.box is not None
    sample = _sample(layer, by_range)
    if sample is None or not _sign_decides(layer):
        return True
    rows, low, high = sample
    values = layer.minimum(layer.source, rows).lower
    half = values.shape[1] // 2
    lower, upper = values[:, :half].reshape(low.shape), -values[:, half:].reshape(low.shape)
    still_open = (low < 0) & (high > 0)
    closed = still_open & ((lower >= 0) | (upper <= 0))
    return bool(closed.sum() > settled * still_open.sum())


def _sample(layer: Layer, by_range: Bounds) -> tuple[DenseRows | PatchRows, Tensor, Tensor] | None:
    """Return rows for some of the neurons, and their bounds; None for nodes without weights."""
    node, count = layer.node, len(layer.region)
    low, high = by_range
    if isinstance(node, Dense):
        step = max(1, node.shape[0] // SAMPLE)
        rows = stacked_rows(node.weight[::step], node.bias[::step], count)
        return rows, low[:, ::step], high[:, ::step]
    if not isinstance(node, Convolution):
        return None
    down, across = (max(1, size // SAMPLE) for size in node.shape[1:])
    low, high = (x[..., ::down, ::across] for x in (low, high))
    # The same convolution with larger strides has only every so many neurons.
    thin = dataclasses.replace(
        node,
        shape=(node.shape[0], *low.shape[2:]),
        stride=(node.stride[0] * down, node.stride[1] * across),
    )
    shape = layer.network.nodes[layer.source].shape
    return convolution_rows(thin, slice(None), count, shape), low, high


def _sign_decides(layer: Layer) -> bool:
    """Tell whether all that reads a layer is linear on either side of zero."""
    return all(
        (isinstance(user, Activation) and user.function == "relu")
        or (isinstance(user, MaxPool) and user.rectified)
        for user in layer.users
    )
