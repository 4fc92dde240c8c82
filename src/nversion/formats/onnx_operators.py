"""ONNX operators as layers, one function each (https://onnx.ai/onnx/operators).

A function takes the weaver, the node and its inputs, of which at least one depends on the images
(a :class:`~nversion.formats.weaver.Value`; the others are constants), and returns its outputs. A
value has no side for the batch, so that an axis of the file is one more than one of ours.
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

__all__ = ["OPERATORS", "Node"]


@dataclasses.dataclass(frozen=True)
class Node:
    """One node of a graph.

    Attributes:
        kind: its operator.
        name: its own, or "".
        attributes: by name.
        opset: the version of the operators.
    """

    kind: str
    name: str
    attributes: Mapping[str, Any]
    opset: int

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute."""
        return self.attributes.get(name, default)


Convert = Callable[[Weaver, Node, Sequence[Any]], list[Any]]

MINUS_ONE = np.array(-1.0, dtype=np.float32)


def _constant(value: Any, what: str) -> Constant:
    if isinstance(value, Value):
        raise Unconverted(f"its {what} depends on the images")
    return np.asarray(value)


def _optional(given: Sequence[Any], place: int) -> Any:
    return given[place] if len(given) > place else None


def _ints(node: Node, given: Sequence[Any], name: str, place: int = 1) -> list[int] | None:
    """Return whole numbers that are an attribute in older files and an input in newer ones."""
    if node.get(name) is not None:
        numbers = node.get(name)
        return [int(n) for n in np.atleast_1d(numbers)]
    value = _optional(given, place)
    return None if value is None else [int(n) for n in _constant(value, name).reshape(-1)]


def _axis(axis: int, value: Value) -> int:
    """Return which of a value's sides an axis of the file is."""
    rank = len(value.shape) + 1
    axis = axis + rank if axis < 0 else axis
    if not 1 <= axis < rank:
        raise Unconverted("it works across the images of a batch")
    return axis - 1


def _fitting(constant: Constant, value: Value) -> Constant:
    """Return a constant without the side of the batch."""
    if constant.ndim == len(value.shape) + 1:
        if constant.shape[0] != 1:
            raise Unconverted(f"it has a constant for each of {constant.shape[0]} images")
        constant = constant[0]
    return constant


# ------------------------------------------------------------ one number by itself


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
        node.get(
            name, None if (v := _optional(given, place)) is None else float(_constant(v, name))
        )
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
    slope = _constant(given[1], "slope")
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


# ------------------------------------------------------------ two


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
    number = _fitting(np.asarray(number), value)
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
    exponent = _constant(given[1], "exponent")
    if not isinstance(given[0], Value) or exponent.size != 1:
        raise Unconverted("its exponent is more than one number")
    power = Act(torch.pow, exponent=float(exponent.reshape(())))
    return [weaver.pointwise(power, given[0], node.name)]


# ------------------------------------------------------------ dense layers and convolutions


def _gemm(weaver: Weaver, node: Node, given: Sequence[Any]) -> list[Any]:
    weight = _constant(given[1], "weight")
    if node.get("transA", 0) or not isinstance(given[0], Value):
        raise Unconverted("it has the images as columns")
    weight = weight if node.get("transB", 0) else weight.T
    bias = _optional(given, 2)
    bias = None if bias is None else _constant(bias, "bias") * np.float32(node.get("beta", 1.0))
    alpha = np.float32(node.get("alpha", 1.0))
    value = given[0].view(given[0].places.reshape(-1))
    return [weaver.dense(value, weight * alpha if alpha != 1 else weight, bias, node.name)]


def _matmul(weaver: Weaver, node: Node, given: Sequence[Any]) -> list[Any]:
    first, second = given
    if isinstance(first, Value) and isinstance(second, Value):
        raise Unconverted("both sides depend on the images")
    if isinstance(first, Value):
        weight = _two(np.asarray(second))
        sides = first.shape
        if sides[-1] == first.places.size:  # [inputs], or [1, inputs]
            result = weaver.dense(first.view(first.places.reshape(-1)), weight.T, None, node.name)
            return [result.view(result.places.reshape(*sides[:-1], -1))]
        value = weaver.settle(first)
        layer = nn.Linear(weight.shape[0], weight.shape[1], bias=False)
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(np.array(weight.T)))
        return [weaver.add(layer, value, name=node.name)]
    weight = _two(np.asarray(first))
    if second.shape[0] != second.places.size:
        raise Unconverted("it multiplies a matrix of each image from the left")
    result = weaver.dense(second.view(second.places.reshape(-1)), weight, None, node.name)
    return [result.view(result.places.reshape(-1, *second.shape[1:]))]


def _two(weight: Constant) -> Constant:
    """Return a matrix of a constant that has sides of 1 before."""
    while weight.ndim > 2 and weight.shape[0] == 1:
        weight = weight[0]
    if weight.ndim != 2:
        raise Unconverted(f"its constant is {list(weight.shape)}, not a matrix")
    return weight


def _windows(
    node: Node, kernel: Sequence[int], value: Value
) -> tuple[list[int], Padding, list[int]]:
    """Return stride, padding and dilation of an operator of windows."""
    if len(kernel) != 2 or len(value.shape) != 3:
        raise Unconverted(
            f"its windows have {len(kernel)} sides and it is given {list(value.shape)} an image; "
            "converted are those of rows and columns"
        )
    stride, dilation = (list(node.get(name, [1, 1])) for name in ("strides", "dilations"))
    automatic = node.get("auto_pad", "NOTSET")
    if automatic in ("SAME_UPPER", "SAME_LOWER"):
        pads = same_padding(value.shape[1:], kernel, stride, dilation)
        if automatic == "SAME_LOWER":
            pads = (pads[0][::-1], pads[1][::-1])
        return stride, pads, dilation
    top, left, bottom, right = node.get("pads") or [0, 0, 0, 0]
    return stride, ((top, bottom), (left, right)), dilation


def _conv(weaver: Weaver, node: Node, given: Sequence[Any]) -> list[Any]:
    weight, bias = _constant(given[1], "weight"), _optional(given, 2)
    stride, padding, dilation = _windows(node, weight.shape[2:], given[0])
    value, (left, right, top, bottom) = weaver.unpadded(given[0])
    (first, last), (begin, end) = padding
    padding = ((first + top, last + bottom), (begin + left, end + right))
    layer = convolution(
        weight,
        None if bias is None else _constant(bias, "bias"),
        stride,
        padding,
        dilation,
        int(node.get("group", 1)),
    )
    return [weaver.convolution(layer, value, node.name)]


def _conv_transpose(weaver: Weaver, node: Node, given: Sequence[Any]) -> list[Any]:
    weight, bias = _constant(given[1], "weight"), _optional(given, 2)
    stride, padding, dilation = _windows(node, weight.shape[2:], given[0])
    if node.get("output_shape") or any(before != after for before, after in padding):
        raise Unconverted("its padding differs between two ends")
    groups = int(node.get("group", 1))
    layer = nn.ConvTranspose2d(
        weight.shape[0],
        weight.shape[1] * groups,
        (int(weight.shape[2]), int(weight.shape[3])),
        stride=(stride[0], stride[1]),
        padding=(padding[0][0], padding[1][0]),
        output_padding=tuple(node.get("output_padding", [0, 0])),
        groups=groups,
        bias=bias is not None,
        dilation=(dilation[0], dilation[1]),
    )
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight.copy()))
        if bias is not None and layer.bias is not None:
            layer.bias.copy_(torch.from_numpy(_constant(bias, "bias").copy()))
    return [weaver.add(layer, weaver.settle(given[0]), name=node.name)]


def _batch_norm(weaver: Weaver, node: Node, given: Sequence[Any]) -> list[Any]:
    if node.get("training_mode", 0):
        raise Unconverted("it takes the statistics of the batch")
    value = given[0]
    numbers = [_constant(one, "statistics").astype(np.float32) for one in given[1:5]]
    return [normalised(weaver, value, numbers, float(node.get("epsilon", 1e-5)), 0, node.name)]


def _pool(weaver: Weaver, node: Node, given: Sequence[Any]) -> list[Any]:
    kernel = list(node.get("kernel_shape"))
    stride, padding, dilation = _windows(node, kernel, given[0])
    ceil = bool(node.get("ceil_mode", 0))
    if node.kind == "MaxPool":
        layers = largest_pool(kernel, stride, padding, dilation, ceil)
    elif list(dilation) != [1, 1]:
        raise Unconverted("its windows have holes")
    else:
        counted = bool(node.get("count_include_pad", 0))
        layers = average_pool(kernel, stride, padding, counted, ceil)
    value = weaver.settle(given[0])
    for layer in layers:
        value = weaver.add(layer, value, name=node.name)
    return [value]


def _global_pool(weaver: Weaver, node: Node, given: Sequence[Any]) -> list[Any]:
    if len(given[0].shape) != 3:
        raise Unconverted(f"it is given {list(given[0].shape)} an image, not maps of channels")
    largest = node.kind == "GlobalMaxPool"
    pool = nn.AdaptiveMaxPool2d(1) if largest else nn.AdaptiveAvgPool2d(1)
    return [weaver.add(pool, weaver.settle(given[0]), name=node.name)]


def _reduce_mean(weaver: Weaver, node: Node, given: Sequence[Any]) -> list[Any]:
    value = given[0]
    axes = sorted(_axis(axis, value) for axis in _ints(node, given, "axes") or [])
    if len(value.shape) != 3 or len(axes) != 2:
        raise Unconverted("it is a mean over other sides than rows and columns")
    (channel,) = {0, 1, 2} - set(axes)
    result = mean_of_maps(weaver, value, channel, node.name)
    return [result if node.get("keepdims", 1) else result.view(result.places.reshape(-1))]


def _softmax(weaver: Weaver, node: Node, given: Sequence[Any]) -> list[Any]:
    value = given[0]
    axis = _axis(node.get("axis", 1 if node.opset < 13 else -1), value)
    log = node.kind == "LogSoftmax"
    kind = nn.LogSoftmax if log else nn.Softmax
    if value.places.size == value.shape[axis]:
        flat = weaver.settle(value.view(value.places.reshape(-1)))
        result = weaver.add(kind(1), flat, name=node.name)
        return [result.view(result.places.reshape(value.shape))]
    return [weaver.add(kind(axis + 1), weaver.settle(value), name=node.name)]


# ------------------------------------------------------------ other views of the same numbers


def _reshape(weaver: Weaver, node: Node, given: Sequence[Any]) -> list[Any]:
    value = given[0]
    wanted = [int(n) for n in _constant(_optional(given, 1), "shape").reshape(-1)]
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
    axes = _ints(node, given, "axes")
    if axes is None:
        return [value.view(value.places.squeeze())]
    return [value.view(value.places.squeeze(tuple(_axis(axis, value) for axis in axes)))]


def _unsqueeze(weaver: Weaver, node: Node, given: Sequence[Any]) -> list[Any]:
    value = given[0]
    axes = _ints(node, given, "axes") or []
    rank = len(value.shape) + 1 + len(axes)
    places = sorted((axis + rank if axis < 0 else axis) - 1 for axis in axes)
    if places and places[0] < 0:
        raise Unconverted("it puts a side before that of the batch")
    return [value.view(np.expand_dims(value.places, tuple(places)))]


def _slice(weaver: Weaver, node: Node, given: Sequence[Any]) -> list[Any]:
    value = given[0]
    starts, ends = (_ints(node, given, n, i) or [] for n, i in (("starts", 1), ("ends", 2)))
    axes = _ints(node, given, "axes", 3) or list(range(len(starts)))
    steps = _ints(node, given, "steps", 4) or [1] * len(starts)
    cut = [slice(None)] * len(value.shape)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if axis == 0 and start == 0 and end >= 1 and step == 1:
            continue
        side = _axis(axis, value)
        stop = None if step < 0 and end < -value.shape[side] else end
        cut[side] = slice(start, stop, step)
    return [value.view(value.places[tuple(cut)])]


def _gather(weaver: Weaver, node: Node, given: Sequence[Any]) -> list[Any]:
    value = given[0]
    if not isinstance(value, Value):
        raise Unconverted("it looks up what the images name")
    axis, places = _axis(node.get("axis", 0), value), _constant(given[1], "indices")
    return [value.view(np.take(value.places, places, axis=axis))]


def _split(weaver: Weaver, node: Node, given: Sequence[Any]) -> list[Any]:
    value = given[0]
    axis, sizes = _axis(node.get("axis", 0), value), _ints(node, given, "split")
    parts = node.get("num_outputs", 2)
    cuts = parts if sizes is None else [int(n) for n in np.cumsum(sizes)[:-1]]
    return [value.view(part) for part in np.array_split(value.places, cuts, axis=axis)]


def _concat(weaver: Weaver, node: Node, given: Sequence[Any]) -> list[Any]:
    if not all(isinstance(one, Value) for one in given):
        raise Unconverted("it joins what depends on the images with what does not")
    return [weaver.concatenate(given, _axis(node.get("axis", 0), given[0]), node.name)]


def _pad(weaver: Weaver, node: Node, given: Sequence[Any]) -> list[Any]:
    value = given[0]
    if node.get("mode", "constant") != "constant":
        raise Unconverted(f"its mode is {node.get('mode')!r}, but must be constant")
    pads = _ints(node, given, "pads") or []
    number = _optional(given, 2)
    fill = float(node.get("value", 0.0) if number is None else _constant(number, "value"))
    rank = len(pads) // 2
    pairs = [(pads[i], pads[i + rank]) for i in range(rank)]
    if pairs[0] != (0, 0) or rank != len(value.shape) + 1:
        raise Unconverted("it puts something around other sides than an image's")
    return [surrounded(weaver, value, pairs[1:], fill, node.name)]


def _argmax(weaver: Weaver, node: Node, given: Sequence[Any]) -> list[Any]:
    raise Unconverted("a class is no logit; name the output before it with --input key=NAME")


OPERATORS: Mapping[str, Convert] = MappingProxyType(
    {
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
        "Gemm": _gemm,
        "MatMul": _matmul,
        "Conv": _conv,
        "ConvTranspose": _conv_transpose,
        "BatchNormalization": _batch_norm,
        "MaxPool": _pool,
        "AveragePool": _pool,
        "GlobalAveragePool": _global_pool,
        "GlobalMaxPool": _global_pool,
        "ReduceMean": _reduce_mean,
        "Softmax": _softmax,
        "LogSoftmax": _softmax,
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
        "ArgMax": _argmax,
    }
)
