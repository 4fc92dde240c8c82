"""One layer whose backward bounds are asked for, with all that its rows need on their way back."""

from __future__ import annotations

import dataclasses

from torch import Tensor

from nversion.certification.network.graph import Activation, Network, Node
from nversion.certification.planes.planes import Planes
from nversion.certification.region import Region
from nversion.certification.rows.walk import Minimum, Rows, back_to_image, minimum

__all__ = ["Layer"]


@dataclasses.dataclass(frozen=True)
class Layer:
    """A node, and what is known of those before it.

    Attributes:
        network: whose node it is.
        index: of the node.
        region: the images and the balls around them.
        planes: around the nonlinear nodes before it.
        center: the node's values at the images, [count, *shape].
    """

    network: Network
    index: int
    region: Region
    planes: dict[int, Planes]
    center: Tensor

    @property
    def node(self) -> Node:
        """The node."""
        return self.network.nodes[self.index]

    @property
    def source(self) -> int:
        """The index of the node that it reads."""
        return self.node.inputs[0]

    @property
    def users(self) -> list[Node]:
        """The nodes that read it."""
        return [node for node in self.network.nodes if self.index in node.inputs]

    @property
    def behind(self) -> Node | None:
        """What the activation reads that it reads; None if it reads no activation."""
        activation = self.network.nodes[self.source]
        if not isinstance(activation, Activation):
            return None
        return self.network.nodes[activation.inputs[0]]

    def minimum(self, start: int, rows: Rows) -> Minimum:
        """Take rows over node `start` back to the image, and minimise them."""
        return minimum(back_to_image(self.network, start, rows, self.planes), self.region)
