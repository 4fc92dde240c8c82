"""Attacks by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from nversion.attacks.base import Attack
from nversion.errors import InputError
from nversion.naming import did_you_mean

__all__ = ["create", "names", "register", "register_prefix"]

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

_ATTACKS: dict[str, type[Attack]] = {}
_PREFIXES: dict[str, Callable[[str], type[Attack]]] = {}


def register(attack: type[Attack]) -> type[Attack]:
    """Enter an attack class under its name (a class decorator)."""
    _ATTACKS[attack.name] = attack
    return attack


def register_prefix(prefix: str, attack_class: Callable[[str], type[Attack]]) -> None:
    """Let names "prefix:rest" mean the class that `attack_class` gives for the rest.

    It raises InputError or MissingExtraError if there is none.
    """
    _PREFIXES[prefix] = attack_class


def names() -> list[str]:
    """Return the names of all attacks: the study's ten first, in its order, then the others."""
    study = [name for name in STUDY_ORDER if name in _ATTACKS]
    return study + [name for name in _ATTACKS if name not in STUDY_ORDER]


def create(name: str, **options: Any) -> Attack:
    """Return the attack called `name`, with `options` in place of its defaults.

    A name like "foolbox:BoundaryAttack" stands for an attack of another library.

    Raises:
        InputError: no attack has that name, or it has no such option.
        MissingExtraError: the other library is not installed.
    """
    attack = _attack_class(name)
    defaults = {field.name: field.default for field in dataclasses.fields(attack)}  # type: ignore[arg-type]
    known = list(defaults)
    unknown = [option for option in options if option not in known]
    if unknown:
        raise InputError(
            f"{name} has no option {', '.join(map(repr, unknown))}"
            f"{did_you_mean(unknown[0], known)}; it has: {', '.join(known) or 'none'}"
        )
    try:
        return attack(**options)
    except TypeError as error:
        given = ", ".join(f"{option}={value!r}" for option, value in options.items())
        usual = ", ".join(f"{option}={defaults[option]!r}" for option in defaults)
        raise InputError(
            f"{name} with {given}: a value of the wrong type; the defaults are {usual}"
        ) from error


def _attack_class(name: str) -> type[Attack]:
    prefix, colon, rest = name.partition(":")
    if colon and prefix in _PREFIXES:
        return _PREFIXES[prefix](rest)
    if name not in _ATTACKS:
        raise InputError(
            f"no attack is called {name!r}{did_you_mean(name, _ATTACKS)}; there are: "
            f"{', '.join(names())}; and those of other "
            f"libraries, as {', '.join(f'{prefix}:NAME' for prefix in _PREFIXES)}"
        )
    return _ATTACKS[name]
