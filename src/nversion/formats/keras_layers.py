"""Keras' layers as PyTorch's, one function each (https://keras.io/api/layers).

A function takes the weaver, the layer and its inputs, and returns what the layer gives before its
activation, which :func:`activated` adds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import nn

from nversion.formats.operators import Unconverted, mean_of_maps, normalised, surrounded
from nversion.formats.plain import Act
from nversion.formats.weaver import Constant, Value, Weaver
from nversion.formats.windows import (
    Padding,
    average_pool,
    convolution,
    largest_pool,
    same_padding,
)

__all__ = ["LAYERS", "Layer", "activated"]


@dataclasses.dataclass(frozen=True)
class Layer:
    """One layer of a file.

    Attributes:
        name: its own.
        config: its options.
        weights: its arrays, in Keras' order.
    """

    name: str
    config: Mapping[str, Any]
    weights: Sequence[Constant]

    def get(self, key: str, default: Any = None) -> Any:
        """Return an option."""
        value = self.config.get(key, default)
        return default if value is None else value

    def weight(self, place: int, what: str) -> Constant:
        """Return an array."""
        if place >= len(self.weights):
            raise Unconverted(f"the file holds no {what} of it")
        return self.weights[place]

    @property
    def first(self) -> bool:
        """Whether channels come first."""
        return bool(self.get("data_format", "channels_last") == "channels_first")


Convert = Callable[[Weaver, Layer, Sequence[Value]], Value]

ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = MappingProxyType(
    {
        "relu": nn.ReLU,
        "relu6": nn.ReLU6,
        "sigmoid": nn.Sigmoid,
        "tanh": nn.Tanh,
        "elu": nn.ELU,
        "selu": nn.SELU,
        "celu": nn.CELU,
        "softplus": nn.Softplus,
        "softsign": nn.Softsign,
        "silu": nn.SiLU,
        "swish": nn.SiLU,
        "gelu": nn.GELU,
        "mish": nn.Mish,
        "leaky_relu": lambda: nn.LeakyReLU(0.2),
        "hard_sigmoid": nn.Hardsigmoid,
        "hard_silu": nn.Hardswish,
        "hard_swish": nn.Hardswish,
        "exponential": lambda: Act(torch.exp),
    }
)


def activated(weaver: Weaver, layer: Layer, value: Value) -> Value:
    """Return what a layer gives, after its activation."""
    return _activation(weaver, layer, value, layer.config.get("activation"))


def _activation(weaver: Weaver, layer: Layer, value: Value, wanted: Any) -> Value:
    if isinstance(wanted, dict):
        own = str(wanted.get("module") or "keras").startswith(("keras", "builtins"))
        wanted = wanted.get("config") if own else wanted
        wanted = wanted.get("name") if isinstance(wanted, dict) else wanted
    if wanted in (None, "linear"):
        return value
    if wanted in ("softmax", "log_softmax"):
        return _softmax_of(weaver, value, -1, wanted == "log_softmax", layer.name)
    if not isinstance(wanted, str) or wanted not in ACTIVATIONS:
        raise Unconverted(
            f"its activation {wanted!r} is not Keras' own; converted are "
            f"{', '.join(sorted(ACTIVATIONS))}, softmax and log_softmax"
        )
    return weaver.pointwise(ACTIVATIONS[wanted](), value, f"{layer.name}_{wanted}")


def _softmax_of(weaver: Weaver, value: Value, axis: int, log: bool, name: str) -> Value:
    kind = nn.LogSoftmax if log else nn.Softmax
    axis = axis + len(value.shape) + 1 if axis < 0 else axis
    if value.places.size == value.shape[axis - 1]:
        flat = weaver.settle(value.view(value.places.reshape(-1)))
        result = weaver.add(kind(1), flat, name=f"{name}_softmax")
        return result.view(result.places.reshape(value.shape))
    return weaver.add(kind(axis), weaver.settle(value), name=f"{name}_softmax")


def _act(make: Callable[[Layer], nn.Module]) -> Convert:
    def convert(weaver: Weaver, layer: Layer, values: Sequence[Value]) -> Value:
        return weaver.pointwise(make(layer), values[0], layer.name)

    return convert


def _relu(layer: Layer) -> nn.Module:
    largest, slope = layer.config.get("max_value"), float(layer.get("negative_slope", 0.0))
    if float(layer.get("threshold", 0.0)) or (largest is not None and slope):
        raise Unconverted("its threshold, or its slope with a largest value, is not converted")
    if largest is not None:
        return nn.ReLU6() if largest == 6 else nn.Hardtanh(0.0, float(largest))
    return nn.LeakyReLU(slope) if slope else nn.ReLU()


def _leaky(layer: Layer) -> nn.Module:
    return nn.LeakyReLU(float(layer.get("negative_slope", layer.get("alpha", 0.3))))


def _same(weaver: Weaver, layer: Layer, values: Sequence[Value]) -> Value:
    return values[0]


def _only_activation(weaver: Weaver, layer: Layer, values: Sequence[Value]) -> Value:
    return values[0]


def _softmax(weaver: Weaver, layer: Layer, values: Sequence[Value]) -> Value:
    axis = layer.get("axis", -1)
    return _softmax_of(weaver, values[0], int(axis), False, layer.name)


def _prelu(weaver: Weaver, layer: Layer, values: Sequence[Value]) -> Value:
    slope, value = layer.weight(0, "slope"), values[0]
    channels = np.unique(slope.reshape(-1, slope.shape[-1]), axis=0)
    if len(channels) != 1:
        raise Unconverted("it has a slope of its own for each number; share it (shared_axes)")
    turned = _turned(weaver, value, False)
    prelu = nn.PReLU(slope.shape[-1])
    with torch.no_grad():
        prelu.weight.copy_(torch.from_numpy(channels[0].copy()))
    return _back(weaver.add(prelu, turned, name=layer.name), False)


# ------------------------------------------------------------ dense layers and convolutions


def _dense(weaver: Weaver, layer: Layer, values: Sequence[Value]) -> Value:
    kernel = layer.weight(0, "kernel")
    bias = layer.weight(1, "bias") if layer.get("use_bias", True) else None
    value = values[0]
    if value.shape[-1] == value.places.size:
        flat = value.view(value.places.reshape(-1))
        result = weaver.dense(flat, kernel.T, bias, layer.name)
        return result.view(result.places.reshape(*value.shape[:-1], -1))
    linear = nn.Linear(kernel.shape[0], kernel.shape[1], bias=bias is not None)
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(kernel.T.copy()))
        if bias is not None:
            linear.bias.copy_(torch.from_numpy(bias.copy()))
    return weaver.add(linear, weaver.settle(value), name=layer.name)


def _turned(weaver: Weaver, value: Value, first: bool) -> Value:
    """Return a value with its channels first."""
    if first or len(value.shape) != 3:
        return weaver.settle(value)
    return weaver.settle(value.view(value.places.transpose(2, 0, 1)))


def _back(value: Value, first: bool) -> Value:
    """Return a value with its channels where Keras has them."""
    return value if first or len(value.shape) != 3 else value.view(value.places.transpose(1, 2, 0))


def _windows(layer: Layer, value: Value, kernel: Sequence[int]) -> tuple[Any, Padding, Any]:
    """Return stride, padding and dilation of a layer; the value has its channels first."""
    if len(value.shape) != 3:
        raise Unconverted(f"it is given {list(value.shape)} an image, not maps of channels")
    stride, dilation = layer.get("strides", [1, 1]), layer.get("dilation_rate", [1, 1])
    if layer.get("padding", "valid") == "same":
        return stride, same_padding(value.shape[1:], kernel, stride, dilation), dilation
    return stride, ((0, 0), (0, 0)), dilation


def _convolved(
    weaver: Weaver, layer: Layer, value: Value, weight: Constant, bias: Constant | None, groups: int
) -> Value:
    """Return a value, channels first, after a convolution with weights [out, in, rows, columns]."""
    stride, padding, dilation = _windows(layer, value, weight.shape[2:])
    value, (left, right, top, bottom) = weaver.unpadded(value)
    (first, last), (begin, end) = padding
    padding = ((first + top, last + bottom), (begin + left, end + right))
    module = convolution(weight, bias, stride, padding, dilation, groups)
    return weaver.convolution(module, value, layer.name)


def _conv(weaver: Weaver, layer: Layer, values: Sequence[Value]) -> Value:
    kernel = layer.weight(0, "kernel").transpose(3, 2, 0, 1)
    bias = layer.weight(1, "bias") if layer.get("use_bias", True) else None
    value = _turned(weaver, values[0], layer.first)
    result = _convolved(weaver, layer, value, kernel, bias, int(layer.get("groups", 1)))
    return _back(result, layer.first)


def _depthwise_weight(kernel: Constant) -> Constant:
    """Return weights [channels * multiplier, 1, rows, columns] of Keras' [..., channels, mult]."""
    rows, columns, channels, multiplier = kernel.shape
    turned = kernel.transpose(2, 3, 0, 1)
    return turned.reshape(channels * multiplier, 1, rows, columns)


def _depthwise(weaver: Weaver, layer: Layer, values: Sequence[Value]) -> Value:
    kernel = layer.weight(0, "kernel")
    bias = layer.weight(1, "bias") if layer.get("use_bias", True) else None
    value = _turned(weaver, values[0], layer.first)
    weight = _depthwise_weight(kernel)
    return _back(_convolved(weaver, layer, value, weight, bias, kernel.shape[2]), layer.first)


def _separable(weaver: Weaver, layer: Layer, values: Sequence[Value]) -> Value:
    depth, point = layer.weight(0, "kernel"), layer.weight(1, "pointwise kernel")
    bias = layer.weight(2, "bias") if layer.get("use_bias", True) else None
    value = _turned(weaver, values[0], layer.first)
    value = _convolved(weaver, layer, value, _depthwise_weight(depth), None, depth.shape[2])
    zero: Padding = ((0, 0), (0, 0))
    module = convolution(point.transpose(3, 2, 0, 1), bias, (1, 1), zero, (1, 1), 1)
    return _back(weaver.convolution(module, value, f"{layer.name}_pointwise"), layer.first)


# ------------------------------------------------------------ normalisation


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


# ------------------------------------------------------------ pools


def _pool(weaver: Weaver, layer: Layer, values: Sequence[Value]) -> Value:
    size = layer.get("pool_size", [2, 2])
    value = _turned(weaver, values[0], layer.first)
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
    return _back(value, layer.first)


def _max_pool(weaver: Weaver, layer: Layer, values: Sequence[Value]) -> Value:
    marked = dataclasses.replace(layer, config={**layer.config, "pool_mode": "max"})
    return _pool(weaver, marked, values)


def _global_average(weaver: Weaver, layer: Layer, values: Sequence[Value]) -> Value:
    channel = 0 if layer.first else 2
    result = mean_of_maps(weaver, values[0], channel, layer.name)
    return result if layer.get("keepdims", False) else result.view(result.places.reshape(-1))


def _global_max(weaver: Weaver, layer: Layer, values: Sequence[Value]) -> Value:
    value = _turned(weaver, values[0], layer.first)
    result = weaver.add(nn.AdaptiveMaxPool2d(1), value, name=layer.name)
    back = _back(result, layer.first)
    return back if layer.get("keepdims", False) else back.view(back.places.reshape(-1))


# ------------------------------------------------------------ branches


def _joined(how: str) -> Convert:
    def convert(weaver: Weaver, layer: Layer, values: Sequence[Value]) -> Value:
        total = values[0]
        for other in values[1:]:
            total = weaver.join(how, total, other, layer.name)
        return total

    return convert


def _average(weaver: Weaver, layer: Layer, values: Sequence[Value]) -> Value:
    total = _joined("add")(weaver, layer, values)
    return weaver.affine(total, np.asarray(1.0 / len(values)), True, layer.name)


def _concatenate(weaver: Weaver, layer: Layer, values: Sequence[Value]) -> Value:
    axis = int(layer.get("axis", -1))
    axis = axis + len(values[0].shape) if axis < 0 else axis - 1
    return weaver.concatenate(list(values), axis, layer.name)


# ------------------------------------------------------------ other views of the same numbers


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


RESTING = (
    *("Dropout", "SpatialDropout2D", "GaussianNoise", "GaussianDropout", "AlphaDropout"),
    *("Identity", "ActivityRegularization", "RandomFlip", "RandomRotation", "RandomZoom"),
    *("RandomTranslation", "RandomContrast", "RandomBrightness"),
)
"""Layers that do nothing but in training."""

LAYERS: Mapping[str, Convert] = MappingProxyType(
    {
        **dict.fromkeys(RESTING, _same),
        "Activation": _only_activation,
        "ReLU": _act(_relu),
        "LeakyReLU": _act(_leaky),
        "ELU": _act(lambda layer: nn.ELU(float(layer.get("alpha", 1.0)))),
        "PReLU": _prelu,
        "Softmax": _softmax,
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
        "Add": _joined("add"),
        "Subtract": _joined("sub"),
        "Multiply": _joined("mul"),
        "Maximum": _joined("max"),
        "Minimum": _joined("min"),
        "Average": _average,
        "Concatenate": _concatenate,
        "Flatten": _flatten,
        "Reshape": _reshape,
        "Permute": _permute,
        "ZeroPadding2D": _zero_padding,
        "Cropping2D": _cropping,
        "UpSampling2D": _up_sampling,
    }
)
