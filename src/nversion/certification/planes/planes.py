"""What is laid around the neurons of a nonlinear layer: linear functions above and below each."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable
from typing import Any, TypeVar

from torch import Tensor

from nversion.certification.planes.shared_ball import SharedBall

__all__ = ["Planes", "SharedPlanes"]


@dataclasses.dataclass(frozen=True)
class SharedPlanes:
    """Functions above all neurons of a node, and what rows gain by the ball that they share.

    Attributes:
        rise: as in :class:`Planes`.
        upper_shift: as in :class:`Planes`.
        ball: tells the gain.
    """

    rise: Tensor
    upper_shift: Tensor
    ball: SharedBall


@dataclasses.dataclass(frozen=True)
class Planes:
    """Two linear functions around each neuron of a node, for each image.

    For an activation all tensors are [count, *shape]. For a max-pool the slopes belong to the
    pool's inputs: [count, channels, height, width] of its input where the windows tile it, and
    [count, channels, window, positions] where they overlap or are padded; the shifts are
    [count, *shape] of its output.

    Attributes:
        lower: slope of the function below.
        rise: slope of the function above, less `lower`.
        lower_shift: constant of the function below.
        upper_shift: constant of the function above.
        together: what rows over the whole layer use above, where the ball is round; None: the
            functions above.
        slight: whether `lower_shift` holds rounding errors alone, which a search may leave out.
        cuts: what users have cut out of these tensors so far, to be cut once only.
    """

    lower: Tensor
    rise: Tensor
    lower_shift: Tensor
    upper_shift: Tensor
    together: SharedPlanes | None = None
    slight: bool = False
    cuts: dict[Hashable, Tensor] = dataclasses.field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def rows(self, chosen: Tensor) -> Planes:
        """Return the same for some of the images."""
        return _rows(self, chosen)

    @property
    def lift(self) -> Tensor:
        """Constant of the function above, less that of the function below."""
        return self.upper_shift - self.lower_shift


_Laid = TypeVar("_Laid", bound=Planes | SharedPlanes | SharedBall)


def _rows(laid: _Laid, chosen: Tensor) -> _Laid:
    fields: dict[str, Any] = {}
    for name in (field.name for field in dataclasses.fields(laid) if field.init):
        value = getattr(laid, name)
        if isinstance(value, Tensor):
            fields[name] = value[chosen]
        elif isinstance(value, SharedPlanes | SharedBall):
            fields[name] = _rows(value, chosen)
    return dataclasses.replace(laid, **fields)
