"""A network as the certification sees it: affine maps, activations, pools and sums.

:func:`trace` (in :mod:`nversion.certification.network.tracing`) turns a ``torch.nn.Module`` into a
:class:`Network`: nodes in topological order, node 0 being the image. What the bounds need to know
about a network is only here. Batch norm is folded into the convolution or linear map before it,
dropout vanishes, average pooling is a convolution, and a ReLU next to a max-pool is fused with it
(``relu(max(x)) = max(relu(x)) = max(0, x)``), because the maximum of the window and of zero has
tighter linear bounds than the two relaxed one after the other.

Weights are kept in float64, so that folding rounds as little as possible; :meth:`Network.to`
gives a copy in another precision.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from nversion.certification.arithmetic import SINGLE, Arithmetic

__all__ = [
    "Activation",
    "Convolution",
    "Dense",
    "Flatten",
    "Image",
    "LogSoftmax",
    "MaxPool",
    "Network",
    "Node",
    "Scale",
    "Sum",
    "Weighted",
    "activate",
    "added",
    "apply",
    "convolve",
    "dilated",
    "pool",
    "tiles",
    "ungrouped",
]

Pair = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Node:
    """One step of a network.

    Attributes:
        inputs: the indices of the nodes it reads.
        shape: of its output for one image, without the batch axis.
        name: the module or function it came from, for messages.
    """

    inputs: tuple[int, ...]
    shape: tuple[int, ...]
    name: str


@dataclasses.dataclass(frozen=True)
class Image(Node):
    """The network's input."""


class Weighted:
    """What is asked again and again of the weights of a layer, found once."""

    weight: Tensor

    @functools.cached_property
    def sizes(self) -> Tensor:
        """The absolute weights."""
        return self.weight.abs()

    @functools.cached_property
    def signs(self) -> tuple[Tensor, Tensor]:
        """The positive weights and the sizes of the negative ones, zeros in place of the others."""
        return self.weight.clamp(min=0.0), self.weight.clamp(max=0.0).neg()

    @functools.cached_property
    def both_signs(self) -> Tensor:
        """The :attr:`signs`, one after the other."""
        return torch.cat(self.signs)

    @functools.cached_property
    def lengths(self) -> Tensor:
        """The L2 norms of the rows, [out]."""
        found: Tensor = torch.linalg.vector_norm(self.weight.flatten(1), dim=1)
        return found


@dataclasses.dataclass(frozen=True)
class Convolution(Weighted, Node):
    """A 2-d convolution: weight [out, in / groups, height, width], bias [out].

    Attributes:
        added: as for :class:`Scale`, [out]; None: the absolute bias.
        steps: as for :class:`Scale`.
        peak: as for :class:`Scale`.
    """

    weight: Tensor
    bias: Tensor
    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int
    added: Tensor | None = None
    steps: int = 0
    peak: tuple[float, float] = (0.0, 0.0)

    @property
    def size(self) -> Pair:
        """The size of the windows it reads, gaps aside."""
        return self.weight.shape[2], self.weight.shape[3]

    @property
    def reach(self) -> Pair:
        """The size of the windows it reads, with the gaps of the dilation."""
        (tall, wide), (down, across) = self.size, self.dilation
        return down * (tall - 1) + 1, across * (wide - 1) + 1


@dataclasses.dataclass(frozen=True)
class Dense(Weighted, Node):
    """A linear map: weight [out, in], bias [out].

    Attributes:
        added: as for :class:`Scale`, [out]; None: the absolute bias.
        steps: as for :class:`Scale`.
        peak: as for :class:`Scale`.
    """

    weight: Tensor
    bias: Tensor
    added: Tensor | None = None
    steps: int = 0
    peak: tuple[float, float] = (0.0, 0.0)


@dataclasses.dataclass(frozen=True)
class Scale(Node):
    """An elementwise affine map: scale and shift broadcast against the node's shape.

    Attributes:
        added: the absolute values of all that the model itself adds up to the shift, multiplied as
            it is: where large numbers cancel, much more than the shift; None: the absolute shift.
        steps: roundings of the model's own computation beyond those of this node's.
        peak: what the model's numbers on the way are at the most, where steps were folded and may
            overflow by themselves: so many times the largest absolute input, and so much more.
    """

    scale: Tensor
    shift: Tensor
    added: Tensor | None = None
    steps: int = 0
    peak: tuple[float, float] = (0.0, 0.0)


@dataclasses.dataclass(frozen=True)
class LogSoftmax(Scale):
    """A log-softmax that steps come after: the identity, up to a number that is left out.

    That number is one for each image, so margins do not show it; the model's rounding does.
    """


@dataclasses.dataclass(frozen=True)
class Flatten(Node):
    """A change of shape that keeps the order of the elements."""


@dataclasses.dataclass(frozen=True)
class Activation(Node):
    """An elementwise function: "relu" (leaky with `slope`), "sigmoid" or "tanh"."""

    function: str
    slope: float = 0.0


@dataclasses.dataclass(frozen=True)
class MaxPool(Node):
    """The maximum over windows; with `rectified`, of the window and of zero."""

    size: Pair
    stride: Pair
    padding: Pair
    rectified: bool = False

    @property
    def dilation(self) -> Pair:
        """Windows of a pool have no gaps."""
        return 1, 1

    @property
    def reach(self) -> Pair:
        """The size of the windows it reads."""
        return self.size


@dataclasses.dataclass(frozen=True)
class Sum(Node):
    """The sum of two branches of equal shape."""


NodeType = TypeVar("NodeType", bound=Node)


@dataclasses.dataclass(frozen=True)
class Network:
    """Nodes in topological order; the last one gives the logits [classes].

    Attributes:
        nodes: the nodes.
        arithmetic: how exactly the model itself is evaluated, whatever the precision here.
        shifted: whether a log-softmax or a softmax at the end was left out, whose own rounding
            counts.
    """

    nodes: tuple[Node, ...]
    arithmetic: Arithmetic = SINGLE
    shifted: bool = False

    @property
    def classes(self) -> int:
        """The number of logits."""
        return self.nodes[-1].shape[0]

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the weights (float64 if there are none)."""
        for node in self.nodes:
            if isinstance(node, Convolution | Dense):
                return node.weight.dtype
        return torch.float64

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        for node in self.nodes:
            if isinstance(node, Convolution | Dense):
                return node.weight.device
        return torch.device("cpu")

    def to(self, dtype: torch.dtype, device: torch.device | None = None) -> Network:
        """Return the network with its weights in `dtype`, on `device`."""
        nodes = tuple(_cast(node, dtype, device) for node in self.nodes)
        return dataclasses.replace(self, nodes=nodes)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the value of every node, [count, *shape] each, for images [count, ...]."""
        values = [images]
        for node in self.nodes[1:]:
            values.append(apply(node, [values[i] for i in node.inputs]))
        return values


def _cast(node: NodeType, dtype: torch.dtype, device: torch.device | None) -> NodeType:
    fields = {
        field.name: getattr(node, field.name).to(device=device, dtype=dtype)
        for field in dataclasses.fields(node)
        if isinstance(getattr(node, field.name), Tensor)
    }
    return dataclasses.replace(node, **fields) if fields else node


def convolve(node: Convolution, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve as `node` does, with the given weight and bias in place of its own."""
    return functional.conv2d(x, weight, bias, node.stride, node.padding, node.dilation, node.groups)


def activate(node: Activation, x: Tensor) -> Tensor:
    """Apply the activation's function."""
    if node.function == "relu":
        return functional.leaky_relu(x, node.slope) if node.slope else x.clamp(min=0.0)
    return torch.sigmoid(x) if node.function == "sigmoid" else torch.tanh(x)


def tiles(node: MaxPool) -> bool:
    """Tell whether the pool's windows neither overlap nor reach over the border."""
    return node.size == node.stride and node.padding == (0, 0)


def pool(node: MaxPool, x: Tensor) -> Tensor:
    """Take the maximum over the pool's windows (and of zero, if it is rectified)."""
    pooled = functional.max_pool2d(x, node.size, node.stride, node.padding)
    return pooled.clamp(min=0.0) if node.rectified else pooled


def apply(node: Node, inputs: list[Tensor]) -> Tensor:
    """Evaluate one node on its inputs, [count, *shape] each."""
    x = inputs[0]
    match node:
        case Convolution():
            return convolve(node, x, node.weight, node.bias)
        case Dense():
            return functional.linear(x, node.weight, node.bias)
        case Scale():
            return x * node.scale + node.shift
        case Flatten():
            return x.reshape(len(x), *node.shape)
        case Activation():
            return activate(node, x)
        case MaxPool():
            return pool(node, x)
        case Sum():
            return x + inputs[1]
    raise TypeError(f"no rule for {type(node).__name__}")


def added(node: Convolution | Dense | Scale) -> Tensor:
    """Return the absolute values of all that the model adds to the node's products."""
    if node.added is not None:
        return node.added
    return (node.shift if isinstance(node, Scale) else node.bias).abs()


def dilated(node: Convolution, weight: Tensor) -> Tensor:
    """Return a weight with the gaps of its dilation filled with zeros."""
    if node.dilation == (1, 1):
        return weight
    filled = weight.new_zeros(*weight.shape[:2], *node.reach)
    filled[:, :, :: node.dilation[0], :: node.dilation[1]] = weight
    return filled


def ungrouped(node: Convolution) -> Tensor:
    """Return a convolution's weight with zeros for the channels that its groups do not read."""
    if node.groups == 1:
        return node.weight
    out, size = node.weight.shape[:2]
    full = node.weight.new_zeros(out, size * node.groups, *node.weight.shape[2:])
    each = out // node.groups
    for group in range(node.groups):
        rows = slice(group * each, (group + 1) * each)
        full[rows, group * size : (group + 1) * size] = node.weight[rows]
    return full
