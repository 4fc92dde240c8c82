"""Arguments of the wrong type, refused by name where they are given.

A public call that is decorated with :func:`typed` compares what it is given with its annotations
before anything else, so that ``certify(..., box=True)`` says what a box is instead of failing deep
inside. Values (a number in a range, a known name) are for the call itself to check, and so is the
type where the annotation is ``Any``.
"""

from __future__ import annotations

import collections.abc
import functools
import inspect
import numbers
import types
import typing
from collections.abc import Callable
from typing import Any, Literal, ParamSpec, TypeVar, Union

from nversion.errors import InputError

__all__ = ["typed"]

Given = ParamSpec("Given")
Returned = TypeVar("Returned")

COUNTS = {2: "two", 3: "three", 4: "four"}

SINGLE = {bool: "True or False", int: "a whole number", float: "a number", str: "a string"}
SEVERAL = {int: "whole numbers", float: "numbers", str: "strings"}

VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def typed(function: Callable[Given, Returned]) -> Callable[Given, Returned]:
    """Let a function refuse arguments of other types than it is annotated with.

    Whole numbers do for numbers, tensors and arrays of one number for that number, and any sequence
    for a tuple; True and False are no numbers.

    The decorated function raises:
        InputError: an argument is of another type; it is named, with what would be right.
    """
    signature = inspect.signature(function)
    names = [name for name, one in signature.parameters.items() if one.kind not in VARIADIC]

    @functools.cache
    def kinds() -> dict[str, Any]:
        """Return the annotations, which may name what is defined only later in the module."""
        found = typing.get_type_hints(function)
        return {name: found[name] for name in names if name in found}

    @functools.wraps(function)
    def checked(*args: Given.args, **options: Given.kwargs) -> Returned:
        try:
            given = signature.bind(*args, **options).arguments
        except TypeError:  # which argument is missing, or one too many, Python says itself
            return function(*args, **options)
        for name, kind in kinds().items():
            if name in given and not _fits(given[name], kind):
                raise InputError(_wrong(name, given[name], kind))
        return function(*args, **options)

    return checked


def _wrong(name: str, value: Any, kind: Any) -> str:
    """Return what is wrong with an argument that does not fit, or with the first part of it."""
    each = typing.get_args(kind)[:1]
    if typing.get_origin(kind) is collections.abc.Sequence and isinstance(value, list | tuple):
        for place, item in enumerate(value):
            if not _fits(item, each[0]):
                return _wrong(f"{name}[{place}]", item, each[0])
    return f"{name} must be {_in_words(kind)}, not {_shown(value)}"


def _fits(value: Any, kind: Any) -> bool:
    """Return whether a value is of an annotation's type; True where that cannot be told."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if kind is None or kind is types.NoneType:
        return value is None
    if origin in (Union, types.UnionType):
        return any(_fits(value, part) for part in parts)
    if origin is Literal:
        return any(isinstance(value, type(part)) for part in parts)
    if kind in (int, float):
        return _is_number(value, numbers.Integral if kind is int else numbers.Real)
    if origin is tuple:
        return _fits_each(value, parts)
    if origin is collections.abc.Sequence:  # what can be gone through more than once
        return hasattr(value, "__len__") and _fits_each(value, (*parts, Ellipsis))
    kind = origin or kind
    try:
        return isinstance(value, kind)
    except TypeError:  # Any, a type variable, a protocol
        return True


def _is_number(value: Any, kind: type) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, kind):
        return True
    one = getattr(value, "shape", None) == ()  # a tensor or an array
    return one and _is_number(value.item(), kind)


def _fits_each(value: Any, parts: tuple[Any, ...]) -> bool:
    if isinstance(value, str | bytes | collections.abc.Mapping):
        return False
    try:
        items = list(value)
    except TypeError:
        return False
    if len(parts) == 2 and parts[1] is Ellipsis:
        return all(_fits(item, parts[0]) for item in items)
    return len(items) == len(parts) and all(map(_fits, items, parts))


def _in_words(kind: Any) -> str:
    """Return what a value of an annotation's type is, to follow "must be"."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if kind is None or kind is types.NoneType:
        return "None"
    if origin in (Union, types.UnionType):
        said = [_in_words(part) for part in parts]
        return " or ".join([", ".join(said[:-1]), said[-1]])
    if origin is Literal:
        return " or ".join(dict.fromkeys(_in_words(type(part)) for part in parts))
    if kind in SINGLE:
        return SINGLE[kind]
    if origin is tuple and parts[1:] == (Ellipsis,):
        return f"a tuple of {_several(parts[0])}"
    if origin is tuple and len(parts) in COUNTS and len(set(parts)) == 1:
        return f"{COUNTS[len(parts)]} {_several(parts[0])}"
    if origin is collections.abc.Sequence:
        return f"a sequence of {_several(parts[0])}"
    if origin is collections.abc.Callable:
        return "a function"
    return _named(origin or kind)


def _several(kind: Any) -> str:
    return SEVERAL.get(kind, _named(kind).removeprefix("a "))


def _named(kind: Any) -> str:
    """Return a class's name as it is imported, as far as that can be told."""
    home = getattr(kind, "__module__", "").partition(".")[0]
    name = getattr(kind, "__name__", str(kind))
    if home == "torch" and ".nn." in kind.__module__:
        home = "torch.nn"
    full = name if home in ("", "builtins", "collections") else f"{home}.{name}"
    return f"a {full}"


def _shown(value: Any) -> str:
    """Return a value that is short, and the type of any other."""
    short = isinstance(value, bool | int | float | str | bytes | list | tuple | types.NoneType)
    return repr(value) if short and len(repr(value)) < 40 else type(value).__name__
