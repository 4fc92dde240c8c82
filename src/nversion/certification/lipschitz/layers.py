"""How far single nodes stretch, from what is plain to see of them."""

from __future__ import annotations

import math

from nversion.certification.lipschitz.linear_maps import ROUNDING
from nversion.certification.network.graph import (
    Activation,
    Convolution,
    Image,
    MaxPool,
    Network,
    Node,
    Scale,
    Sum,
    tiles,
    ungrouped,
)

__all__ = ["common_torus", "node_stretch", "norm_by_sums", "steepest", "window_overlap"]


def node_stretch(node: Node, before: list[float]) -> float:
    """Return the stretch of a node without weights, from those of its inputs."""
    match node:
        case Image():
            return 1.0
        case Scale():
            return before[0] * float(node.scale.abs().max()) * (1.0 + ROUNDING)
        case Activation():
            return before[0] * steepest(node)
        case MaxPool():
            return before[0] * window_overlap(node)
        case Sum():
            return before[0] + before[1]
    return before[0]


def steepest(node: Activation) -> float:
    """Return the steepest slope of an activation, in size."""
    return 0.25 if node.function == "sigmoid" else max(1.0, abs(node.slope))


def window_overlap(node: MaxPool) -> float:
    """Return the root of how many windows a neuron may be in, rounded up."""
    windows = [math.ceil(node.size[i] / node.stride[i]) for i in (0, 1)]
    return 1.0 if windows == [1, 1] else math.sqrt(windows[0] * windows[1]) * (1.0 + ROUNDING)


def norm_by_sums(node: Convolution) -> float:
    """Return the root of the largest sums of absolute weights of a neuron and of an input."""
    size = ungrouped(node).abs()
    reads, read_by = size.sum(dim=(1, 2, 3)).max(), size.sum(dim=(0, 2, 3)).max()
    return math.sqrt(float(reads * read_by)) * (1.0 + ROUNDING)


def common_torus(network: Network) -> tuple[int, int]:
    """Return a grid on which no convolution's windows reach around, and pools' windows fit."""
    sizes, windows = [(1, 1)], [(1, 1)]
    for node in network.nodes:
        if isinstance(node, Convolution):
            shape = network.nodes[node.inputs[0]].shape
            sizes.append((shape[1] + 2 * node.padding[0], shape[2] + 2 * node.padding[1]))
        elif isinstance(node, MaxPool) and tiles(node):
            windows.append(node.size)
    found = []
    for axis in (0, 1):
        step = math.lcm(*(window[axis] for window in windows))
        found.append(step * math.ceil(max(size[axis] for size in sizes) / step))
    return found[0], found[1]
