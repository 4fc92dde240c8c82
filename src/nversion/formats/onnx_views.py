"""ONNX operators that give other views of the same numbers: shapes, orders, parts, surroundings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from nversion.formats.onnx_nodes import Convert, Node, constant, optional, side_of, whole_numbers
from nversion.formats.operators import Unconverted, surrounded
from nversion.formats.weaver import Value, Weaver

__all__ = ["VIEWS"]


def _reshape(weaver: Weaver, node: Node, given: Sequence[Any]) -> list[Any]:
    value = given[0]
    wanted = [int(n) for n in constant(optional(given, 1), "shape").reshape(-1)]
    if node.get("allowzero", 0) == 0:
        own = [1, *value.shape]
        wanted = [own[i] if n == 0 and i < len(own) else n for i, n in enumerate(wanted)]
    if not wanted or wanted[0] == 0:
        raise Unconverted(f"its shape {wanted} has no place for the images of a batch")
    whole = value.places.reshape(1, *value.shape).reshape(_with_batch(wanted, value))
    if whole.shape[0] != 1:
        raise Unconverted(f"its shape {wanted} joins or parts the images of a batch")
    return [value.view(whole[0])]


def _with_batch(wanted: list[int], value: Value) -> list[int]:
    """Return a shape for one image, of a shape for a batch of a fixed size."""
    count = value.places.size
    rest = int(np.prod(wanted[1:])) if len(wanted) > 1 else 1
    if wanted[0] > 1 and -1 not in wanted[1:] and rest == count:
        return [1, *wanted[1:]]
    return wanted


def _flatten(weaver: Weaver, node: Node, given: Sequence[Any]) -> list[Any]:
    if node.get("axis", 1) not in (1, -len(given[0].shape)):
        raise Unconverted("it joins the images of a batch, or keeps a side; its axis must be 1")
    return [given[0].view(given[0].places.reshape(-1))]


def _transpose(weaver: Weaver, node: Node, given: Sequence[Any]) -> list[Any]:
    value = given[0]
    order = list(node.get("perm") or range(len(value.shape), -1, -1))
    if order[0] != 0:
        if value.places.size == max(value.shape, default=1) and 0 in order:
            # Of a row, and for one image at a time, nothing moves.
            return [value.view(value.places.reshape(-1))]
        raise Unconverted(f"its order {order} moves the side of the batch")
    return [value.view(value.places.transpose([axis - 1 for axis in order[1:]]))]


def _squeeze(weaver: Weaver, node: Node, given: Sequence[Any]) -> list[Any]:
    value = given[0]
    axes = whole_numbers(node, given, "axes")
    if axes is None:
        return [value.view(value.places.squeeze())]
    return [value.view(value.places.squeeze(tuple(side_of(axis, value) for axis in axes)))]


def _unsqueeze(weaver: Weaver, node: Node, given: Sequence[Any]) -> list[Any]:
    value = given[0]
    axes = whole_numbers(node, given, "axes") or []
    rank = len(value.shape) + 1 + len(axes)
    places = sorted((axis + rank if axis < 0 else axis) - 1 for axis in axes)
    if places and places[0] < 0:
        raise Unconverted("it puts a side before that of the batch")
    return [value.view(np.expand_dims(value.places, tuple(places)))]


def _slice(weaver: Weaver, node: Node, given: Sequence[Any]) -> list[Any]:
    value = given[0]
    starts, ends = (whole_numbers(node, given, n, i) or [] for n, i in (("starts", 1), ("ends", 2)))
    axes = whole_numbers(node, given, "axes", 3) or list(range(len(starts)))
    steps = whole_numbers(node, given, "steps", 4) or [1] * len(starts)
    cut = [slice(None)] * len(value.shape)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if axis == 0 and start == 0 and end >= 1 and step == 1:
            continue
        side = side_of(axis, value)
        stop = None if step < 0 and end < -value.shape[side] else end
        cut[side] = slice(start, stop, step)
    return [value.view(value.places[tuple(cut)])]


def _gather(weaver: Weaver, node: Node, given: Sequence[Any]) -> list[Any]:
    value = given[0]
    if not isinstance(value, Value):
        raise Unconverted("it looks up what the images name")
    axis, places = side_of(node.get("axis", 0), value), constant(given[1], "indices")
    return [value.view(np.take(value.places, places, axis=axis))]


def _split(weaver: Weaver, node: Node, given: Sequence[Any]) -> list[Any]:
    value = given[0]
    axis, sizes = side_of(node.get("axis", 0), value), whole_numbers(node, given, "split")
    parts = node.get("num_outputs", 2)
    cuts = parts if sizes is None else [int(n) for n in np.cumsum(sizes)[:-1]]
    return [value.view(part) for part in np.array_split(value.places, cuts, axis=axis)]


def _concat(weaver: Weaver, node: Node, given: Sequence[Any]) -> list[Any]:
    if not all(isinstance(one, Value) for one in given):
        raise Unconverted("it joins what depends on the images with what does not")
    return [weaver.concatenate(given, side_of(node.get("axis", 0), given[0]), node.name)]


def _pad(weaver: Weaver, node: Node, given: Sequence[Any]) -> list[Any]:
    value = given[0]
    if node.get("mode", "constant") != "constant":
        raise Unconverted(f"its mode is {node.get('mode')!r}, but must be constant")
    pads = whole_numbers(node, given, "pads") or []
    number = optional(given, 2)
    fill = float(node.get("value", 0.0) if number is None else constant(number, "value"))
    rank = len(pads) // 2
    pairs = [(pads[i], pads[i + rank]) for i in range(rank)]
    if pairs[0] != (0, 0) or rank != len(value.shape) + 1:
        raise Unconverted("it puts something around other sides than an image's")
    return [surrounded(weaver, value, pairs[1:], fill, node.name)]


VIEWS: Mapping[str, Convert] = MappingProxyType(
    {
        "Reshape": _reshape,
        "Flatten": _flatten,
        "Transpose": _transpose,
        "Squeeze": _squeeze,
        "Unsqueeze": _unsqueeze,
        "Slice": _slice,
        "Gather": _gather,
        "Split": _split,
        "Concat": _concat,
        "Pad": _pad,
    }
)
