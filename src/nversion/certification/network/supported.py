"""What can be bounded: the layers, functions and arithmetic that have a node, one table of each.

A layer is found by its class, whose rule makes the node (:data:`LAYERS`); a function by its name,
as the layer that computes the same (:data:`FUNCTIONS`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from nversion.certification.network.graph import (
    Activation,
    Dense,
    Flatten,
    LogSoftmax,
    Node,
    Scale,
)
from nversion.certification.network.modules import (
    Place,
    Unfit,
    average,
    batch_norm,
    convolution,
    double,
    max_pool,
)
from nversion.hooks import own_class

__all__ = [
    "ARITHMETIC",
    "BATCH_NORMS",
    "DROPOUTS",
    "FUNCTIONS",
    "IDENTITY",
    "LAYERS",
    "RESHAPES",
    "SUPPORTED",
    "flat",
    "layer_node",
    "scaled",
]

SUPPORTED = (
    "Conv2d, Linear, BatchNorm, ReLU, LeakyReLU, Sigmoid, Tanh, MaxPool2d, AvgPool2d, "
    "AdaptiveAvgPool2d, Flatten, Dropout, Identity, sums of branches and arithmetic with "
    "constants, and a softmax or log-softmax at the end, which is left out"
)
RESHAPES = {"flatten", "view", "reshape", "contiguous"}
DROPOUTS = (nn.Dropout, nn.Dropout2d, nn.AlphaDropout, nn.FeatureAlphaDropout)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
ARITHMETIC = ("add", "iadd", "add_", "sub", "isub", "mul", "imul", "truediv", "div")

IDENTITY = Flatten((), (), "identity")
"""Stands for the node of what does nothing."""


def layer_node(module: nn.Module, place: Place) -> Node | None:
    """Return the node of one layer, IDENTITY where it does nothing, None where there is none.

    Raises:
        Unfit: there is a node for its kind, but not as the layer's options are.
    """
    rule = LAYERS.get(own_class(module))
    return None if rule is None else rule(module, place)


def flat(place: Place) -> Node:
    """Return the node of what gives values another shape, IDENTITY where they have it already."""
    return IDENTITY if place.before == place.shape else Flatten(*place.node)


def _identity(module: nn.Module, place: Place) -> Node:
    return IDENTITY


def _relu(module: nn.ReLU, place: Place) -> Node:
    return Activation(*place.node, "relu")


def _leaky_relu(module: nn.LeakyReLU, place: Place) -> Node:
    slope = float(module.negative_slope)
    if not 0.0 <= slope <= 1.0:
        raise Unfit(f"its negative_slope is {slope:g}, but must lie in [0, 1]")
    return Activation(*place.node, "relu", slope)


def _sigmoid(module: nn.Sigmoid, place: Place) -> Node:
    return Activation(*place.node, "sigmoid")


def _tanh(module: nn.Tanh, place: Place) -> Node:
    return Activation(*place.node, "tanh")


def _flatten(module: nn.Flatten, place: Place) -> Node:
    if module.start_dim == 0:
        raise Unfit("its start_dim=0 joins the images of a batch; use start_dim=1")
    return flat(place)


def _softmax(module: nn.Softmax, place: Place) -> Node:
    _refuse_other_dim(module.dim, place)
    return IDENTITY


def _log_softmax(module: nn.LogSoftmax, place: Place) -> Node:
    _refuse_other_dim(module.dim, place)
    one = torch.ones((), dtype=torch.float64)
    return LogSoftmax(*place.node, one, torch.zeros_like(one))


def _refuse_other_dim(dim: int | None, place: Place) -> None:
    """Raise unless a softmax is taken over the classes."""
    if dim not in (None, 1, -1) or len(place.shape) != 1:
        raise Unfit(
            f"its dim is {dim}, of values [count, {', '.join(map(str, place.shape))}]; it "
            "must be dim=1 of logits [count, classes]"
        )


def _dense(module: nn.Linear, place: Place) -> Node:
    if len(place.before) != 1:
        raise Unfit(f"it is given {list(place.before)} for an image; put a Flatten before it")
    weight = double(module.weight)
    bias = weight.new_zeros(len(weight)) if module.bias is None else double(module.bias)
    return Dense(*place.node, weight, bias)


LAYERS: Mapping[type, Callable[[Any, Place], Node]] = {
    nn.ReLU: _relu,
    nn.LeakyReLU: _leaky_relu,
    nn.Sigmoid: _sigmoid,
    nn.Tanh: _tanh,
    nn.Flatten: _flatten,
    nn.Linear: _dense,
    nn.Conv2d: convolution,
    nn.Identity: _identity,
    nn.MaxPool2d: max_pool,
    nn.AvgPool2d: average,
    nn.AdaptiveAvgPool2d: average,
    nn.Softmax: _softmax,
    nn.LogSoftmax: _log_softmax,
    **dict.fromkeys(DROPOUTS, _identity),
    **dict.fromkeys(BATCH_NORMS, batch_norm),
}
"""The layers that are bounded. A class derived from one may compute something else."""


def _dropout(
    p: float = 0.5, training: bool = True, inplace: bool = False, train: bool | None = None
) -> nn.Module:
    return nn.Dropout(p).train(training if train is None else train)


FUNCTIONS: dict[str, Callable[..., nn.Module]] = {
    "relu": lambda inplace=False: nn.ReLU(),
    "relu_": nn.ReLU,
    "leaky_relu": lambda negative_slope=0.01, inplace=False: nn.LeakyReLU(negative_slope),
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "dropout": _dropout,
    "dropout2d": _dropout,
    "max_pool2d": nn.MaxPool2d,
    "boolean_dispatch": nn.MaxPool2d,
    "avg_pool2d": nn.AvgPool2d,
    "adaptive_avg_pool2d": lambda output_size: nn.AdaptiveAvgPool2d(output_size),
    "log_softmax": lambda dim=None, **_: nn.LogSoftmax(dim),
    "softmax": lambda dim=None, **_: nn.Softmax(dim),
}


def scaled(place: Place, number: Tensor, first: bool) -> Node | None:
    """Return x + c, x - c, c - x, x * c or x / c as a scale, None where shapes are others.

    Args:
        place: of the node; its name says which of them.
        number: c, of one image's shape or a single number.
        first: whether x comes first.
    """
    shape, name = place.shape, place.name
    constant = number.detach().to(torch.float64).cpu()
    if constant.ndim == len(shape) + 1 and constant.shape[0] == 1:
        constant = constant[0]
    if constant.ndim > len(shape) or (constant.ndim and constant.ndim != len(shape)):
        return None
    one, zero = torch.ones_like(constant), torch.zeros_like(constant)
    if "add" in name:
        return Scale(*place.node, one, constant, steps=1)
    if "sub" in name:
        return Scale(*place.node, one if first else -one, -constant if first else constant, steps=1)
    if "mul" in name:
        return Scale(*place.node, constant, zero, steps=1)
    return Scale(*place.node, 1.0 / constant, zero, steps=1) if first else None
