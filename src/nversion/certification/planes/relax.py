"""Planes below and above each nonlinear neuron, over the range it can take.

How they are found is in :mod:`nversion.certification.planes.activations` and
:mod:`nversion.certification.planes.pools`.
"""

from __future__ import annotations

from torch import Tensor

from nversion.certification.lipschitz.moves import Moved
from nversion.certification.network.graph import Activation, MaxPool, tiles
from nversion.certification.planes.activations import relax_curve, relax_relu, sharing_relu
from nversion.certification.planes.planes import Planes
from nversion.certification.planes.pools import Differences, relax_pool, windows

__all__ = ["relax", "weighed_slopes"]


def relax(
    node: Activation | MaxPool,
    low: Tensor,
    high: Tensor,
    center: Tensor,
    differences: Differences | None = None,
    moved: Moved | None = None,
) -> Planes:
    """Return planes around the node's function.

    Args:
        node: the activation or pool.
        low: lower bounds of its inputs, [count, *shape of its input].
        high: upper bounds.
        center: the inputs' values at the image itself (any values are sound).
        differences: bounds of differences within a pool's windows, where they are known.
        moved: by how much all inputs together can move in L2; None: not known.
    """
    if isinstance(node, MaxPool):
        return relax_pool(node, low, high, center, differences, moved)
    if node.function == "relu":
        planes = relax_relu(node.slope, low, high)
        if moved is None or node.slope:
            return planes
        return sharing_relu(planes, low, high, center, moved)
    return relax_curve(node, low, high)


def weighed_slopes(node: Activation | MaxPool, slopes: Tensor, read: Tensor) -> Tensor:
    """Return ``|slopes| read`` for each of a node's neurons, added up over a pool's windows."""
    if isinstance(node, Activation):
        return slopes.abs() * read
    if tiles(node):
        return (windows(node, slopes.abs(), 0.0) * read).sum(dim=2)
    count, channels = read.shape[:2]
    laid = slopes.abs().reshape(count, channels, -1, *node.shape[1:])
    return (laid * read).sum(dim=2)
