"""PyTorch's operators (ATen) as layers, as ``torch.export`` writes them down.

A function takes the weaver and the call, whose arguments have the names that PyTorch's schemas give
them; a value has no side for the batch, so that a dimension is one more than a side of ours.

Here are those of each number by itself and of two values; those with weights or windows are in
:mod:`.aten_layers`, those that give another view of the same numbers in :mod:`.aten_views`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import nn

from nversion.formats.aten_calls import Call, Convert
from nversion.formats.aten_layers import LAYERS
from nversion.formats.aten_views import VIEWS
from nversion.formats.operators import Unconverted
from nversion.formats.plain import Act
from nversion.formats.weaver import Value, Weaver

__all__ = ["ATEN", "Call"]


def _act(make: Callable[[Call], nn.Module]) -> Convert:
    def convert(weaver: Weaver, call: Call) -> Value:
        return weaver.pointwise(make(call), call.value, call.name)

    return convert


def _same(weaver: Weaver, call: Call) -> Any:
    return call.first


def _dropout(weaver: Weaver, call: Call) -> Any:
    if call.get("train", False):
        raise Unconverted("it draws at random; export the model after model.eval()")
    return call.value


def _clamp(call: Call) -> nn.Module:
    low, high = call.get("min", call.get("min_val")), call.get("max", call.get("max_val"))
    if low == 0 and high is None:
        return nn.ReLU()
    if low == 0 and high == 6:
        return nn.ReLU6()
    if low is None or high is None:
        return Act(torch.clamp, min=low, max=high)
    return nn.Hardtanh(float(low), float(high))


def _arithmetic(how: str) -> Convert:
    def convert(weaver: Weaver, call: Call) -> Value:
        first, second = call.given["self"], call.given["other"]
        if call.get("alpha", 1) != 1:
            raise Unconverted("it has a factor")
        if isinstance(first, Value) and isinstance(second, Value):
            return weaver.join(how, first, second, call.name)
        value, number = (first, second) if isinstance(first, Value) else (second, first)
        number = np.asarray(number, dtype=np.float64)
        if number.ndim == len(value.shape) + 1:
            number = number[0]
        if how in ("add", "mul"):
            return weaver.affine(value, number, how == "mul", call.name)
        if how == "div" and value is first:
            return weaver.affine(value, 1.0 / number, True, call.name)
        if how == "sub" and value is first:
            return weaver.affine(value, -number, False, call.name)
        if how == "sub":
            turned = weaver.affine(value, np.asarray(-1.0), True, call.name)
            return weaver.affine(turned, number, False, call.name)
        inverse = weaver.pointwise(Act(torch.reciprocal), value, call.name)
        return weaver.affine(inverse, number, True, call.name)

    return convert


def _negative(weaver: Weaver, call: Call) -> Value:
    return weaver.affine(call.value, np.asarray(-1.0), True, call.name)


ATEN: Mapping[str, Convert] = MappingProxyType(
    {
        **LAYERS,
        **VIEWS,
        **dict.fromkeys(("contiguous", "clone", "detach", "alias", "lift_fresh_copy"), _same),
        **dict.fromkeys(("to", "to_copy"), _same),
        **dict.fromkeys(("dropout", "feature_dropout", "alpha_dropout"), _dropout),
        "relu": _act(lambda call: nn.ReLU()),
        "relu6": _act(lambda call: nn.ReLU6()),
        "sigmoid": _act(lambda call: nn.Sigmoid()),
        "tanh": _act(lambda call: nn.Tanh()),
        "leaky_relu": _act(lambda call: nn.LeakyReLU(float(call.get("negative_slope", 0.01)))),
        "elu": _act(lambda call: nn.ELU(float(call.get("alpha", 1.0)))),
        "selu": _act(lambda call: nn.SELU()),
        "gelu": _act(lambda call: nn.GELU(str(call.get("approximate", "none")))),
        "silu": _act(lambda call: nn.SiLU()),
        "mish": _act(lambda call: nn.Mish()),
        "softplus": _act(lambda call: nn.Softplus()),
        "hardswish": _act(lambda call: nn.Hardswish()),
        "hardsigmoid": _act(lambda call: nn.Hardsigmoid()),
        "hardtanh": _act(_clamp),
        "clamp": _act(_clamp),
        "clamp_min": _act(_clamp),
        "exp": _act(lambda call: Act(torch.exp)),
        "abs": _act(lambda call: Act(torch.abs)),
        "neg": _negative,
        **{how: _arithmetic(how) for how in ("add", "sub", "mul", "div")},
    }
)
