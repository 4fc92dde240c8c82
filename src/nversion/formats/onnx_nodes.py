"""A node of an ONNX graph, and what its arguments are."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from nversion.formats.operators import Unconverted
from nversion.formats.weaver import Constant, Value, Weaver

__all__ = ["Convert", "Node", "constant", "fitting", "optional", "side_of", "whole_numbers"]


@dataclasses.dataclass(frozen=True)
class Node:
    """One node of a graph.

    Attributes:
        kind: its operator.
        name: its own, or "".
        attributes: by name.
        opset: the version of the operators.
    """

    kind: str
    name: str
    attributes: Mapping[str, Any]
    opset: int

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute."""
        return self.attributes.get(name, default)


Convert = Callable[[Weaver, Node, Sequence[Any]], list[Any]]


def constant(value: Any, what: str) -> Constant:
    """Return an input that does not depend on the images."""
    if isinstance(value, Value):
        raise Unconverted(f"its {what} depends on the images")
    return np.asarray(value)


def optional(given: Sequence[Any], place: int) -> Any:
    """Return an input, or None where there is none."""
    return given[place] if len(given) > place else None


def whole_numbers(node: Node, given: Sequence[Any], name: str, place: int = 1) -> list[int] | None:
    """Return whole numbers that are an attribute in older files and an input in newer ones."""
    if node.get(name) is not None:
        numbers = node.get(name)
        return [int(n) for n in np.atleast_1d(numbers)]
    value = optional(given, place)
    return None if value is None else [int(n) for n in constant(value, name).reshape(-1)]


def side_of(axis: int, value: Value) -> int:
    """Return which of a value's sides an axis of the file is."""
    rank = len(value.shape) + 1
    axis = axis + rank if axis < 0 else axis
    if not 1 <= axis < rank:
        raise Unconverted("it works across the images of a batch")
    return axis - 1


def fitting(constant: Constant, value: Value) -> Constant:
    """Return a constant without the side of the batch."""
    if constant.ndim == len(value.shape) + 1:
        if constant.shape[0] != 1:
            raise Unconverted(f"it has a constant for each of {constant.shape[0]} images")
        constant = constant[0]
    return constant
