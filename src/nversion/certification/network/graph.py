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
from collections.abc import Callable
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
    "MaxPool",
    "Network",
    "Node",
    "Scale",
    "Sum",
    "fuse",
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


@dataclasses.dataclass(frozen=True)
class Convolution(Node):
    """A 2-d convolution: weight [out, in / groups, height, width], bias [out].

    Attributes:
        added: as for :class:`Scale`, [out]; None: the absolute bias.
        steps: as for :class:`Scale`.
    """

    weight: Tensor
    bias: Tensor
    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int
    added: Tensor | None = None
    steps: int = 0


@dataclasses.dataclass(frozen=True)
class Dense(Node):
    """A linear map: weight [out, in], bias [out].

    Attributes:
        added: as for :class:`Scale`, [out]; None: the absolute bias.
        steps: as for :class:`Scale`.
    """

    weight: Tensor
    bias: Tensor
    added: Tensor | None = None
    steps: int = 0


@dataclasses.dataclass(frozen=True)
class Scale(Node):
    """An elementwise affine map: scale and shift broadcast against the node's shape.

    Attributes:
        added: the absolute values of all that the model itself adds up to the shift, multiplied as
            it is: where large numbers cancel, much more than the shift; None: the absolute shift.
        steps: roundings of the model's own computation beyond those of this node's.
    """

    scale: Tensor
    shift: Tensor
    added: Tensor | None = None
    steps: int = 0


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
        shifted: whether the model's own logits differ by one number for each image, as where a
            log-softmax at the end was left out.
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


# ---------------------------------------------------------------- folding and fusing


def fuse(network: Network) -> Network:
    """Return an equal network with scales folded and ReLUs fused with the max-pools beside them."""
    nodes = _merge(list(network.nodes), _fold_scale)
    nodes = _merge(nodes, _fuse_pool)
    return dataclasses.replace(network, nodes=tuple(nodes))


def _merge(nodes: list[Node], rule: Callable[[Node, Node], Node | None]) -> list[Node]:
    """Replace pairs (first, second) of a chain by one node, as long as `rule` gives one."""
    changed = True
    while changed:
        changed = False
        users = [0] * len(nodes)
        for node in nodes:
            for i in node.inputs:
                users[i] += 1
        for index, second in enumerate(nodes):
            if len(second.inputs) != 1 or users[second.inputs[0]] != 1:
                continue
            first_index = second.inputs[0]
            merged = rule(nodes[first_index], second)
            if merged is None:
                continue
            nodes[index] = dataclasses.replace(merged, inputs=nodes[first_index].inputs)
            nodes = _without(nodes, first_index)
            changed = True
            break
    return nodes


def _without(nodes: list[Node], removed: int) -> list[Node]:
    """Drop one node that nobody reads any more, and renumber the inputs of the others."""
    return [
        dataclasses.replace(node, inputs=tuple(i - (i > removed) for i in node.inputs))
        for index, node in enumerate(nodes)
        if index != removed
    ]


def _fold_scale(first: Node, second: Node) -> Node | None:
    if not isinstance(second, Scale):
        return None
    if isinstance(first, Scale):
        return dataclasses.replace(
            second,
            scale=first.scale * second.scale,
            shift=first.shift * second.scale + second.shift,
            added=added(first) * second.scale.abs() + added(second),
            steps=first.steps + second.steps + 2,
        )
    if not isinstance(first, Convolution | Dense):
        return None
    out = first.shape[0]
    numel = second.scale.numel()
    if numel not in (1, out) or (numel == out and second.scale.shape[:1] != (out,)):
        return None
    scale, shift, plus = (
        t.reshape(-1).expand(out) for t in (second.scale, second.shift, added(second))
    )
    return dataclasses.replace(
        first,
        weight=first.weight * scale.reshape(-1, *([1] * (first.weight.ndim - 1))),
        bias=first.bias * scale + shift,
        added=added(first) * scale.abs() + plus,
        steps=first.steps + second.steps + 2,
    )


def added(node: Convolution | Dense | Scale) -> Tensor:
    """Return the absolute values of all that the model adds to the node's products."""
    if node.added is not None:
        return node.added
    return (node.shift if isinstance(node, Scale) else node.bias).abs()


def _fuse_pool(first: Node, second: Node) -> Node | None:
    def rectifies(node: Node) -> bool:
        return isinstance(node, Activation) and node.function == "relu" and not node.slope

    if rectifies(first) and isinstance(second, MaxPool):
        return dataclasses.replace(second, rectified=True)
    if isinstance(first, MaxPool) and rectifies(second):
        return dataclasses.replace(first, rectified=True)
    if rectifies(first) and rectifies(second):
        return first
    return None
