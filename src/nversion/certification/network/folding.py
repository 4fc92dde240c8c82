"""Scales folded into the affine maps before them, and ReLUs fused with max-pools."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from nversion.certification.network.graph import (
    Activation,
    Convolution,
    Dense,
    LogSoftmax,
    MaxPool,
    Network,
    Node,
    Scale,
    added,
)

__all__ = ["fuse"]


def fuse(network: Network) -> Network:
    """Return an equal network with scales folded and ReLUs fused with the max-pools beside them."""
    nodes = _merge(list(network.nodes), _fold_scale)
    nodes = _merge(nodes, _fuse_pool)
    return dataclasses.replace(network, nodes=tuple(nodes))


def _merge(nodes: list[Node], rule: Callable[[Node, Node], Node | None]) -> list[Node]:
    """Replace pairs (first, second) of a chain by one node, as long as `rule` gives one."""
    changed = True
    while changed:
        changed = False
        users = [0] * len(nodes)
        for node in nodes:
            for i in node.inputs:
                users[i] += 1
        for index, second in enumerate(nodes):
            if len(second.inputs) != 1 or users[second.inputs[0]] != 1:
                continue
            first_index = second.inputs[0]
            merged = rule(nodes[first_index], second)
            if merged is None:
                continue
            nodes[index] = dataclasses.replace(merged, inputs=nodes[first_index].inputs)
            nodes = _without(nodes, first_index)
            changed = True
            break
    return nodes


def _without(nodes: list[Node], removed: int) -> list[Node]:
    """Drop one node that nobody reads any more, and renumber the inputs of the others."""
    return [
        dataclasses.replace(node, inputs=tuple(i - (i > removed) for i in node.inputs))
        for index, node in enumerate(nodes)
        if index != removed
    ]


def _fold_scale(first: Node, second: Node) -> Node | None:
    if not isinstance(second, Scale) or LogSoftmax in (type(first), type(second)):
        return None
    if isinstance(first, Scale):
        return dataclasses.replace(
            second,
            scale=first.scale * second.scale,
            shift=first.shift * second.scale + second.shift,
            added=added(first) * second.scale.abs() + added(second),
            steps=first.steps + second.steps + 2,
            peak=_peak(first, second),
        )
    if not isinstance(first, Convolution | Dense):
        return None
    out = first.shape[0]
    numel = second.scale.numel()
    if numel not in (1, out) or (numel == out and second.scale.shape[:1] != (out,)):
        return None
    scale, shift, plus = (
        t.reshape(-1).expand(out) for t in (second.scale, second.shift, added(second))
    )
    return dataclasses.replace(
        first,
        weight=first.weight * scale.reshape(-1, *([1] * (first.weight.ndim - 1))),
        bias=first.bias * scale + shift,
        added=added(first) * scale.abs() + plus,
        steps=first.steps + second.steps + 2,
        peak=_peak(first, second),
    )


def _peak(first: Convolution | Dense | Scale, second: Scale) -> tuple[float, float]:
    """Return the ``peak`` of two steps that become one."""
    rows = first.scale if isinstance(first, Scale) else first.weight.flatten(1).abs().sum(dim=1)
    factor, plus = float(rows.abs().max()), float(added(first).max())
    times, more = second.peak
    ways = [first.peak, (factor, plus), (times * factor, times * plus + more)]
    return max(way[0] for way in ways), max(way[1] for way in ways)


def _fuse_pool(first: Node, second: Node) -> Node | None:
    def rectifies(node: Node) -> bool:
        return isinstance(node, Activation) and node.function == "relu" and not node.slope

    if rectifies(first) and isinstance(second, MaxPool):
        return dataclasses.replace(second, rectified=True)
    if isinstance(first, MaxPool) and rectifies(second):
        return dataclasses.replace(first, rectified=True)
    if rectifies(first) and rectifies(second):
        return first
    return None
