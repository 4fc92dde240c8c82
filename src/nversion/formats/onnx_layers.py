"""ONNX operators with weights or windows, and those over all channels: dense to softmax."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import nn

from nversion.formats.onnx_nodes import Convert, Node, constant, optional, side_of, whole_numbers
from nversion.formats.operators import (
    Unconverted,
    convolved,
    dense_along,
    mean_of_maps,
    normalised,
    softmax_along,
)
from nversion.formats.weaver import Constant, Value, Weaver
from nversion.formats.windows import Convolution, Padding, average_pool, largest_pool, same_padding

__all__ = ["LAYERS"]


def _gemm(weaver: Weaver, node: Node, given: Sequence[Any]) -> list[Any]:
    weight = constant(given[1], "weight")
    if node.get("transA", 0) or not isinstance(given[0], Value):
        raise Unconverted("it has the images as columns")
    weight = weight if node.get("transB", 0) else weight.T
    bias = optional(given, 2)
    bias = None if bias is None else constant(bias, "bias") * np.float32(node.get("beta", 1.0))
    alpha = np.float32(node.get("alpha", 1.0))
    value = given[0].view(given[0].places.reshape(-1))
    return [weaver.dense(value, weight * alpha if alpha != 1 else weight, bias, node.name)]


def _matmul(weaver: Weaver, node: Node, given: Sequence[Any]) -> list[Any]:
    first, second = given
    if isinstance(first, Value) and isinstance(second, Value):
        raise Unconverted("both sides depend on the images")
    if isinstance(first, Value):
        return [dense_along(weaver, first, _two(np.asarray(second)).T, None, node.name)]
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
    weight, bias = constant(given[1], "weight"), optional(given, 2)
    stride, padding, dilation = _windows(node, weight.shape[2:], given[0])
    bias = None if bias is None else constant(bias, "bias")
    groups = int(node.get("group", 1))
    wanted = Convolution(weight, bias, stride, padding, dilation, groups)
    return [convolved(weaver, given[0], wanted, node.name)]


def _conv_transpose(weaver: Weaver, node: Node, given: Sequence[Any]) -> list[Any]:
    weight, bias = constant(given[1], "weight"), optional(given, 2)
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
            layer.bias.copy_(torch.from_numpy(constant(bias, "bias").copy()))
    return [weaver.add(layer, weaver.settle(given[0]), name=node.name)]


def _batch_norm(weaver: Weaver, node: Node, given: Sequence[Any]) -> list[Any]:
    if node.get("training_mode", 0):
        raise Unconverted("it takes the statistics of the batch")
    value = given[0]
    numbers = [constant(one, "statistics").astype(np.float32) for one in given[1:5]]
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
    axes = sorted(side_of(axis, value) for axis in whole_numbers(node, given, "axes") or [])
    if len(value.shape) != 3 or len(axes) != 2:
        raise Unconverted("it is a mean over other sides than rows and columns")
    (channel,) = {0, 1, 2} - set(axes)
    result = mean_of_maps(weaver, value, channel, node.name)
    return [result if node.get("keepdims", 1) else result.view(result.places.reshape(-1))]


def _softmax(weaver: Weaver, node: Node, given: Sequence[Any]) -> list[Any]:
    value = given[0]
    axis = side_of(node.get("axis", 1 if node.opset < 13 else -1), value)
    return [softmax_along(weaver, value, axis, node.kind == "LogSoftmax", node.name)]


LAYERS: Mapping[str, Convert] = MappingProxyType(
    {
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
    }
)
