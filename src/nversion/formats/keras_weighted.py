"""Keras' layers with weights or windows: dense layers, convolutions, normalisation, pools."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from torch import nn

from nversion.formats.keras_layer import Convert, Layer, as_keras, channels_first
from nversion.formats.operators import (
    Unconverted,
    convolved,
    dense_along,
    mean_of_maps,
    normalised,
)
from nversion.formats.weaver import Constant, Value, Weaver
from nversion.formats.windows import Convolution, Padding, average_pool, largest_pool, same_padding

__all__ = ["WEIGHTED"]


def _dense(weaver: Weaver, layer: Layer, values: Sequence[Value]) -> Value:
    kernel = layer.weight(0, "kernel")
    bias = layer.weight(1, "bias") if layer.get("use_bias", True) else None
    return dense_along(weaver, values[0], kernel.T, bias, layer.name)


def _windows(layer: Layer, value: Value, kernel: Sequence[int]) -> tuple[Any, Padding, Any]:
    """Return stride, padding and dilation of a layer; the value has its channels first."""
    if len(value.shape) != 3:
        raise Unconverted(f"it is given {list(value.shape)} an image, not maps of channels")
    stride, dilation = layer.get("strides", [1, 1]), layer.get("dilation_rate", [1, 1])
    if layer.get("padding", "valid") == "same":
        return stride, same_padding(value.shape[1:], kernel, stride, dilation), dilation
    return stride, ((0, 0), (0, 0)), dilation


def _in_windows(
    weaver: Weaver, layer: Layer, value: Value, weight: Constant, bias: Constant | None, groups: int
) -> Value:
    """Return a value, channels first, after a convolution with weights [out, in, rows, columns]."""
    stride, padding, dilation = _windows(layer, value, weight.shape[2:])
    wanted = Convolution(weight, bias, stride, padding, dilation, groups)
    return convolved(weaver, value, wanted, layer.name)


def _conv(weaver: Weaver, layer: Layer, values: Sequence[Value]) -> Value:
    kernel = layer.weight(0, "kernel").transpose(3, 2, 0, 1)
    bias = layer.weight(1, "bias") if layer.get("use_bias", True) else None
    value = channels_first(weaver, values[0], layer.first)
    result = _in_windows(weaver, layer, value, kernel, bias, int(layer.get("groups", 1)))
    return as_keras(result, layer.first)


def _depthwise_weight(kernel: Constant) -> Constant:
    """Return weights [channels * multiplier, 1, rows, columns] of Keras' [..., channels, mult]."""
    rows, columns, channels, multiplier = kernel.shape
    turned = kernel.transpose(2, 3, 0, 1)
    return turned.reshape(channels * multiplier, 1, rows, columns)


def _depthwise(weaver: Weaver, layer: Layer, values: Sequence[Value]) -> Value:
    kernel = layer.weight(0, "kernel")
    bias = layer.weight(1, "bias") if layer.get("use_bias", True) else None
    value = channels_first(weaver, values[0], layer.first)
    weight = _depthwise_weight(kernel)
    return as_keras(_in_windows(weaver, layer, value, weight, bias, kernel.shape[2]), layer.first)


def _separable(weaver: Weaver, layer: Layer, values: Sequence[Value]) -> Value:
    depth, point = layer.weight(0, "kernel"), layer.weight(1, "pointwise kernel")
    bias = layer.weight(2, "bias") if layer.get("use_bias", True) else None
    value = channels_first(weaver, values[0], layer.first)
    value = _in_windows(weaver, layer, value, _depthwise_weight(depth), None, depth.shape[2])
    zero: Padding = ((0, 0), (0, 0))
    mixing = Convolution(point.transpose(3, 2, 0, 1), bias, (1, 1), zero)
    return as_keras(
        weaver.convolution(mixing.layer(), value, f"{layer.name}_pointwise"), layer.first
    )


def _batch_norm(weaver: Weaver, layer: Layer, values: Sequence[Value]) -> Value:
    value, arrays = values[0], list(layer.weights)
    count = len(arrays[-1]) if arrays else 0
    ones, zeros = np.ones(count, np.float32), np.zeros(count, np.float32)
    factor = arrays.pop(0) if layer.get("scale", True) else ones
    shift = arrays.pop(0) if layer.get("center", True) else zeros
    if len(arrays) != 2:
        raise Unconverted("the file holds no statistics of it")
    axis = layer.get("axis", -1)
    axis = int(axis[0] if isinstance(axis, list) else axis)
    axis = len(value.shape) - 1 if axis == -1 else axis - 1
    numbers = [factor, shift, *arrays]
    return normalised(weaver, value, numbers, float(layer.get("epsilon", 1e-3)), axis, layer.name)


def _rescaling(weaver: Weaver, layer: Layer, values: Sequence[Value]) -> Value:
    scale, offset = (np.asarray(layer.get(k, d)) for k, d in (("scale", 1.0), ("offset", 0.0)))
    value = weaver.affine(values[0], scale.astype(np.float64), True, layer.name)
    return weaver.affine(value, offset.astype(np.float64), False, layer.name)


def _normalization(weaver: Weaver, layer: Layer, values: Sequence[Value]) -> Value:
    if layer.get("invert", False):
        raise Unconverted("it is inverted")
    mean = layer.get("mean", layer.weights[0] if layer.weights else None)
    variance = layer.get("variance", layer.weights[1] if len(layer.weights) > 1 else None)
    if mean is None or variance is None:
        raise Unconverted("the file holds no mean and variance of it")
    std = np.maximum(np.sqrt(np.asarray(variance, dtype=np.float64)), 1e-7)
    value = weaver.affine(values[0], -np.asarray(mean, dtype=np.float64), False, layer.name)
    return weaver.affine(value, 1.0 / std, True, layer.name)


def _pool(weaver: Weaver, layer: Layer, values: Sequence[Value]) -> Value:
    size = layer.get("pool_size", [2, 2])
    value = channels_first(weaver, values[0], layer.first)
    stride = layer.get("strides", size)
    described = dataclasses.replace(layer, config={**layer.config, "strides": stride})
    _, padding, _ = _windows(described, value, size)
    largest = "pool_mode" in layer.config and layer.config["pool_mode"] == "max"
    if largest:
        modules = largest_pool(size, stride, padding)
    else:
        modules = average_pool(size, stride, padding, counted=False)
    for module in modules:
        value = weaver.add(module, value, name=layer.name)
    return as_keras(value, layer.first)


def _max_pool(weaver: Weaver, layer: Layer, values: Sequence[Value]) -> Value:
    marked = dataclasses.replace(layer, config={**layer.config, "pool_mode": "max"})
    return _pool(weaver, marked, values)


def _global_average(weaver: Weaver, layer: Layer, values: Sequence[Value]) -> Value:
    channel = 0 if layer.first else 2
    result = mean_of_maps(weaver, values[0], channel, layer.name)
    return result if layer.get("keepdims", False) else result.view(result.places.reshape(-1))


def _global_max(weaver: Weaver, layer: Layer, values: Sequence[Value]) -> Value:
    value = channels_first(weaver, values[0], layer.first)
    result = weaver.add(nn.AdaptiveMaxPool2d(1), value, name=layer.name)
    back = as_keras(result, layer.first)
    return back if layer.get("keepdims", False) else back.view(back.places.reshape(-1))


WEIGHTED: Mapping[str, Convert] = MappingProxyType(
    {
        "Dense": _dense,
        "Conv2D": _conv,
        "DepthwiseConv2D": _depthwise,
        "SeparableConv2D": _separable,
        "BatchNormalization": _batch_norm,
        "Rescaling": _rescaling,
        "Normalization": _normalization,
        "MaxPooling2D": _max_pool,
        "AveragePooling2D": _pool,
        "GlobalAveragePooling2D": _global_average,
        "GlobalMaxPooling2D": _global_max,
    }
)
