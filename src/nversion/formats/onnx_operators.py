"""ONNX operators as layers, one function each (https://onnx.ai/onnx/operators).

A function takes the weaver, the node and its inputs, of which at least one depends on the images
(a :class:`~nversion.formats.weaver.Value`; the others are constants), and returns its outputs. A
value has no side for the batch, so that an axis of the file is one more than one of ours.

Here are those of each number by itself and of two values; those with weights or windows are in
:mod:`.onnx_layers`, those that give another view of the same numbers in :mod:`.onnx_views`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import nn

from nversion.formats.onnx_layers import LAYERS
from nversion.formats.onnx_nodes import Convert, Node, constant, fitting, optional
from nversion.formats.onnx_views import VIEWS
from nversion.formats.operators import Unconverted
from nversion.formats.plain import Act
from nversion.formats.weaver import Value, Weaver

__all__ = ["OPERATORS", "Node"]

MINUS_ONE = np.array(-1.0, dtype=np.float32)


def _act(make: Callable[[Node], nn.Module]) -> Convert:
    def convert(weaver: Weaver, node: Node, given: Sequence[Any]) -> list[Any]:
        return [weaver.pointwise(make(node), given[0], node.name)]

    return convert


def _function(function: Callable[..., Any]) -> Convert:
    return _act(lambda node: Act(function))


def _same(weaver: Weaver, node: Node, given: Sequence[Any]) -> list[Any]:
    return [given[0]]


def _negative(weaver: Weaver, node: Node, given: Sequence[Any]) -> list[Any]:
    return [weaver.affine(given[0], MINUS_ONE, times=True, name=node.name)]


def _clip(weaver: Weaver, node: Node, given: Sequence[Any]) -> list[Any]:
    low, high = (
        node.get(name, None if (v := optional(given, place)) is None else float(constant(v, name)))
        for place, name in ((1, "min"), (2, "max"))
    )
    if low is None and high is None:
        return [given[0]]
    module: nn.Module
    if low == 0.0 and high is None:
        module = nn.ReLU()
    elif low == 0.0 and high == 6.0:
        module = nn.ReLU6()
    elif low is not None and high is not None:
        module = nn.Hardtanh(float(low), float(high))
    else:
        module = Act(torch.clamp, min=low, max=high)
    return [weaver.pointwise(module, given[0], node.name)]


def _prelu(weaver: Weaver, node: Node, given: Sequence[Any]) -> list[Any]:
    slope = constant(given[1], "slope")
    if slope.size == 1:
        return [weaver.pointwise(nn.LeakyReLU(float(slope.reshape(()))), given[0], node.name)]
    value = weaver.settle(given[0])
    if slope.size != value.shape[0]:
        raise Unconverted("it has a slope of its own for each number, not for each channel")
    layer = nn.PReLU(slope.size)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(slope.reshape(-1).copy()))
    return [weaver.add(layer, value, name=node.name)]


def _gelu(node: Node) -> nn.Module:
    return nn.GELU("tanh" if node.get("approximate") == "tanh" else "none")


def _hard_sigmoid(node: Node) -> nn.Module:
    alpha, beta = float(node.get("alpha", 0.2)), float(node.get("beta", 0.5))
    if abs(alpha - 1 / 6) < 1e-6 and beta == 0.5:
        return nn.Hardsigmoid()
    return Act(_hard_sigmoid_of, alpha=alpha, beta=beta)


def _hard_sigmoid_of(values: torch.Tensor, alpha: float, beta: float) -> torch.Tensor:
    return (values * alpha + beta).clamp(0.0, 1.0)


def _binary(how: str) -> Convert:
    def convert(weaver: Weaver, node: Node, given: Sequence[Any]) -> list[Any]:
        total = given[0]
        for other in given[1:]:
            total = _pair(weaver, node, how, total, other)
        return [total]

    return convert


def _pair(weaver: Weaver, node: Node, how: str, first: Any, second: Any) -> Value:
    if isinstance(first, Value) and isinstance(second, Value):
        return weaver.join(how, first, second, node.name)
    value, number = (first, second) if isinstance(first, Value) else (second, first)
    number = fitting(np.asarray(number), value)
    leads = isinstance(first, Value)
    if how in ("max", "min"):
        if number.size != 1:
            raise Unconverted("it compares with more than one number")
        bound = {"min" if how == "max" else "max": float(number.reshape(()))}
        zero = bound == {"min": 0.0}
        return weaver.pointwise(nn.ReLU() if zero else Act(torch.clamp, **bound), value, node.name)
    if how == "add" or (how == "sub" and leads):
        return weaver.affine(value, number if how == "add" else -number, False, node.name)
    if how == "sub":
        turned = weaver.affine(value, MINUS_ONE, True, node.name)
        return weaver.affine(turned, number, False, node.name)
    if how == "div" and not leads:
        value = weaver.pointwise(Act(torch.reciprocal), value, node.name)
    factor = 1.0 / number.astype(np.float64) if how == "div" and leads else number
    return weaver.affine(value, factor, True, node.name)


def _power(weaver: Weaver, node: Node, given: Sequence[Any]) -> list[Any]:
    exponent = constant(given[1], "exponent")
    if not isinstance(given[0], Value) or exponent.size != 1:
        raise Unconverted("its exponent is more than one number")
    power = Act(torch.pow, exponent=float(exponent.reshape(())))
    return [weaver.pointwise(power, given[0], node.name)]


def _argmax(weaver: Weaver, node: Node, given: Sequence[Any]) -> list[Any]:
    raise Unconverted("a class is no logit; name the output before it with --input key=NAME")


OPERATORS: Mapping[str, Convert] = MappingProxyType(
    {
        **LAYERS,
        **VIEWS,
        "Relu": _act(lambda node: nn.ReLU()),
        "Sigmoid": _act(lambda node: nn.Sigmoid()),
        "Tanh": _act(lambda node: nn.Tanh()),
        "LeakyRelu": _act(lambda node: nn.LeakyReLU(float(node.get("alpha", 0.01)))),
        "Elu": _act(lambda node: nn.ELU(float(node.get("alpha", 1.0)))),
        "Celu": _act(lambda node: nn.CELU(float(node.get("alpha", 1.0)))),
        "Selu": _act(lambda node: nn.SELU()),
        "Softplus": _act(lambda node: nn.Softplus()),
        "Softsign": _act(lambda node: nn.Softsign()),
        "HardSwish": _act(lambda node: nn.Hardswish()),
        "HardSigmoid": _act(_hard_sigmoid),
        "Mish": _act(lambda node: nn.Mish()),
        "Gelu": _act(_gelu),
        "Exp": _function(torch.exp),
        "Log": _function(torch.log),
        "Sqrt": _function(torch.sqrt),
        "Abs": _function(torch.abs),
        "Erf": _function(torch.erf),
        "Sign": _function(torch.sign),
        "Reciprocal": _function(torch.reciprocal),
        "Neg": _negative,
        "Clip": _clip,
        "PRelu": _prelu,
        "Pow": _power,
        **dict.fromkeys(("Identity", "Dropout", "Cast"), _same),
        "Add": _binary("add"),
        "Sum": _binary("add"),
        "Sub": _binary("sub"),
        "Mul": _binary("mul"),
        "Div": _binary("div"),
        "Max": _binary("max"),
        "Min": _binary("min"),
        "ArgMax": _argmax,
    }
)
