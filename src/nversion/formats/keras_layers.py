"""Keras' layers as PyTorch's, one function each (https://keras.io/api/layers).

A function takes the weaver, the layer and its inputs, and returns what the layer gives before its
activation, which :func:`activated` adds.

Here are activations and branches; layers with weights or windows are in :mod:`.keras_weighted`,
those that give another view of the same numbers in :mod:`.keras_views`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import nn

from nversion.formats.keras_layer import Convert, Layer, as_keras, channels_first
from nversion.formats.keras_views import VIEWS
from nversion.formats.keras_weighted import WEIGHTED
from nversion.formats.operators import Unconverted, softmax_along
from nversion.formats.plain import Act
from nversion.formats.weaver import Value, Weaver

__all__ = ["LAYERS", "Layer", "activated"]

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
    side = (axis + len(value.shape) + 1 if axis < 0 else axis) - 1
    return softmax_along(weaver, value, side, log, f"{name}_softmax")


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
    turned = channels_first(weaver, value, False)
    prelu = nn.PReLU(slope.shape[-1])
    with torch.no_grad():
        prelu.weight.copy_(torch.from_numpy(channels[0].copy()))
    return as_keras(weaver.add(prelu, turned, name=layer.name), False)


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


RESTING = (
    *("Dropout", "SpatialDropout2D", "GaussianNoise", "GaussianDropout", "AlphaDropout"),
    *("Identity", "ActivityRegularization", "RandomFlip", "RandomRotation", "RandomZoom"),
    *("RandomTranslation", "RandomContrast", "RandomBrightness"),
)
"""Layers that do nothing but in training."""

LAYERS: Mapping[str, Convert] = MappingProxyType(
    {
        **WEIGHTED,
        **VIEWS,
        **dict.fromkeys(RESTING, _same),
        "Activation": _only_activation,
        "ReLU": _act(_relu),
        "LeakyReLU": _act(_leaky),
        "ELU": _act(lambda layer: nn.ELU(float(layer.get("alpha", 1.0)))),
        "PReLU": _prelu,
        "Softmax": _softmax,
        "Add": _joined("add"),
        "Subtract": _joined("sub"),
        "Multiply": _joined("mul"),
        "Maximum": _joined("max"),
        "Minimum": _joined("min"),
        "Average": _average,
    }
)
