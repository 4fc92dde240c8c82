"""Programs read back from one file, with the vote that they were written with."""

from __future__ import annotations

from pathlib import Path

from nversion.arguments import typed
from nversion.errors import ArtefactError, InputError
from nversion.formats.facts import ProgramFacts
from nversion.formats.feed import Feed
from nversion.formats.programs import program_facts, versions_in
from nversion.program.abstention import create_abstention
from nversion.program.model import Program
from nversion.program.voters import create_voter
from nversion.program.voting import Voting

__all__ = ["load_program", "voting_in"]


def voting_in(path: str | Path) -> Voting | None:
    """Return how the versions in a program's file vote; None where there is no program in it.

    Raises:
        ArtefactError: it is damaged, or its voter is not known here.
    """
    facts = program_facts(path)
    return None if facts is None else _voting(facts, path)


def _voting(facts: ProgramFacts, path: str | Path) -> Voting:
    try:
        weights = None if facts.weights is None else tuple(facts.weights)
        voter = create_voter(facts.voter, **facts.options)
        return Voting(voter, weights, create_abstention(facts.abstain), facts.quorum)
    except InputError as error:
        raise ArtefactError(f"{path}: cannot vote as it says: {error}") from error


@typed
def load_program(path: str | Path, feed: Feed | str | None = None) -> Program:
    """Return the program in a file, whose versions vote as they did when it was written.

    Args:
        path: an ONNX file (extra ``onnx``) or one of ``torch.export`` that :func:`nversion.export`
            wrote of a program. Nothing in it is run.
        feed: how its versions are fed, as :func:`nversion.load_version` has it; they take images
            in [0, 1] as they are.

    Raises:
        InputError: there is no such file, or no program in it.
        MissingExtraError: the package that reads it is not installed.
        ArtefactError: it is damaged, holds what is not converted, or its voter is not known here.
    """
    models = [version.model for version in versions_in(path, feed).values()]
    voting = voting_in(path)
    assert voting is not None
    try:
        return voting.program(models)
    except InputError as error:
        raise ArtefactError(f"{path}: cannot vote as it says: {error}") from error
