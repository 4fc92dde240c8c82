"""Networks as plain modules: what every converted file becomes.

PyTorch's own layers wherever there is one, in a ``Sequential`` where the network is a chain, so
that certificates and layouts (:mod:`nversion.batches`) know what they see; else :class:`Wired`,
which ``torch.fx`` traces through.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

__all__ = [
    "Act",
    "Arrange",
    "Concatenate",
    "Moved",
    "Normalise",
    "Picked",
    "Scaled",
    "Shaped",
    "Total",
    "Wired",
    "chain",
]


@final
class Normalise(nn.Module):
    """Images in [0, 1], brought into a range and normalised, channel by channel.

    Args:
        low: what 0 becomes.
        high: what 1 becomes.
        mean: taken off, one number or one for each channel; none if empty.
        std: divided by, likewise.
    """

    mean: Tensor | None
    std: Tensor | None

    def __init__(
        self, low: float, high: float, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        super().__init__()
        self.low, self.width = low, high - low
        for name, numbers in (("mean", mean), ("std", std)):
            value = torch.tensor(numbers).view(-1, 1, 1) if numbers else None
            self.register_buffer(name, value)

    def forward(self, images: Tensor) -> Tensor:
        """Return images [count, channels, height, width] as the network wants them."""
        if self.width != 1.0:
            images = images * self.width
        if self.low != 0.0:
            images = images + self.low
        if self.mean is not None:
            images = images - self.mean
        if self.std is not None:
            images = images / self.std
        return images


@final
class Scaled(nn.Module):
    """Values times a constant, or plus one."""

    constant: Tensor

    def __init__(self, constant: Tensor, times: bool) -> None:
        super().__init__()
        self.register_buffer("constant", constant)
        self.times = times

    def forward(self, values: Tensor) -> Tensor:
        """Return the values, changed."""
        return values * self.constant if self.times else values + self.constant


@final
class Total(nn.Module):
    """The sum, difference, product or quotient of two branches."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return it."""
        match self.how:
            case "add":
                return first + second
            case "sub":
                return first + -1.0 * second
            case "mul":
                return first * second
            case "max":
                return torch.maximum(first, second)
            case "min":
                return torch.minimum(first, second)
            case _:
                return first / second


@final
class Concatenate(nn.Module):
    """Branches joined along one side."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, *branches: Tensor) -> Tensor:
        """Return them as one."""
        return torch.cat(branches, dim=self.dim)


@final
class Moved(nn.Module):
    """Sides in another order."""

    def __init__(self, order: Sequence[int]) -> None:
        super().__init__()
        self.order = tuple(order)

    def forward(self, values: Tensor) -> Tensor:
        """Return the values, rearranged."""
        return values.permute(self.order)


@final
class Shaped(nn.Module):
    """The same values in another shape, image by image."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)

    def forward(self, values: Tensor) -> Tensor:
        """Return [count, *shape]."""
        return values.reshape(-1, *self.shape)


@final
class Picked(nn.Module):
    """Some values of each image, in some order."""

    places: Tensor

    def __init__(self, places: Tensor) -> None:
        super().__init__()
        self.register_buffer("places", places)

    def forward(self, values: Tensor) -> Tensor:
        """Return values [count, places]."""
        return values.flatten(1).index_select(1, self.places)


@final
class Act(nn.Module):
    """A function of PyTorch's with fixed options, where there is no layer for it."""

    def __init__(self, function: Callable[..., Any], **options: Any) -> None:
        super().__init__()
        self.function, self.options = function, options

    def extra_repr(self) -> str:
        """Name the function when the network is printed."""
        return getattr(self.function, "__name__", str(self.function))

    def forward(self, values: Tensor) -> Any:
        """Return the function's values."""
        return self.function(values, **self.options)


@final
class Arrange(nn.Module):
    """Images [count, channels, height, width] in the layout that a network takes them in.

    Args:
        order: the sides' new order, (0, ...).
        shape: of one image after that; None leaves the sides as they are.
        dtype: what the network takes; None leaves it as it is.
    """

    def __init__(self, order: Sequence[int], shape: Sequence[int] | None) -> None:
        super().__init__()
        self.order = tuple(order)
        self.shape = None if shape is None else tuple(shape)

    def forward(self, images: Tensor) -> Tensor:
        """Return the images, rearranged."""
        if self.order != (0, 1, 2, 3):
            images = images.permute(self.order)
        if self.shape is not None:
            images = images.reshape(-1, *self.shape)
        return images


@final
class Wired(nn.Module):
    """Layers that are no chain: each takes the results of some before it.

    Args:
        layers: by name.
        inputs: for each layer the places of what it takes; 0 is the images, 1 the first layer's.
    """

    def __init__(
        self, layers: OrderedDict[str, nn.Module], inputs: Sequence[Sequence[int]]
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential(layers)
        self.inputs = [tuple(places) for places in inputs]

    def forward(self, images: Tensor) -> Tensor:
        """Return what the last layer gives."""
        values = [images]
        for layer, places in zip(self.layers, self.inputs, strict=True):
            values.append(layer(*[values[place] for place in places]))
        return values[-1]


def chain(
    layers: OrderedDict[str, nn.Module], inputs: Sequence[Sequence[int]]
) -> nn.Sequential | Wired:
    """Return layers as a ``Sequential`` where each takes what the one before gave."""
    straight = [(place,) for place in range(len(layers))]
    if [tuple(places) for places in inputs] == straight:
        return nn.Sequential(layers)
    return Wired(layers, inputs)
