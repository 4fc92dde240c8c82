"""What one step of a model's evaluation is off by: its *local* error.

A share of the absolute values that the step adds up
(:mod:`nversion.certification.arithmetic`), over all images of the ball, so the ranges of its
inputs give it. Whatever the order of a sum, what it has in hand is the sum of some of its terms,
and that is no larger than the sum of the positive ones or of the negative ones.
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor
from torch.nn import functional

from nversion.certification.arithmetic import OVERFLOW, Arithmetic
from nversion.certification.ball import dual_norm, per_image
from nversion.certification.network.graph import (
    Activation,
    Convolution,
    Dense,
    Flatten,
    LogSoftmax,
    MaxPool,
    Node,
    Scale,
    Sum,
    added,
    convolve,
)

__all__ = ["LocalErrors", "NodeErrors", "Read", "carried_on", "logarithm", "through"]

CURVE = 8.0
"""Units in the last place of 1: what a sigmoid or tanh is off by, at the most."""


@dataclasses.dataclass(frozen=True)
class Read:
    """What is known of the neurons that a step reads.

    Attributes:
        size: the largest absolute values, [count, *shape].
        low: lower bounds.
        center: values at the images.
        far: by how much all of them together can move, [count]; None: not known.
        norm: in which they move.
        pixels: whether they are the image's own.
    """

    size: Tensor
    low: Tensor
    center: Tensor
    far: Tensor | None
    norm: float
    pixels: bool


@dataclasses.dataclass(frozen=True)
class NodeErrors:
    """The errors of a node's neurons.

    Attributes:
        local: of its own step, [count, *shape]; None: it is exact.
        carried: those that have come along to it, its own among them; None where planes took all.
        off: how far evaluated neurons may be from real arithmetic; None: not known.
        rho: the same in L2, [count]; None: not known.
    """

    local: Tensor | None
    carried: Tensor | None
    off: Tensor | None = None
    rho: Tensor | None = None


class LocalErrors:
    """The local errors of a network's steps.

    Args:
        arithmetic: of the model.
        own: rounding of the bounds themselves, as a share.
        radii: [count], for the shape of what is noted.

    Attributes:
        overflows: bool [count], whether a number on the way may have become too large.
    """

    def __init__(self, arithmetic: Arithmetic, own: float, radii: Tensor) -> None:
        self._arithmetic, self._own = arithmetic, own
        self.overflows = torch.zeros_like(radii, dtype=torch.bool)

    def of(self, node: Node, reads: list[Read]) -> Tensor | None:
        """Return the local error of a node, [count, *shape]; None: it is exact."""
        arithmetic, own, size = self._arithmetic, self._own, reads[0].size
        match node:
            case LogSoftmax():
                return (arithmetic.results(4) + own) * (size + logarithm(size))
            case Convolution() | Dense() | Scale():
                return self._affine(node, reads[0])
            case Sum():
                both = size + reads[1].size
                return self._fitting((arithmetic.results(1) + own) * both, both)
            case Activation() if node.function != "relu":
                return torch.full_like(size, CURVE * arithmetic.unit + own)
            case Activation() if node.slope:
                leaked: Tensor = (arithmetic.unit * node.slope + own) * size
                return leaked + arithmetic.smallest
            case Activation() | MaxPool() | Flatten():
                return None
        raise TypeError(f"no rule for {type(node).__name__}")

    def _affine(self, node: Convolution | Dense | Scale, read: Read) -> Tensor:
        arithmetic, size = self._arithmetic, read.size
        terms = 1 if isinstance(node, Scale) else node.weight[0].numel()
        partial, total = _sums(node, read)
        error = arithmetic.additions(terms) * partial
        if isinstance(node, Dense):
            # Adding what is exactly zero, as dead neurons are, is exact.
            share = (size != 0).sum(dim=1, keepdim=True).to(size.dtype) / terms
            error = error * share
        error += (arithmetic.results(2 + node.steps) + self._own) * total
        error += arithmetic.smallest * (terms + 2 + node.steps)
        times, more = node.peak
        if times or more:
            on_the_way = times * size.flatten(1).amax(dim=1) + more
            self.overflows = self.overflows | ~(on_the_way <= arithmetic.largest)
        return self._fitting(error, total)

    def _fitting(self, error: Tensor, size: Tensor) -> Tensor:
        """Return errors of values up to `size`, after taking note of what may overflow.

        An overflow is no number any more, whatever its bounds say.
        """
        fits = size <= self._arithmetic.largest
        if bool(fits.all()):
            return error
        self.overflows = self.overflows | ~fits.flatten(1).all(dim=1)
        return error.masked_fill(~fits, OVERFLOW)


def _sums(node: Convolution | Dense | Scale, read: Read) -> tuple[Tensor, Tensor]:
    """Return what a node has in hand while it adds up, and the sum of the absolute values."""
    plus = added(node)
    if isinstance(node, Scale):
        total = read.size * node.scale.abs() + plus
        return total, total
    found = None
    if not read.pixels and not bool((read.low < 0).any()):
        found = _by_sign(node, read.size, plus)
    far = read.far if isinstance(node, Dense) or read.pixels else None
    if far is not None and not bool((read.center < 0).any()):
        # Not all inputs can be at the far ends of their ranges at once.
        sizes = node.lengths
        if read.norm != 2.0:
            sizes = dual_norm(node.sizes.flatten(1), read.norm)
        move = sizes.reshape(-1, *([1] * (len(node.shape) - 1))) * per_image(far, read.center)
        here = [x + move for x in _by_sign(node, read.center, plus)]
        found = here if found is None else list(map(torch.minimum, found, here))
    if found is None:
        total = through(node, read.size, node.sizes, plus)
        return total, total
    return found[0], found[1]


def _by_sign(node: Convolution | Dense, x: Tensor, plus: Tensor) -> list[Tensor]:
    if isinstance(node, Dense):
        up, down = functional.linear(x, node.both_signs, plus.repeat(2)).chunk(2, dim=1)
    else:
        up, down = (through(node, x, weight, plus) for weight in node.signs)
    return [torch.maximum(up, down), up + down]


def logarithm(size: Tensor) -> Tensor:
    """Return how much a log-softmax takes off logits of some sizes [count, classes], [count, 1].

    That is the largest of them, and a logarithm of their number at the most.
    """
    return size.amax(dim=1, keepdim=True) + math.log(size.shape[1])


def through(node: Convolution | Dense, x: Tensor, weight: Tensor, plus: Tensor | None) -> Tensor:
    """Apply a node with other weights."""
    if isinstance(node, Convolution):
        return convolve(node, x, weight, plus)
    return functional.linear(x, weight, plus)


def carried_on(node: Node, carried: Tensor) -> Tensor:
    """Return what errors of a linear node's inputs are in its neurons."""
    match node:
        case Flatten():
            return carried.reshape(len(carried), *node.shape)
        case Scale():
            return carried * node.scale.abs()
        case Convolution() | Dense():
            return through(node, carried, node.sizes, None)
    return carried
