"""The modules with options, as nodes: convolutions, batch normalisation and pooling.

Each function takes a module and the :class:`Place` of its node.

An option that a node cannot express is refused by its name and value (:class:`Unfit`).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn

from nversion.certification.network.graph import Convolution, MaxPool, Node, Scale

__all__ = ["Place", "Unfit", "average", "batch_norm", "convolution", "double", "max_pool"]


BATCH_NORM_STEPS = 6
"""Roundings of the factor and the shift that a batch norm makes of its four numbers."""


class Unfit(Exception):  # noqa: N818 - it becomes an UnsupportedModuleError that names the module
    """Why a module of a kind that has a node cannot be certified, and what would be right."""


@dataclasses.dataclass(frozen=True)
class Place:
    """Where in a network a module's node goes.

    Attributes:
        inputs: the nodes that it reads.
        shape: of what it gives for one image.
        name: of the step, for messages.
        before: shape of what it is given for one image.
    """

    inputs: tuple[int, ...]
    shape: tuple[int, ...]
    name: str
    before: tuple[int, ...]

    @property
    def node(self) -> tuple[tuple[int, ...], tuple[int, ...], str]:
        """What every node begins with."""
        return self.inputs, self.shape, self.name


def _pair(value: Any) -> tuple[int, int]:
    return (int(value), int(value)) if isinstance(value, int) else (int(value[0]), int(value[1]))


def double(tensor: Tensor) -> Tensor:
    """Return a parameter's values in float64, without their gradient."""
    return tensor.detach().to(torch.float64)


def convolution(module: nn.Conv2d, place: Place) -> Node:
    """Return a convolution.

    Raises:
        Unfit: it pads with other values than zeros, or one side more than the other.
    """
    if module.padding_mode != "zeros":
        raise Unfit(f"its padding_mode is {module.padding_mode!r}, but must be 'zeros'")
    kernel, dilation, stride = (
        _pair(module.kernel_size),
        _pair(module.dilation),
        _pair(module.stride),
    )
    if module.padding == "valid":
        padding = (0, 0)
    elif module.padding == "same":
        total = [dilation[i] * (kernel[i] - 1) for i in range(2)]
        if total[0] % 2 or total[1] % 2:
            raise Unfit(
                f"its padding='same' with a kernel of {kernel[0]}x{kernel[1]} fills up one side "
                "more than the other; use an odd kernel, or a padding in numbers"
            )
        padding = (total[0] // 2, total[1] // 2)
    else:
        padding = _pair(module.padding)
    weight = double(module.weight)
    bias = weight.new_zeros(len(weight)) if module.bias is None else double(module.bias)
    return Convolution(*place.node, weight, bias, stride, padding, dilation, module.groups)


def batch_norm(module: nn.BatchNorm1d | nn.BatchNorm2d, place: Place) -> Node:
    """Return batch normalisation as a factor and a shift of each channel.

    Raises:
        Unfit: it takes the statistics of the batch.
    """
    if module.running_mean is None or module.running_var is None:
        raise Unfit(
            "its track_running_stats is False, so that what it makes of an image depends on the "
            "others in the batch; train it with track_running_stats=True"
        )
    mean, variance = double(module.running_mean), double(module.running_var)
    scale = 1.0 / (variance + module.eps).sqrt()
    bias = torch.zeros_like(scale)
    if module.weight is not None:
        scale, bias = scale * double(module.weight), double(module.bias)
    axes = (-1,) + (1,) * (len(place.shape) - 1)
    # The mean is taken off the input, which may be as large: nearly nothing may be left of both.
    both = bias.abs() + (mean * scale).abs()
    scale, shift, both = (t.reshape(axes) for t in (scale, bias - mean * scale, both))
    return Scale(*place.node, scale, shift, both, BATCH_NORM_STEPS)


def max_pool(module: nn.MaxPool2d, place: Place) -> Node:
    """Return the largest value of each window.

    Raises:
        Unfit: its windows have holes, or are cut off.
    """
    if _pair(module.dilation) != (1, 1):
        raise Unfit(f"its dilation is {module.dilation}, but must be 1")
    size, padding = _pair(module.kernel_size), _pair(module.padding)
    stride = _pair(module.kernel_size if module.stride is None else module.stride)
    _refuse_cut_windows(module, place, size, stride, padding)
    return MaxPool(*place.node, size, stride, padding)


def _refuse_cut_windows(
    module: nn.MaxPool2d | nn.AvgPool2d,
    place: Place,
    size: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
) -> None:
    """Raise where ceil_mode adds windows that reach past the padding; often it adds none."""
    before, shape = place.before, place.shape
    whole = [(before[1 + i] + 2 * padding[i] - size[i]) // stride[i] + 1 for i in range(2)]
    if module.ceil_mode and list(shape[1:]) != whole:
        raise Unfit(
            f"its ceil_mode is True, and adds windows that are cut off at the edge of "
            f"{before[1]}x{before[2]} values; use ceil_mode=False"
        )


def average(module: nn.AvgPool2d | nn.AdaptiveAvgPool2d, place: Place) -> Node:
    """Return average pooling as a convolution of each channel by itself.

    Raises:
        Unfit: its windows, or what they divide by, are not the same everywhere.
    """
    before, shape = place.before, place.shape
    channels = before[0]
    if isinstance(module, nn.AdaptiveAvgPool2d):
        if before[1] % shape[1] or before[2] % shape[2]:
            raise Unfit(
                f"its output_size {shape[1]}x{shape[2]} does not divide the "
                f"{before[1]}x{before[2]} values that it is given, so that its windows differ; "
                "use an output_size that does"
            )
        size = stride = (before[1] // shape[1], before[2] // shape[2])
        padding, divisor = (0, 0), size[0] * size[1]
    else:
        size, padding = _pair(module.kernel_size), _pair(module.padding)
        stride = _pair(module.stride)
        divisor = module.divisor_override or size[0] * size[1]
        _refuse_cut_windows(module, place, size, stride, padding)
        if padding != (0, 0) and not module.count_include_pad and not module.divisor_override:
            raise Unfit(
                "its count_include_pad is False, so that its divisor differs at the edge; use "
                "count_include_pad=True, or no padding"
            )
    weight = torch.full((channels, 1, *size), 1.0 / divisor, dtype=torch.float64)
    bias = torch.zeros(channels, dtype=torch.float64)
    return Convolution(*place.node, weight, bias, stride, padding, (1, 1), channels)
