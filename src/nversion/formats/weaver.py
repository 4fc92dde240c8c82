"""Makes plain layers of what a file describes, whatever order it keeps its numbers in.

Files move numbers about: Keras and TensorFlow put channels last, ONNX files transpose and reshape,
others pass images as rows. Here nothing is moved. A value of the file (:class:`Value`) is a view of
what a layer has computed: ``places`` says for each of its numbers where that stands among the
layer's. Transposing, reshaping, cutting out and joining change the view alone, in numpy, and the
next layer takes them into its weights: a dense layer has its columns in the order of what came
before. What is left is PyTorch's own layers, channels first, which certificates know.

Only where a layer needs its numbers in another order than the one they stand in (a convolution of
reshaped ones, say) is one put in that moves them (:meth:`Weaver.settle`).
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from nversion.formats.plain import Concatenate, Moved, Picked, Scaled, Shaped, Total, chain

__all__ = ["Constant", "Value", "Weaver"]

Constant = npt.NDArray[Any]
"""A value of a file that does not depend on the images."""

Places = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Value:
    """What a file computes of an image, as a view of what a layer gives.

    Attributes:
        layer: which layer gives it; 0 is the images.
        sides: the shape of what that layer gives, without the batch.
        places: int64, in the shape that the file has the value in: where each number stands.
    """

    layer: int
    sides: tuple[int, ...]
    places: Places

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of it for one image."""
        return tuple(self.places.shape)

    @property
    def straight(self) -> bool:
        """Whether the file's shape and order are the layer's own."""
        return self.shape == self.sides and self.whole

    @property
    def whole(self) -> bool:
        """Whether the numbers are all that the layer gives, in the layer's own order."""
        count = int(np.prod(self.sides))
        return self.places.size == count and bool(
            (self.places.reshape(-1) == np.arange(count)).all()
        )

    def view(self, places: Places) -> Value:
        """Return other numbers of the same layer."""
        return dataclasses.replace(self, places=places)


class Weaver:
    """Puts layers together.

    Args:
        sides: (channels, height, width) of the images.
    """

    def __init__(self, sides: tuple[int, ...]) -> None:
        self._sides = {0: sides}
        self._layers: OrderedDict[str, nn.Module] = OrderedDict()
        self._inputs: list[tuple[int, ...]] = []
        self._used: dict[int, int] = {}

    @property
    def images(self) -> Value:
        """The images, [channels, height, width]."""
        return self._value(0)

    def _value(self, layer: int) -> Value:
        sides = self._sides[layer]
        return Value(layer, sides, np.arange(int(np.prod(sides)), dtype=np.int64).reshape(sides))

    def add(self, module: nn.Module, *values: Value, name: str = "") -> Value:
        """Append a layer that takes values as they stand in their layers, and return what it gives.

        The layer is tried on zeros, which gives the shape of its results.
        """
        module.eval()
        dtype = next((one.dtype for one in module.parameters()), torch.float32)
        with torch.no_grad():
            result = module(*(torch.zeros(1, *value.sides, dtype=dtype) for value in values))
        self._layers[self._name(name or type(module).__name__)] = module
        self._inputs.append(tuple(value.layer for value in values))
        layer = len(self._layers)
        self._sides[layer] = tuple(result.shape[1:])
        for value in values:
            self._used[value.layer] = self._used.get(value.layer, 0) + 1
        return self._value(layer)

    def _name(self, wanted: str) -> str:
        name = re.sub(r"\W+", "_", wanted).strip("_") or "layer"
        count = itertools.count(2)
        free = name
        while free in self._layers:
            free = f"{name}_{next(count)}"
        return free

    def settle(self, value: Value) -> Value:
        """Return a value that stands in its layer as the file has it, moved where it does not."""
        if value.straight:
            return value
        if value.whole:
            flat = len(value.shape) == 1
            return self.add(nn.Flatten() if flat else Shaped(value.shape), value)
        moved = self._moved(value)
        if moved is not None:
            return moved
        places = torch.from_numpy(value.places.reshape(-1).copy())
        picked = self.add(Picked(places), value)
        return self.settle(picked.view(picked.places.reshape(value.shape)))

    def _moved(self, value: Value) -> Value | None:
        """Return the value after its layer's sides were put in another order, if that is all."""
        count = int(np.prod(value.sides))
        if value.places.size != count or len(value.sides) < 2:
            return None
        own = np.arange(count).reshape(value.sides)
        for order in itertools.permutations(range(len(value.sides))):
            turned = own.transpose(order)
            if bool((turned.reshape(-1) == value.places.reshape(-1)).all()):
                moved = self.add(Moved((0, *(side + 1 for side in order))), value)
                return self.settle(moved.view(moved.places.reshape(value.shape)))
        return None

    # ------------------------------------------------------------ layers

    def pointwise(self, module: nn.Module, value: Value, name: str = "") -> Value:
        """Return a value after a function of each of its numbers by itself."""
        return self.add(module, value, name=name).view(value.places)

    def dense(
        self, value: Value, weight: Constant, bias: Constant | None = None, name: str = ""
    ) -> Value:
        """Return ``weight @ value + bias`` of a value [inputs], with weights [outputs, inputs]."""
        count = int(np.prod(value.sides))
        columns = np.zeros((len(weight), count), dtype=weight.dtype)
        # A number of the layer may stand in several places of the value, or in none.
        np.add.at(columns.T, value.places.reshape(-1), weight.T)
        if len(value.sides) != 1:
            value = self.add(nn.Flatten(), self._value(value.layer))
        layer = nn.Linear(count, len(weight), bias=bias is not None)
        _fill(layer.weight, columns)
        if bias is not None:
            _fill(layer.bias, np.broadcast_to(bias.reshape(-1), len(weight)))
        return self.add(layer, value, name=name)

    def convolution(self, layer: nn.Conv2d, value: Value, name: str = "") -> Value:
        """Return a value [channels, height, width] after a convolution."""
        return self.add(layer, self.settle(value), name=name)

    def unpadded(self, value: Value) -> tuple[Value, tuple[int, int, int, int]]:
        """Return a value before zeros were put around it, and those: left, right, top, bottom."""
        if value.layer and value.straight:
            layer = list(self._layers.values())[value.layer - 1]
            if isinstance(layer, nn.ZeroPad2d):
                left, right, top, bottom = layer.padding
                return self._value(self._inputs[value.layer - 1][0]), (left, right, top, bottom)
        return value, (0, 0, 0, 0)

    def affine(self, value: Value, constant: Constant, times: bool, name: str = "") -> Value:
        """Return a value times, or plus, a constant of its shape (or of one that fits it)."""
        shape = np.broadcast_shapes(value.shape, constant.shape)
        if shape != value.shape:
            value = value.view(np.broadcast_to(value.places, shape))
            value = self.settle(value.view(value.places.copy()))
        whole = np.broadcast_to(constant, value.shape)
        if bool((whole == (1.0 if times else 0.0)).all()):
            return value
        if not times and (biased := self._as_bias(value, whole)) is not None:
            return biased
        placed = np.full(int(np.prod(value.sides)), 1.0 if times else 0.0, dtype=whole.dtype)
        if len(np.unique(value.places)) < value.places.size:
            value = self.settle(value)
        placed[value.places.reshape(-1)] = whole.reshape(-1)
        number = _smallest(placed.reshape(value.sides))
        scaled = Scaled(torch.from_numpy(number.astype(np.float32)), times)
        return self.add(scaled, self._value(value.layer), name=name).view(value.places)

    def _as_bias(self, value: Value, constant: Constant) -> Value | None:
        """Return a dense layer's value with a constant in its bias, if nothing else reads it."""
        if value.layer == 0 or self._used.get(value.layer) or not value.whole:
            return None
        layer = list(self._layers.values())[value.layer - 1]
        if not isinstance(layer, nn.Linear) or layer.bias is not None:
            return None
        layer.bias = nn.Parameter(torch.from_numpy(constant.reshape(-1).astype(np.float32)))
        return value

    def join(self, how: str, first: Value, second: Value, name: str = "") -> Value:
        """Return the sum (or what else :class:`Total` makes) of two values of shapes that fit."""
        shape = np.broadcast_shapes(first.shape, second.shape)
        alike = first.sides == second.sides and first.shape == second.shape
        if alike and bool((first.places == second.places).all()):
            return self.add(Total(how), first, second, name=name).view(first.places)
        pair = [
            self.settle(value.view(np.broadcast_to(value.places, shape).copy()))
            for value in (first, second)
        ]
        return self.add(Total(how), *pair, name=name)

    def concatenate(self, values: Sequence[Value], axis: int, name: str = "") -> Value:
        """Return values one after the other along a side (0 is the first after the batch)."""
        if len({value.layer for value in values}) == 1:
            return values[0].view(np.concatenate([value.places for value in values], axis=axis))
        alike = self._turned(values)
        if alike is not None:
            order = alike
            back = [int(place) for place in np.argsort(order)]
            straight = [value.view(value.places.transpose(order)) for value in values]
            joined = self.add(
                Concatenate(order.index(axis) + 1), *map(self.settle, straight), name=name
            )
            return joined.view(joined.places.transpose(back))
        return self.add(Concatenate(axis + 1), *map(self.settle, values), name=name)

    def _turned(self, values: Sequence[Value]) -> list[int] | None:
        """Return the order of sides in which all values stand in their layers, if there is one."""
        rank = len(values[0].shape)
        if rank > 4:
            return None
        for order in itertools.permutations(range(rank)):
            turned = [value.view(value.places.transpose(order)) for value in values]
            if all(value.straight for value in turned):
                return list(order)
        return None

    def before_sigmoid(self, value: Value) -> Value | None:
        """Return the logit of a value that is one probability, the sigmoid of it; else None."""
        if value.places.size != 1 or value.sides != (1,) or not value.layer:
            return None
        if not isinstance(list(self._layers.values())[value.layer - 1], nn.Sigmoid):
            return None
        return self._value(self._inputs[value.layer - 1][0])

    def network(self, value: Value) -> nn.Module:
        """Return the network that gives a value, in float32 and evaluation mode."""
        value = self.settle(value)
        if value.layer == 0:
            value = self.add(nn.Identity(), value)
        kept = self._reachable(value.layer)
        place = {old: new for new, old in enumerate([0, *kept])}
        named = list(self._layers.items())
        layers = OrderedDict(named[layer - 1] for layer in kept)
        inputs = [[place[one] for one in self._inputs[layer - 1]] for layer in kept]
        network = chain(layers, inputs).eval()
        for weights in network.parameters():
            weights.requires_grad_(True)
        return network

    def _reachable(self, last: int) -> list[int]:
        wanted = {last}
        for layer in range(last, 0, -1):
            if layer in wanted:
                wanted.update(self._inputs[layer - 1])
        return sorted(wanted - {0})


def _fill(parameter: Tensor, values: Constant) -> None:
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(np.array(values)))


def _smallest(constant: Constant) -> Constant:
    """Return a constant with one number in place of each side along which it does not change."""
    for axis in range(constant.ndim):
        first = constant.take([0], axis=axis)
        if bool((constant == first).all()):
            constant = first
    return constant.reshape(()) if constant.size == 1 else constant
