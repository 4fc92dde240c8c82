"""PyTorch's operators (ATen) as layers, as ``torch.export`` writes them down.

A function takes the weaver and the call, whose arguments have the names that PyTorch's schemas give
them; a value has no side for the batch, so that a dimension is one more than a side of ours.
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

__all__ = ["ATEN", "Call"]


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of an operator.

    Attributes:
        kind: the operator and its overload.
        name: what the layer is to be called.
        given: its arguments by name; those that have their default are left out.
    """

    kind: str
    name: str
    given: Mapping[str, Any]

    def get(self, name: str, default: Any = None) -> Any:
        """Return an argument."""
        value = self.given.get(name, default)
        return default if value is None else value

    @property
    def first(self) -> Any:
        """The first argument, mostly the values to work on."""
        return next(iter(self.given.values()))

    @property
    def value(self) -> Value:
        """The first argument, where it depends on the images."""
        if not isinstance(self.first, Value):
            raise Unconverted("it is given no values of the images")
        return self.first

    def constant(self, name: str) -> Constant:
        """Return an argument that does not depend on the images."""
        value = self.given.get(name)
        if not isinstance(value, np.ndarray):
            raise Unconverted(f"its {name} depends on the images")
        return value

    def optional(self, name: str) -> Constant | None:
        """Return it, or None where there is none."""
        return None if self.given.get(name) is None else self.constant(name)


Convert = Callable[[Weaver, Call], Any]


def _side(dim: int, value: Value) -> int:
    dim = dim + len(value.shape) + 1 if dim < 0 else dim
    if not 1 <= dim <= len(value.shape):
        raise Unconverted("it works across the images of a batch")
    return dim - 1


def _pair(numbers: Any) -> tuple[int, int]:
    numbers = [numbers] if isinstance(numbers, int) else list(numbers)
    return int(numbers[0]), int(numbers[-1])


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


# ------------------------------------------------------------ dense layers and convolutions


def _conv(weaver: Weaver, call: Call) -> Value:
    if call.get("transposed", False):
        raise Unconverted("it is transposed")
    weight, value = call.constant("weight"), call.value
    if weight.ndim != 4:
        raise Unconverted("it is not of rows and columns")
    stride, dilation = _pair(call.get("stride", 1)), _pair(call.get("dilation", 1))
    wanted = call.get("padding", 0)
    padding: Padding
    if isinstance(wanted, str):
        kernel = weight.shape[2:]
        same = same_padding(value.shape[1:], kernel, stride, dilation)
        padding = same if wanted == "same" else ((0, 0), (0, 0))
    else:
        rows, columns = _pair(wanted)
        padding = ((rows, rows), (columns, columns))
    value, (left, right, top, bottom) = weaver.unpadded(value)
    (first, last), (begin, end) = padding
    padding = ((first + top, last + bottom), (begin + left, end + right))
    groups = int(call.get("groups", 1))
    layer = convolution(weight, call.optional("bias"), stride, padding, dilation, groups)
    return weaver.convolution(layer, value, call.name)


def _dense(
    weaver: Weaver, value: Value, weight: Constant, bias: Constant | None, name: str
) -> Value:
    """Return a value after a dense layer with weights [outputs, inputs]."""
    if value.shape[-1] == value.places.size:
        result = weaver.dense(value.view(value.places.reshape(-1)), weight, bias, name)
        return result.view(result.places.reshape(*value.shape[:-1], -1))
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight.copy()))
        if bias is not None:
            layer.bias.copy_(torch.from_numpy(bias.copy()))
    return weaver.add(layer, weaver.settle(value), name=name)


def _linear(weaver: Weaver, call: Call) -> Value:
    return _dense(weaver, call.value, call.constant("weight"), call.optional("bias"), call.name)


def _addmm(weaver: Weaver, call: Call) -> Value:
    if call.get("alpha", 1) != 1 or call.get("beta", 1) != 1:
        raise Unconverted("it has factors")
    return _dense(
        weaver, call.given["mat1"], call.constant("mat2").T, call.constant("self"), call.name
    )


def _matmul(weaver: Weaver, call: Call) -> Value:
    other = "mat2" if "mat2" in call.given else "other"
    return _dense(weaver, call.value, call.constant(other).T, None, call.name)


def _batch_norm(weaver: Weaver, call: Call) -> Any:
    if call.get("training", False):
        raise Unconverted("it takes the statistics of the batch; export after model.eval()")
    mean, variance = call.constant("running_mean"), call.constant("running_var")
    factor, shift = call.optional("weight"), call.optional("bias")
    factor = np.ones_like(mean) if factor is None else factor
    shift = np.zeros_like(mean) if shift is None else shift
    numbers = [factor, shift, mean, variance]
    return normalised(weaver, call.value, numbers, float(call.get("eps", 1e-5)), 0, call.name)


# ------------------------------------------------------------ pools


def _pool(weaver: Weaver, call: Call) -> Value:
    kernel = _pair(call.get("kernel_size"))
    stride = _pair(call.get("stride") or kernel)
    rows, columns = _pair(call.get("padding", 0))
    padding: Padding = ((rows, rows), (columns, columns))
    ceil = bool(call.get("ceil_mode", False))
    if call.kind.startswith("max"):
        layers = largest_pool(kernel, stride, padding, _pair(call.get("dilation", 1)), ceil)
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
    size = _pair(call.get("output_size"))
    kind = nn.AdaptiveMaxPool2d if "max" in call.kind else nn.AdaptiveAvgPool2d
    return weaver.add(kind(size), weaver.settle(call.value), name=call.name)


def _mean(weaver: Weaver, call: Call) -> Value:
    value = call.value
    sides = sorted(_side(int(dim), value) for dim in np.atleast_1d(call.get("dim", [])))
    if len(value.shape) != 3 or len(sides) != 2:
        raise Unconverted("it is a mean over other sides than rows and columns")
    (channel,) = {0, 1, 2} - set(sides)
    result = mean_of_maps(weaver, value, channel, call.name)
    return result if call.get("keepdim", False) else result.view(result.places.reshape(-1))


# ------------------------------------------------------------ arithmetic


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


def _softmax(weaver: Weaver, call: Call) -> Value:
    value, log = call.value, "log" in call.kind
    side, kind = _side(int(call.get("dim", -1)), value), nn.LogSoftmax if log else nn.Softmax
    return weaver.add(kind(side + 1), weaver.settle(value), name=call.name)


# ------------------------------------------------------------ other views of the same numbers


def _view(weaver: Weaver, call: Call) -> Any:
    wanted = [int(n) for n in call.get("size", call.get("shape"))]
    if not isinstance(call.first, Value):
        return call.first.reshape(wanted)
    value, rest = call.value, wanted[1:]
    if wanted[0] not in (-1, 1) and -1 in rest:
        raise Unconverted(f"its shape {wanted} joins or parts the images of a batch")
    return value.view(value.places.reshape(rest))


def _flatten(weaver: Weaver, call: Call) -> Value:
    value = call.value
    start = int(call.get("start_dim", 0))
    first = _side(start, value) if start else -1
    last = _side(int(call.get("end_dim", -1)), value)
    if first < 0:
        raise Unconverted("it joins the images of a batch")
    shape = value.shape
    return value.view(value.places.reshape(*shape[:first], -1, *shape[last + 1 :]))


def _permute(weaver: Weaver, call: Call) -> Any:
    dims = [int(dim) for dim in call.get("dims")]
    if not isinstance(call.first, Value):
        return call.first.transpose(dims)
    value = call.value
    rank = len(value.shape) + 1
    dims = [dim + rank if dim < 0 else dim for dim in dims]
    if dims[0] != 0:
        raise Unconverted("it moves the side of the batch")
    return value.view(value.places.transpose([dim - 1 for dim in dims[1:]]))


def _transpose(weaver: Weaver, call: Call) -> Any:
    if not isinstance(call.first, Value):
        if call.kind.startswith("t."):
            return call.first.T
        return call.first.swapaxes(int(call.get("dim0")), int(call.get("dim1")))
    value = call.value
    first, second = (_side(int(call.get(dim)), value) for dim in ("dim0", "dim1"))
    return value.view(value.places.swapaxes(first, second))


def _squeeze(weaver: Weaver, call: Call) -> Value:
    dims = call.get("dim")
    if dims is None:
        return call.value.view(call.value.places.squeeze())
    sides = tuple(_side(int(dim), call.value) for dim in np.atleast_1d(dims))
    return call.value.view(call.value.places.squeeze(sides))


def _unsqueeze(weaver: Weaver, call: Call) -> Value:
    dim, rank = int(call.get("dim")), len(call.value.shape) + 2
    dim = dim + rank if dim < 0 else dim
    if dim == 0:
        raise Unconverted("it puts a side before that of the batch")
    return call.value.view(np.expand_dims(call.value.places, dim - 1))


def _slice(weaver: Weaver, call: Call) -> Value:
    if int(call.get("dim", 0)) == 0:
        return _whole_batch(call)
    side = _side(int(call.get("dim")), call.value)
    cut = slice(call.get("start", 0), call.get("end"), call.get("step", 1))
    return call.value.view(call.value.places[(slice(None),) * side + (cut,)])


def _whole_batch(call: Call) -> Value:
    if call.get("start", 0) or call.get("step", 1) != 1 or call.get("end", 2**62) < 2**31:
        raise Unconverted("it takes some images of a batch")
    return call.value


def _select(weaver: Weaver, call: Call) -> Value:
    side = _side(int(call.get("dim")), call.value)
    taken = np.asarray(call.value.places.take(int(call.get("index")), axis=side))
    return call.value.view(taken)


def _cat(weaver: Weaver, call: Call) -> Value:
    values: Sequence[Any] = call.first
    if not all(isinstance(one, Value) for one in values):
        raise Unconverted("it joins what depends on the images with what does not")
    return weaver.concatenate(values, _side(int(call.get("dim", 0)), values[0]), call.name)


def _pad(weaver: Weaver, call: Call) -> Value:
    pads, rank = [int(n) for n in call.get("pad")], len(call.value.shape)
    if call.get("mode", "constant") != "constant":
        raise Unconverted("it puts no constant around")
    pairs = [(0, 0)] * rank
    for place in range(len(pads) // 2):
        pairs[rank - 1 - place] = (pads[2 * place], pads[2 * place + 1])
    return surrounded(weaver, call.value, pairs, float(call.get("value", 0.0)), call.name)


def _size(weaver: Weaver, call: Call) -> int:
    dim = int(call.get("dim"))
    return 1 if dim == 0 else call.value.shape[_side(dim, call.value)]


def _item(weaver: Weaver, call: Call) -> Any:
    first, place = list(call.given.values())[:2]
    return first[place] if isinstance(first, list) else first


ATEN: Mapping[str, Convert] = MappingProxyType(
    {
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
        **{how: _arithmetic(how) for how in ("add", "sub", "mul", "div")},
        **dict.fromkeys(("softmax", "log_softmax"), _softmax),
        **dict.fromkeys(("view", "reshape", "unsafe_view"), _view),
        "flatten": _flatten,
        "permute": _permute,
        **dict.fromkeys(("t", "transpose"), _transpose),
        "squeeze": _squeeze,
        "unsqueeze": _unsqueeze,
        "slice": _slice,
        "select": _select,
        "cat": _cat,
        **dict.fromkeys(("pad", "constant_pad_nd"), _pad),
        "sym_size": _size,
        "getitem": _item,
    }
)
