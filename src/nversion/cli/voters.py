"""How versions vote: the voter that a command names, and the list of all voters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from nversion.cli.programs import voting_from
from nversion.errors import InputError

if TYPE_CHECKING:
    from torch import nn

    from nversion.versions import Version

__all__ = ["attacked", "voter_text", "voters_option"]


def voters_option() -> Any:
    """Return ``--voters``, which lists all voters and ends the command."""
    return typer.Option(
        "--voters", help="List the voters and what is known of each.", is_eager=True, callback=_list
    )


def _list(wanted: bool) -> None:
    """Print a table of all voters, with what a reader chooses by."""
    if not wanted:
        return
    from nversion.cli.printing import print_table
    from nversion.program import create_voter, is_certified, voter_names

    rows = []
    for name in voter_names():
        voter = create_voter(name)
        options = ", ".join(f"{key}={value}" for key, value in voter.options().items())
        rows.append(
            (
                name,
                "yes" if voter.differentiable else "no",
                "yes" if is_certified(voter) else "no",
                "yes" if voter.weighted else "no",
                voter.tie_rule,
                options,
                voter.source,
            )
        )
    heads = ("voter", "differentiable", "certified", "weights", "a tie", "options", "source")
    print_table(heads, rows)
    raise typer.Exit


def attacked(
    versions: Mapping[str, Version], paths: Sequence[Path], voter: str | None, k: int | None
) -> tuple[nn.Module, str, dict[str, Any]]:
    """Return what is to be attacked, what to call it, and facts about it as JSON values.

    Args:
        versions: by name.
        paths: where they are from.
        voter: of ``--voter``.
        k: of ``--k``.

    Raises:
        InputError: a voter for one version alone, or one that is unknown or has no k.
    """
    if len(versions) == 1:
        if voter is not None or k is not None:
            raise InputError("one version does not vote; leave out --voter and --k, or name more")
        ((name, version),) = versions.items()
        return version.model, name, {"version": name}
    voting = voting_from(paths, None, voter, k)
    facts = {"name": voting.voter.name, **voting.voter.options()}
    program = voting.program([version.model for version in versions.values()])
    title = f"program of {len(versions)} ({voter_text(facts)})"
    return program, title, {"versions": list(versions), "voter": facts}


def voter_text(facts: Mapping[str, Any]) -> str:
    """Return a voter's name and those of its options that were chosen, such as "k-of-n, k=2"."""
    chosen = {key: value for key, value in facts.items() if key != "name" and value is not None}
    return ", ".join([str(facts["name"]), *(f"{key}={value}" for key, value in chosen.items())])
