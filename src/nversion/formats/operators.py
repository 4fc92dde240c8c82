"""Steps that files of several formats have in common, put together of layers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from nversion.formats.weaver import Constant, Value, Weaver
from nversion.formats.windows import Convolution, padded

__all__ = [
    "Unconverted",
    "convolved",
    "dense_along",
    "mean_of_maps",
    "normalised",
    "softmax_along",
    "surrounded",
]


class Unconverted(Exception):  # noqa: N818 - it becomes an ArtefactError that names the file
    """Why a node or a layer of a file is not converted."""


def dense_along(
    weaver: Weaver, value: Value, weight: Constant, bias: Constant | None, name: str
) -> Value:
    """Return a value after a dense layer along its last side; weights [outputs, inputs]."""
    if value.shape[-1] == value.places.size:
        result = weaver.dense(value.view(value.places.reshape(-1)), weight, bias, name)
        return result.view(result.places.reshape(*value.shape[:-1], -1))
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight.copy()))
        if bias is not None:
            layer.bias.copy_(torch.from_numpy(bias.copy()))
    return weaver.add(layer, weaver.settle(value), name=name)


def convolved(weaver: Weaver, value: Value, wanted: Convolution, name: str) -> Value:
    """Return a value, channels first, after a convolution; zeros put around it become padding."""
    value, (left, right, top, bottom) = weaver.unpadded(value)
    (first, last), (begin, end) = wanted.padding
    padding = ((first + top, last + bottom), (begin + left, end + right))
    layer = dataclasses.replace(wanted, padding=padding).layer()
    return weaver.convolution(layer, value, name)


def softmax_along(weaver: Weaver, value: Value, side: int, log: bool, name: str) -> Value:
    """Return the softmax of a value, or its logarithm, along one of its sides."""
    kind = nn.LogSoftmax if log else nn.Softmax
    if value.places.size == value.shape[side]:
        flat = weaver.settle(value.view(value.places.reshape(-1)))
        result = weaver.add(kind(1), flat, name=name)
        return result.view(result.places.reshape(value.shape))
    return weaver.add(kind(side + 1), weaver.settle(value), name=name)


def normalised(
    weaver: Weaver, value: Value, numbers: Sequence[Constant], epsilon: float, axis: int, name: str
) -> Value:
    """Return a value after batch normalisation along a side; numbers: factor, shift, mean, var."""
    order = [axis, *(side for side in range(len(value.shape)) if side != axis)]
    turned = weaver.settle(value.view(value.places.transpose(order)))
    count = turned.shape[0]
    layer: nn.BatchNorm1d | nn.BatchNorm2d
    if len(turned.shape) == 1:
        layer = nn.BatchNorm1d(count, eps=epsilon)
    elif len(turned.shape) == 3:
        layer = nn.BatchNorm2d(count, eps=epsilon)
    else:
        raise Unconverted(f"it normalises {list(value.shape)}, not rows or maps of channels")
    factor, shift, mean, variance = (torch.from_numpy(one.reshape(-1).copy()) for one in numbers)
    assert layer.running_mean is not None
    assert layer.running_var is not None
    with torch.no_grad():
        layer.weight.copy_(factor)
        layer.bias.copy_(shift)
        layer.running_mean.copy_(mean)
        layer.running_var.copy_(variance)
    result = weaver.add(layer, turned, name=name)
    back = [int(place) for place in np.argsort(order)]
    return result.view(result.places.transpose(back))


def mean_of_maps(weaver: Weaver, value: Value, channel: int, name: str) -> Value:
    """Return the mean over all sides but that of the channels, with sides of 1 in their place."""
    order = [channel, *(side for side in range(3) if side != channel)]
    pool = nn.AdaptiveAvgPool2d(1)
    result = weaver.add(pool, weaver.settle(value.view(value.places.transpose(order))), name=name)
    return result.view(result.places.transpose([int(p) for p in np.argsort(order)]))


def surrounded(
    weaver: Weaver, value: Value, pairs: Sequence[tuple[int, int]], fill: float, name: str
) -> Value:
    """Return a value with numbers put before and after along each side."""
    sides = [side for side, pair in enumerate(pairs) if tuple(pair) != (0, 0)]
    if not sides:
        return value
    if len(pairs) != 3 or len(sides) > 2 or min(min(pair) for pair in pairs) < 0:
        raise Unconverted("it puts something around other sides than rows and columns")
    channel = next(side for side in (0, 2, 1) if side not in sides)
    order = [channel, *(side for side in range(3) if side != channel)]
    turned = weaver.settle(value.view(value.places.transpose(order)))
    layer = padded((tuple(pairs[order[1]]), tuple(pairs[order[2]])), fill)  # type: ignore[arg-type]
    result = weaver.add(layer, turned, name=name)
    return result.view(result.places.transpose([int(place) for place in np.argsort(order)]))
