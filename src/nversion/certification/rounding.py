"""What rounding in float64 can do to bounds of the Jacobian, and the margin that makes up for it.

Linear and interval bounds pay for their rounding layer by layer
(:mod:`nversion.certification.bounds.evaluation`). Ranges of derivatives are taken from layer to
layer by interval arithmetic, and what they are multiplied with is known only at the end; they get a
margin that no accumulation of rounding errors can exceed.

Let ``M`` be the *magnitude* of a node: the value that its computation gives when all weights,
biases, inputs and intermediate bounds are replaced by their absolute values. All quantities that
enter a bound of that node are sums of products of N terms at the most along any path, where N adds
up the number of terms of the sums on the way. Standard analysis (Higham, *Accuracy and Stability of
Numerical Algorithms*, 2002, section 3.1) bounds the error of such sums, in whatever order they are
added, by ``N u / (1 - N u)`` times the sum of the absolute values, that is, times M; ``u = 2^-53``.
Eight times that, taken here, covers the two sides of the bound, the square root of a dual norm and
the rounding of M itself. M grows with the depth as products of absolute weights do, so on deep
networks this margin leaves nothing of these bounds, and the linear ones remain.

N is of the order of 10^4 to 10^5. The same analysis in float32 would give margins larger than the
bounds; that is why the search may run in float32 but the certificate never does.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from nversion.certification.network.graph import (
    Activation,
    Convolution,
    Dense,
    Flatten,
    Image,
    MaxPool,
    Network,
    Node,
    Scale,
    Sum,
    convolve,
)

__all__ = ["SAFETY", "UNIT", "magnitudes", "margin", "path_terms", "rounded_down"]

UNIT = 2.0**-53
SAFETY = 8.0


def path_terms(network: Network) -> list[int]:
    """Return for each node how many terms are summed along a path to it, at the most."""
    terms: list[int] = []
    for node in network.nodes:
        terms.append(max((terms[i] for i in node.inputs), default=0) + _terms(node))
    return terms


def _terms(node: Node) -> int:
    match node:
        case Image():
            return 4 * _numel(node.shape) + 64
        case Convolution():
            return node.weight[0].numel() + 8
        case Dense():
            return node.weight.shape[1] + 8
        case MaxPool():
            return 4 * node.size[0] * node.size[1] + 16
        case Activation():
            return 32
    return 8


def _numel(shape: tuple[int, ...]) -> int:
    return int(torch.Size(shape).numel())


def magnitudes(network: Network, images: Tensor, radii: Tensor) -> list[Tensor]:
    """Return the magnitude of every node, float64 [count, *shape] each (module docstring).

    Args:
        network: in float64.
        images: float64 [count, *shape].
        radii: float64 [count].
    """
    values = [images.abs() + radii.reshape(-1, *([1] * (images.ndim - 1)))]
    for node in network.nodes[1:]:
        x = values[node.inputs[0]]
        match node:
            case Convolution():
                values.append(convolve(node, x, node.sizes, node.bias.abs()))
            case Dense():
                values.append(functional.linear(x, node.sizes, node.bias.abs()))
            case Scale():
                values.append(x * node.scale.abs() + node.shift.abs())
            case Flatten():
                values.append(x.reshape(len(x), *node.shape))
            case MaxPool():
                area = node.size[0] * node.size[1]
                total = area * functional.avg_pool2d(x, node.size, node.stride, node.padding)
                own = functional.max_pool2d(x, node.size, node.stride, node.padding)
                # Independent ranges: slopes in [0, 1] times inputs, and times lower ends, and g.
                # Differences: slopes that add up to 1 times inputs, and times differences, and g.
                values.append(torch.maximum(2 * total + own, 5 * own))
            case Activation():
                values.append(x if node.function == "relu" else x + 2.0)
            case Sum():
                values.append(x + values[node.inputs[1]])
            case _:
                raise TypeError(f"no rule for {type(node).__name__}")
    return values


def margin(terms: int, magnitude: Tensor) -> Tensor:
    """Return by how much to move a bound of a node outwards."""
    return magnitude * (SAFETY * terms * UNIT)


def rounded_down(radii: Tensor) -> Tensor:
    """Return non-negative float64 radii as float32, never larger than they were.

    A relative 1e-9 is taken off first, for the handful of operations between the last bound and
    the radius.
    """
    shrunk = radii * (1.0 - 1e-9)
    rounded = shrunk.to(torch.float32)
    below = torch.nextafter(rounded, torch.zeros_like(rounded))
    return torch.where(rounded.to(torch.float64) > shrunk, below, rounded)
