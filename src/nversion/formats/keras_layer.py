"""A layer of a Keras file, and where it has its channels."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nversion.formats.operators import Unconverted
from nversion.formats.weaver import Constant, Value, Weaver

__all__ = ["Convert", "Layer", "as_keras", "channels_first"]


@dataclasses.dataclass(frozen=True)
class Layer:
    """One layer of a file.

    Attributes:
        name: its own.
        config: its options.
        weights: its arrays, in Keras' order.
    """

    name: str
    config: Mapping[str, Any]
    weights: Sequence[Constant]

    def get(self, key: str, default: Any = None) -> Any:
        """Return an option."""
        value = self.config.get(key, default)
        return default if value is None else value

    def weight(self, place: int, what: str) -> Constant:
        """Return an array."""
        if place >= len(self.weights):
            raise Unconverted(f"the file holds no {what} of it")
        return self.weights[place]

    @property
    def first(self) -> bool:
        """Whether channels come first."""
        return bool(self.get("data_format", "channels_last") == "channels_first")


Convert = Callable[[Weaver, Layer, Sequence[Value]], Value]


def channels_first(weaver: Weaver, value: Value, first: bool) -> Value:
    """Return a value with its channels first."""
    if first or len(value.shape) != 3:
        return weaver.settle(value)
    return weaver.settle(value.view(value.places.transpose(2, 0, 1)))


def as_keras(value: Value, first: bool) -> Value:
    """Return a value with its channels where Keras has them."""
    return value if first or len(value.shape) != 3 else value.view(value.places.transpose(1, 2, 0))
