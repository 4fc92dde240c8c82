"""Attacks by name."""

from __future__ import annotations

import dataclasses
from typing import Any

from nversion.attacks.base import Attack
from nversion.errors import InputError

__all__ = ["create", "names", "register"]

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


def register(attack: type[Attack]) -> type[Attack]:
    """Enter an attack class under its name (a class decorator)."""
    _ATTACKS[attack.name] = attack
    return attack


def names() -> list[str]:
    """Return the names of all attacks: the study's ten first, in its order, then the others."""
    study = [name for name in STUDY_ORDER if name in _ATTACKS]
    return study + [name for name in _ATTACKS if name not in STUDY_ORDER]


def create(name: str, **options: Any) -> Attack:
    """Return the attack called `name`, with `options` in place of its defaults.

    Raises:
        InputError: no attack has that name, or it has no such option.
    """
    attack = _ATTACKS.get(name)
    if attack is None:
        raise InputError(f"no attack is called {name!r}; there are: {', '.join(names())}")
    known = [field.name for field in dataclasses.fields(attack)]  # type: ignore[arg-type]
    unknown = [option for option in options if option not in known]
    if unknown:
        raise InputError(
            f"{name} has no option {', '.join(map(repr, unknown))}; it has: "
            f"{', '.join(known) or 'none'}"
        )
    return attack(**options)
