"""Attacks by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nversion.arguments import typed
from nversion.attacks.base import Attack
from nversion.registry import Registry

__all__ = ["STUDY_ORDER", "create", "names", "register", "register_prefix"]

STUDY_ORDER = (
    "gradient",
    "gradient-sign",
    "deepfool",
    "adef",
    "saliency-map",
    "carlini-wagner",
    "newtonfool",
    "random-pgd",
    "slsqp",
    "lbfgs",
)

_PREFIXES: dict[str, Callable[[str], type[Attack]]] = {}


def _of_other_libraries() -> str:
    listed = ", ".join(f"{prefix}:NAME" for prefix in _PREFIXES)
    return f"; and those of other libraries, as {listed}"


ATTACKS: Registry[Attack] = Registry(
    "attack", "nversion.attacks", Attack, first=STUDY_ORDER, beside=_of_other_libraries
)

register = ATTACKS.register


def register_prefix(prefix: str, attack_class: Callable[[str], type[Attack]]) -> None:
    """Let names "prefix:rest" mean the class that `attack_class` gives for the rest.

    It raises InputError or MissingExtraError if there is none.
    """
    _PREFIXES[prefix] = attack_class


def names() -> list[str]:
    """Return the names of all attacks: the study's ten first, in its order, then the others."""
    return ATTACKS.names()


@typed
def create(name: str, **options: Any) -> Attack:
    """Return the attack called `name`, with `options` in place of its defaults.

    A name like "foolbox:BoundaryAttack" stands for an attack of another library.

    Raises:
        InputError: no attack has that name, or it has no such option.
        MissingExtraError: the other library is not installed.
    """
    prefix, colon, rest = name.partition(":")
    if colon and prefix in _PREFIXES:
        return ATTACKS.made(name, _PREFIXES[prefix](rest), options)
    return ATTACKS.create(name, **options)
