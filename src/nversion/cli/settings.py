"""What is said with ``--set``: keys and values, and attacks with such options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from nversion.errors import InputError
from nversion.naming import did_you_mean

if TYPE_CHECKING:
    from nversion.attacks import Attack

__all__ = ["attacks_from", "attacks_of_norm", "check_settings", "parse_setting"]


def parse_setting(text: str) -> tuple[str, Any]:
    """Return the key and the value of a ``--set KEY=VALUE``; the value as TOML, else as text."""
    from nversion.reading import parse_toml

    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise typer.BadParameter(f"--set wants KEY=VALUE, not {text!r}")
    try:
        return key.strip(), parse_toml(f"value = {value}", "--set", InputError)["value"]
    except InputError:
        return key.strip(), value.strip()


def check_settings(settings: Sequence[str]) -> list[tuple[str, Any]]:
    """Return the keys and values of every ``--set``; nothing of what they are for is imported."""
    return [parse_setting(setting) for setting in settings]


def attacks_from(text: str, settings: Sequence[str]) -> dict[str, Attack]:
    """Return attacks by name, from their names with commas between (or "all") and ``--set``.

    A setting ``option=value`` counts for every named attack that has the option,
    ``attack.option=value`` for that attack alone.

    Raises:
        InputError: an attack or an option is unknown, named twice, or out of range.
    """
    pairs = check_settings(settings)
    from nversion.attacks import create, names

    chosen = names() if text.strip() == "all" else [part.strip() for part in text.split(",")]
    chosen = [name for name in chosen if name]
    options: dict[str, dict[str, Any]] = {name: {} for name in chosen}
    known = {name: create(name).options() for name in chosen}
    for setting, (key, value) in zip(settings, pairs, strict=True):
        attack, dot, option = key.rpartition(".")
        if dot and attack not in chosen:
            raise InputError(
                f"--set {setting}: {attack!r} is not among the attacks: {', '.join(chosen)}"
                f"{did_you_mean(attack, chosen)}"
            )
        having = [attack] if dot else [name for name in chosen if option in known[name]]
        if not having:
            raise InputError(
                f"--set {setting}: no attack has the option {option!r}"
                f"{did_you_mean(option, [one for own in known.values() for one in own])}; "
                + "; ".join(f"{name} has {_listed(known[name])}" for name in chosen)
            )
        for name in having:
            options[name][option] = value
    try:
        return {name: create(name, **options[name]) for name in chosen}
    except InputError as error:
        given = ", ".join(f"--set {setting}" for setting in settings)
        raise InputError(f"{given}: {error}") from error


def attacks_of_norm(text: str, settings: Sequence[str], norm: str) -> dict[str, Attack]:
    """Return attacks as :func:`attacks_from` does, each of which makes one norm small.

    Attacks that leave the choice are told which; of "all", those that cannot are left out.

    Args:
        text: names with commas between, or "all".
        settings: as ``--set`` has them.
        norm: "l0", "l1", "l2" or "linf".

    Raises:
        InputError: also where a named attack makes another norm small, with those that do not.
    """
    from nversion.attacks import names

    able = {name: how for name in names() if (how := _making_small(name, norm)) is not None}
    if text.strip() == "all":
        text = ",".join(able)
    named = [name for part in text.split(",") if (name := part.strip())]
    for name in named:
        if name in names() and name not in able:
            raise InputError(
                f"--norm {norm.removeprefix('l')}: {name} does not make it small, "
                f"which these do: {', '.join(able)}"
            )
    told = [f"{name}.norm={norm}" for name in named if able.get(name)]
    return attacks_from(text, [*settings, *told])


def _making_small(name: str, norm: str) -> bool | None:
    """Return whether an attack has to be told to make a norm small; None if it cannot."""
    from nversion.attacks import create

    if "norm" not in create(name).options():
        return False if create(name).norm == norm else None
    try:
        create(name, norm=norm)
    except InputError:
        return None
    return True


def _listed(options: dict[str, Any]) -> str:
    return ", ".join(options) or "none"
