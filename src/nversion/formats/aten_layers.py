"""PyTorch's operators with weights or windows, and those over all channels: dense to softmax."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from torch import nn

from nversion.formats.aten_calls import Call, Convert, pair, side_of
from nversion.formats.operators import (
    Unconverted,
    convolved,
    dense_along,
    mean_of_maps,
    normalised,
)
from nversion.formats.weaver import Value, Weaver
from nversion.formats.windows import Convolution, Padding, average_pool, largest_pool, same_padding

__all__ = ["LAYERS"]


def _conv(weaver: Weaver, call: Call) -> Value:
    if call.get("transposed", False):
        raise Unconverted("it is transposed")
    weight, value = call.constant("weight"), call.value
    if weight.ndim != 4:
        raise Unconverted("it is not of rows and columns")
    stride, dilation = pair(call.get("stride", 1)), pair(call.get("dilation", 1))
    wanted = call.get("padding", 0)
    padding: Padding
    if isinstance(wanted, str):
        kernel = weight.shape[2:]
        same = same_padding(value.shape[1:], kernel, stride, dilation)
        padding = same if wanted == "same" else ((0, 0), (0, 0))
    else:
        rows, columns = pair(wanted)
        padding = ((rows, rows), (columns, columns))
    groups = int(call.get("groups", 1))
    convolution = Convolution(weight, call.optional("bias"), stride, padding, dilation, groups)
    return convolved(weaver, value, convolution, call.name)


def _linear(weaver: Weaver, call: Call) -> Value:
    return dense_along(
        weaver, call.value, call.constant("weight"), call.optional("bias"), call.name
    )


def _addmm(weaver: Weaver, call: Call) -> Value:
    if call.get("alpha", 1) != 1 or call.get("beta", 1) != 1:
        raise Unconverted("it has factors")
    return dense_along(
        weaver, call.given["mat1"], call.constant("mat2").T, call.constant("self"), call.name
    )


def _matmul(weaver: Weaver, call: Call) -> Value:
    other = "mat2" if "mat2" in call.given else "other"
    return dense_along(weaver, call.value, call.constant(other).T, None, call.name)


def _batch_norm(weaver: Weaver, call: Call) -> Any:
    if call.get("training", False):
        raise Unconverted("it takes the statistics of the batch; export after model.eval()")
    mean, variance = call.constant("running_mean"), call.constant("running_var")
    factor, shift = call.optional("weight"), call.optional("bias")
    factor = np.ones_like(mean) if factor is None else factor
    shift = np.zeros_like(mean) if shift is None else shift
    numbers = [factor, shift, mean, variance]
    return normalised(weaver, call.value, numbers, float(call.get("eps", 1e-5)), 0, call.name)


def _pool(weaver: Weaver, call: Call) -> Value:
    kernel = pair(call.get("kernel_size"))
    stride = pair(call.get("stride") or kernel)
    rows, columns = pair(call.get("padding", 0))
    padding: Padding = ((rows, rows), (columns, columns))
    ceil = bool(call.get("ceil_mode", False))
    if call.kind.startswith("max"):
        layers = largest_pool(kernel, stride, padding, pair(call.get("dilation", 1)), ceil)
    else:
        if call.get("divisor_override"):
            raise Unconverted("it divides by another number")
        counted = bool(call.get("count_include_pad", True))
        layers = average_pool(kernel, stride, padding, counted, ceil)
    value = weaver.settle(call.value)
    for layer in layers:
        value = weaver.add(layer, value, name=call.name)
    return value


def _adaptive(weaver: Weaver, call: Call) -> Value:
    size = pair(call.get("output_size"))
    kind = nn.AdaptiveMaxPool2d if "max" in call.kind else nn.AdaptiveAvgPool2d
    return weaver.add(kind(size), weaver.settle(call.value), name=call.name)


def _mean(weaver: Weaver, call: Call) -> Value:
    value = call.value
    sides = sorted(side_of(int(dim), value) for dim in np.atleast_1d(call.get("dim", [])))
    if len(value.shape) != 3 or len(sides) != 2:
        raise Unconverted("it is a mean over other sides than rows and columns")
    (channel,) = {0, 1, 2} - set(sides)
    result = mean_of_maps(weaver, value, channel, call.name)
    return result if call.get("keepdim", False) else result.view(result.places.reshape(-1))


def _softmax(weaver: Weaver, call: Call) -> Value:
    value, log = call.value, "log" in call.kind
    side, kind = side_of(int(call.get("dim", -1)), value), nn.LogSoftmax if log else nn.Softmax
    return weaver.add(kind(side + 1), weaver.settle(value), name=call.name)


LAYERS: Mapping[str, Convert] = MappingProxyType(
    {
        "conv2d": _conv,
        "convolution": _conv,
        "linear": _linear,
        "addmm": _addmm,
        **dict.fromkeys(("mm", "matmul"), _matmul),
        "batch_norm": _batch_norm,
        "native_batch_norm_legit_no_training": _batch_norm,
        **dict.fromkeys(("max_pool2d", "max_pool2d_with_indices", "avg_pool2d"), _pool),
        **dict.fromkeys(("adaptive_avg_pool2d", "adaptive_max_pool2d"), _adaptive),
        "mean": _mean,
        **dict.fromkeys(("softmax", "log_softmax"), _softmax),
    }
)
