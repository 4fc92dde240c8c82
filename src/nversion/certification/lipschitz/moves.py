"""How far the neurons of a layer move together when the image moves: the values that say so."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from nversion.certification.lipschitz.linear_maps import ROUNDING
from nversion.certification.network.graph import Dense, Network

__all__ = ["Move", "Moved", "Stretches"]


@dataclasses.dataclass(frozen=True)
class Moved:
    """By how much the neurons that a node reads can move together.

    Attributes:
        radii: R, [count].
        mean: how much the squared mean of a window counts in it.
    """

    radii: Tensor
    mean: float


@dataclasses.dataclass(frozen=True)
class Move:
    """How far the neurons that a node reads move in L2, when the image moves by 1.

    Attributes:
        stretch: at the most; in windows that share neurons each counts as often as it is read.
        mean: how much the squared mean of a window counts in it, 1 if as all else.
        often: the root of how often a neuron is read, at the most.
    """

    stretch: float
    mean: float = 1.0
    often: float = 1.0

    def over(self, radii: Tensor, off: Tensor) -> Moved:
        """Return by how much they can move while the image moves by `radii`, [count].

        Args:
            radii: [count].
            off: how far the evaluated neurons may be from real arithmetic, in L2, [count].
        """
        return Moved(self.stretch * radii + self.often * off, self.mean)


@dataclasses.dataclass(frozen=True)
class Stretches:
    """What is known of a network's stretches.

    Attributes:
        nodes: of each node.
        read: by each activation and max-pool; empty where layers were only looked at one by one.
        norm: in which the image moves.
        own: of each node by itself: how far it moves when its inputs move by 1.
    """

    nodes: tuple[float, ...]
    read: dict[int, Move]
    norm: float
    own: tuple[float, ...]

    def apart(self) -> Stretches:
        """Return the same without what nodes read, so that their neurons do not share the ball."""
        return dataclasses.replace(self, read={})

    def changes(self, network: Network, weight: Tensor) -> Tensor:
        """Return how much functions of the last neurons can change when the image moves by 1.

        Args:
            network: whose stretches these are.
            weight: over the inputs of a last linear map, or else over the logits, [..., neurons].
        """
        last = network.nodes[-1]
        before = last.inputs[0] if isinstance(last, Dense) else len(self.nodes) - 1
        size: Tensor = torch.linalg.vector_norm(weight, dim=-1)
        return size * (self.nodes[before] * (1.0 + ROUNDING))
