"""A call of one of PyTorch's operators, and what its arguments are."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nversion.formats.operators import Unconverted
from nversion.formats.weaver import Constant, Value, Weaver

__all__ = ["Call", "Convert", "pair", "side_of"]


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of an operator.

    Attributes:
        kind: the operator and its overload.
        name: what the layer is to be called.
        given: its arguments by name; those that have their default are left out.
    """

    kind: str
    name: str
    given: Mapping[str, Any]

    def get(self, name: str, default: Any = None) -> Any:
        """Return an argument."""
        value = self.given.get(name, default)
        return default if value is None else value

    @property
    def first(self) -> Any:
        """The first argument, mostly the values to work on."""
        return next(iter(self.given.values()))

    @property
    def value(self) -> Value:
        """The first argument, where it depends on the images."""
        if not isinstance(self.first, Value):
            raise Unconverted("it is given no values of the images")
        return self.first

    def constant(self, name: str) -> Constant:
        """Return an argument that does not depend on the images."""
        value = self.given.get(name)
        if not isinstance(value, np.ndarray):
            raise Unconverted(f"its {name} depends on the images")
        return value

    def optional(self, name: str) -> Constant | None:
        """Return it, or None where there is none."""
        return None if self.given.get(name) is None else self.constant(name)


Convert = Callable[[Weaver, Call], Any]


def side_of(dim: int, value: Value) -> int:
    """Return which of a value's sides a dimension of the file is."""
    dim = dim + len(value.shape) + 1 if dim < 0 else dim
    if not 1 <= dim <= len(value.shape):
        raise Unconverted("it works across the images of a batch")
    return dim - 1


def pair(numbers: Any) -> tuple[int, int]:
    """Return an argument for rows and columns, of which one number means both."""
    numbers = [numbers] if isinstance(numbers, int) else list(numbers)
    return int(numbers[0]), int(numbers[-1])
