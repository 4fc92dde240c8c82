"""PyTorch's operators that give other views of the same numbers: shapes, orders, parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from nversion.formats.aten_calls import Call, Convert, side_of
from nversion.formats.operators import Unconverted, surrounded
from nversion.formats.weaver import Value, Weaver

__all__ = ["VIEWS"]


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
    first = side_of(start, value) if start else -1
    last = side_of(int(call.get("end_dim", -1)), value)
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
    first, second = (side_of(int(call.get(dim)), value) for dim in ("dim0", "dim1"))
    return value.view(value.places.swapaxes(first, second))


def _squeeze(weaver: Weaver, call: Call) -> Value:
    dims = call.get("dim")
    if dims is None:
        return call.value.view(call.value.places.squeeze())
    sides = tuple(side_of(int(dim), call.value) for dim in np.atleast_1d(dims))
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
    side = side_of(int(call.get("dim")), call.value)
    cut = slice(call.get("start", 0), call.get("end"), call.get("step", 1))
    return call.value.view(call.value.places[(slice(None),) * side + (cut,)])


def _whole_batch(call: Call) -> Value:
    if call.get("start", 0) or call.get("step", 1) != 1 or call.get("end", 2**62) < 2**31:
        raise Unconverted("it takes some images of a batch")
    return call.value


def _select(weaver: Weaver, call: Call) -> Value:
    side = side_of(int(call.get("dim")), call.value)
    taken = np.asarray(call.value.places.take(int(call.get("index")), axis=side))
    return call.value.view(taken)


def _cat(weaver: Weaver, call: Call) -> Value:
    values: Sequence[Any] = call.first
    if not all(isinstance(one, Value) for one in values):
        raise Unconverted("it joins what depends on the images with what does not")
    return weaver.concatenate(values, side_of(int(call.get("dim", 0)), values[0]), call.name)


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
    return 1 if dim == 0 else call.value.shape[side_of(dim, call.value)]


def _item(weaver: Weaver, call: Call) -> Any:
    first, place = list(call.given.values())[:2]
    return first[place] if isinstance(first, list) else first


VIEWS: Mapping[str, Convert] = MappingProxyType(
    {
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
