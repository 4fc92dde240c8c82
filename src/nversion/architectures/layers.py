"""The layers that an architecture is made of: their parameters, shapes, costs and torch modules.

A layer is a frozen value that knows nothing of weights. Given the shape that reaches it, it says
what shape it gives, what it costs, and which plain torch modules compute it. A shape is
``(channels, height, width)`` for images and ``(features,)`` once flattened; the batch dimension is
left out everywhere.

Weights are drawn Glorot-uniform (Glorot and Bengio, "Understanding the difficulty of training deep
feedforward neural networks", AISTATS 2010, eq. 16) with zero biases, which is what the 2019 study
used through the defaults of Keras 2.2.
"""

# ruff: noqa: D102 (the methods of all layers are documented once, in `Layer`)
from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar, NamedTuple, final

import torch
from torch import nn

from nversion.errors import ArchitectureError

__all__ = [
    "ACTIVATIONS",
    "LAYER_TYPES",
    "AveragePooling",
    "BatchNorm",
    "Conv",
    "Cost",
    "Dense",
    "Dropout",
    "Flatten",
    "Layer",
    "MaxPooling",
    "Shape",
    "shape_text",
]

Shape = tuple[int, ...]
"""(channels, height, width) of an image, or (features,) once flattened."""

ACTIVATIONS = ("relu", "leaky-relu", "sigmoid", "tanh", "linear")
"""The activations by name; leaky-relu has the slope 0.01, linear is the identity."""

LARGEST = 1_000_000
"""The largest value of any whole-number parameter: more is a mistake or an attack."""


class Cost(NamedTuple):
    """What a layer costs: trainable parameters, and multiply-adds for one image."""

    parameters: int
    multiply_adds: int


class Layer(ABC):
    """One layer of an architecture: a frozen dataclass whose fields are the text's parameters."""

    word: ClassVar[str]
    """The layer's name in the text format."""

    @abstractmethod
    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape that the layer makes of an input of `shape`.

        Raises:
            ArchitectureError: the layer cannot take such an input; the message says why.
        """

    def cost(self, shape: Shape) -> Cost:
        """Return the layer's cost for an input of `shape`; nothing, unless it says otherwise.

        Convolutions and dense layers are counted; what pooling, dropout and activations do
        is not a multiply-add, and batch normalisation folds into its neighbour.
        """
        return Cost(0, 0)

    @abstractmethod
    def modules(self, shape: Shape, generator: torch.Generator) -> list[nn.Module]:
        """Return the torch modules of the layer for an input of `shape`, in order.

        Weights are drawn from `generator`; the global random state is left alone.
        """


@final
@dataclass(frozen=True)
class Conv(Layer):
    """A square convolution and its activation; no padding unless asked for."""

    word: ClassVar[str] = "conv"
    filters: int
    activation: str
    kernel: int = 3
    _: KW_ONLY
    stride: int = 1
    padding: int = 0

    def __post_init__(self) -> None:
        _check_whole("filters", self.filters)
        _check_activation(self.activation)
        _check_whole("kernel", self.kernel)
        _check_whole("stride", self.stride)
        _check_whole("padding", self.padding, smallest=0)
        if self.padding >= self.kernel:
            raise ArchitectureError(
                f"padding must be below the kernel ({self.kernel}), not {self.padding}: "
                "an output beyond that sees no input"
            )

    def output_shape(self, shape: Shape) -> Shape:
        _, height, width = _image(shape)
        if min(height, width) + 2 * self.padding < self.kernel:
            padded = f" with padding {self.padding}" if self.padding else ""
            raise ArchitectureError(
                f"a {self.kernel}x{self.kernel} kernel does not fit into "
                f"{height}x{width} pixels{padded}"
            )
        return (self.filters, self._length(height), self._length(width))

    def _length(self, length: int) -> int:
        return (length + 2 * self.padding - self.kernel) // self.stride + 1

    def cost(self, shape: Shape) -> Cost:
        _, height, width = self.output_shape(shape)
        weights = self.filters * shape[0] * self.kernel**2
        return Cost(weights + self.filters, weights * height * width)

    def modules(self, shape: Shape, generator: torch.Generator) -> list[nn.Module]:
        conv = nn.Conv2d(
            shape[0],
            self.filters,
            self.kernel,
            stride=self.stride,
            padding=self.padding,
            device="meta",
        )
        return [_initialised(conv, generator), *_activation(self.activation)]


@dataclass(frozen=True)
class _Pooling(Layer):
    """One value for each square; squares do not overlap, what is left over is dropped."""

    size: int = 2

    def __post_init__(self) -> None:
        _check_whole("size", self.size)

    @final
    def output_shape(self, shape: Shape) -> Shape:
        channels, height, width = _image(shape)
        if min(height, width) < self.size:
            pool = f"{self.size}x{self.size}"
            raise ArchitectureError(f"a {pool} pool is larger than {height}x{width} pixels")
        return (channels, height // self.size, width // self.size)


@final
@dataclass(frozen=True)
class MaxPooling(_Pooling):
    """The largest value of each square; squares do not overlap, what is left over is dropped."""

    word: ClassVar[str] = "maxpooling"

    def modules(self, shape: Shape, generator: torch.Generator) -> list[nn.Module]:
        return [nn.MaxPool2d(self.size)]


@final
@dataclass(frozen=True)
class AveragePooling(_Pooling):
    """The mean of each square; squares do not overlap, what is left over is dropped."""

    word: ClassVar[str] = "averagepooling"

    def modules(self, shape: Shape, generator: torch.Generator) -> list[nn.Module]:
        return [nn.AvgPool2d(self.size)]


@final
@dataclass(frozen=True)
class Dropout(Layer):
    """Sets each value to zero with probability `rate` while training, and scales up the rest."""

    word: ClassVar[str] = "dropout"
    rate: float

    def __post_init__(self) -> None:
        # A true float, so that equal layers have equal texts; NaN fails the comparison.
        if isinstance(self.rate, bool) or not isinstance(self.rate, int | float):
            raise ArchitectureError(f"rate must be a number, not {self.rate!r}")
        object.__setattr__(self, "rate", float(self.rate) + 0.0)
        if not 0.0 <= self.rate < 1.0:
            raise ArchitectureError(f"rate must be at least 0 and below 1, not {self.rate:g}")

    def output_shape(self, shape: Shape) -> Shape:
        return shape

    def modules(self, shape: Shape, generator: torch.Generator) -> list[nn.Module]:
        return [nn.Dropout(self.rate)]


@final
@dataclass(frozen=True)
class Flatten(Layer):
    """Lays an image out as one row of features; a row stays as it is."""

    word: ClassVar[str] = "flatten"

    def output_shape(self, shape: Shape) -> Shape:
        return (math.prod(shape),)

    def modules(self, shape: Shape, generator: torch.Generator) -> list[nn.Module]:
        return [nn.Flatten()]


@final
@dataclass(frozen=True)
class Dense(Layer):
    """A fully connected layer and its activation."""

    word: ClassVar[str] = "dense"
    units: int
    activation: str

    def __post_init__(self) -> None:
        _check_whole("units", self.units)
        _check_activation(self.activation)

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != 1:
            raise ArchitectureError("it needs a flat input; put a flatten before it")
        return (self.units,)

    def cost(self, shape: Shape) -> Cost:
        weights = math.prod(shape) * self.units
        return Cost(weights + self.units, weights)

    def modules(self, shape: Shape, generator: torch.Generator) -> list[nn.Module]:
        linear = nn.Linear(shape[0], self.units, device="meta")
        return [_initialised(linear, generator), *_activation(self.activation)]


@final
@dataclass(frozen=True)
class BatchNorm(Layer):
    """Batch normalisation: per channel of an image, per feature of a row."""

    word: ClassVar[str] = "batchnorm"

    def output_shape(self, shape: Shape) -> Shape:
        return shape

    def cost(self, shape: Shape) -> Cost:
        return Cost(2 * shape[0], 0)

    def modules(self, shape: Shape, generator: torch.Generator) -> list[nn.Module]:
        return [nn.BatchNorm2d(shape[0]) if len(shape) == 3 else nn.BatchNorm1d(shape[0])]


LAYER_TYPES: tuple[type[Layer], ...] = (
    Conv,
    MaxPooling,
    AveragePooling,
    Dropout,
    Flatten,
    Dense,
    BatchNorm,
)
"""Every layer type, in the order in which messages list them."""


def shape_text(shape: Shape) -> str:
    """Return a shape as text: ``8x13x13`` for an image, ``1352`` for a row."""
    return "x".join(map(str, shape))


def _check_whole(name: str, value: int, smallest: int = 1) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ArchitectureError(f"{name} must be a whole number, not {value!r}")
    if not smallest <= value <= LARGEST:
        raise ArchitectureError(f"{name} must lie between {smallest} and {LARGEST:,}, not {value}")


def _check_activation(name: str) -> None:
    if name not in ACTIVATIONS:
        hint = "; the classifying layer is added by itself" if name == "softmax" else ""
        raise ArchitectureError(
            f"activation must be one of {', '.join(ACTIVATIONS)}, not {name!r}{hint}"
        )


def _image(shape: Shape) -> tuple[int, int, int]:
    if len(shape) != 3:
        raise ArchitectureError("it needs an image; put it before the flatten")
    channels, height, width = shape
    return channels, height, width


def _activation(name: str) -> list[nn.Module]:
    if name == "linear":
        return []
    modules: dict[str, type[nn.Module]] = {
        "relu": nn.ReLU,
        "leaky-relu": nn.LeakyReLU,
        "sigmoid": nn.Sigmoid,
        "tanh": nn.Tanh,
    }
    return [modules[name]()]


def _initialised(module: nn.Conv2d | nn.Linear, generator: torch.Generator) -> nn.Module:
    # The module comes without storage ("meta"), so that torch's own initialisation, which draws
    # from the global generator, has no effect on anything.
    module.to_empty(device="cpu")
    nn.init.xavier_uniform_(module.weight, generator=generator)
    if module.bias is not None:
        nn.init.zeros_(module.bias)
    return module
