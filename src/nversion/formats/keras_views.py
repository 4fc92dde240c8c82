"""Keras' layers that give other views of the same numbers: shapes, orders, parts, surroundings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from nversion.formats.keras_layer import Convert, Layer
from nversion.formats.operators import Unconverted, surrounded
from nversion.formats.weaver import Value, Weaver

__all__ = ["VIEWS"]


def _concatenate(weaver: Weaver, layer: Layer, values: Sequence[Value]) -> Value:
    axis = int(layer.get("axis", -1))
    axis = axis + len(values[0].shape) if axis < 0 else axis - 1
    return weaver.concatenate(list(values), axis, layer.name)


def _flatten(weaver: Weaver, layer: Layer, values: Sequence[Value]) -> Value:
    value = values[0]
    if layer.first and len(value.shape) == 3:
        # Keras flattens with the channels last, whatever the layout.
        value = value.view(value.places.transpose(1, 2, 0))
    return value.view(value.places.reshape(-1))


def _reshape(weaver: Weaver, layer: Layer, values: Sequence[Value]) -> Value:
    return values[0].view(values[0].places.reshape(layer.get("target_shape")))


def _permute(weaver: Weaver, layer: Layer, values: Sequence[Value]) -> Value:
    order = [int(axis) - 1 for axis in layer.get("dims")]
    return values[0].view(values[0].places.transpose(order))


def _pairs(layer: Layer, key: str) -> list[tuple[int, int]]:
    given = layer.get(key)
    sides = [given, given] if isinstance(given, int) else given
    pairs = [(side, side) if isinstance(side, int) else tuple(side) for side in sides]
    return [(0, 0), *pairs] if layer.first else [*pairs, (0, 0)]


def _zero_padding(weaver: Weaver, layer: Layer, values: Sequence[Value]) -> Value:
    return surrounded(weaver, values[0], _pairs(layer, "padding"), 0.0, layer.name)


def _cropping(weaver: Weaver, layer: Layer, values: Sequence[Value]) -> Value:
    pairs, places = _pairs(layer, "cropping"), values[0].places
    cut = tuple(
        slice(before, side - after)
        for (before, after), side in zip(pairs, places.shape, strict=True)
    )
    return values[0].view(places[cut])


def _up_sampling(weaver: Weaver, layer: Layer, values: Sequence[Value]) -> Value:
    if layer.get("interpolation", "nearest") != "nearest":
        raise Unconverted("its interpolation must be nearest")
    size = layer.get("size", [2, 2])
    places = values[0].places
    for axis, times in zip((1, 2) if layer.first else (0, 1), size, strict=True):
        places = np.repeat(places, int(times), axis=axis)
    return values[0].view(places)


VIEWS: Mapping[str, Convert] = MappingProxyType(
    {
        "Concatenate": _concatenate,
        "Flatten": _flatten,
        "Reshape": _reshape,
        "Permute": _permute,
        "ZeroPadding2D": _zero_padding,
        "Cropping2D": _cropping,
        "UpSampling2D": _up_sampling,
    }
)
