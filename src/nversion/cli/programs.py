"""Places that hold several versions, where commands take versions: which, and how they vote.

They are programs written as one file, and folders of studies.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from nversion.cli.places import is_study, study_versions

if TYPE_CHECKING:
    from nversion.formats import Source
    from nversion.program.voting import Voting
    from nversion.versions import Version

__all__ = ["at_place", "is_several", "sources_at", "voting_from"]

ENDINGS = (".onnx", ".pt2")


def is_several(paths: Sequence[Path], inputs: Sequence[str] | None) -> bool:
    """Return whether there are several versions at some places, which vote; nothing is loaded."""
    if len(paths) != 1:
        return len(paths) > 1
    if is_study(paths[0]):
        return len(study_versions(paths[0])) > 1
    return len(_names(paths[0], inputs)) > 1


def _names(path: Path, inputs: Sequence[str] | None) -> list[str]:
    """Return the names of the versions of a program's file; none where it is none, or one is said.

    One of them alone is said with ``--input key=NAME``.
    """
    if path.suffix.lower() not in ENDINGS or not path.is_file():
        return []
    from nversion.formats import feed_for, program_facts

    if feed_for(path, inputs or ()).key is not None:
        return []
    facts = program_facts(path)
    return [] if facts is None else facts.versions


def at_place(
    path: Path, inputs: Sequence[str] | None, *, trust: bool = False
) -> list[tuple[str, Version]]:
    """Return the version at a place, or the several there are, each with its place in words.

    Errors as of :func:`nversion.load_version`.
    """
    if is_study(path):
        found = [one for place in study_versions(path) for one in at_place(place, (), trust=trust)]
        known = [version.record.dataset for _, version in found if version.record.dataset]
        dataset = known[0] if known else _dataset_of(path)
        return [(place, _of(dataset, version)) for place, version in found]
    from nversion.formats import feed_for, load_version, versions_in

    feed = feed_for(path, inputs or ())
    if _names(path, inputs):
        return [(f"{path}:{name}", one) for name, one in versions_in(path, feed).items()]
    version = load_version(path, feed, trust=trust)
    if version.record.origin is None and not version.checked:
        typer.echo(
            f"note: the record of {path} holds no checksums, so that damage to its weights would "
            "not be seen; train it anew, or load and save it, to have them",
            err=True,
        )
    return [(str(path), version)]


def sources_at(
    path: Path, inputs: Sequence[str] | None, trust: bool, classes: tuple[str, ...]
) -> list[Source]:
    """Return what tasks of other processes load the version, or versions, at a place from."""
    from nversion.formats import Feed, Source, feed_for

    if is_study(path):
        return [Source(place, None, trust, classes) for place in study_versions(path)]
    feed = feed_for(path, inputs or ())
    feeds = [Feed(key=name).over(feed) for name in _names(path, inputs)] or [feed]
    return [Source(path, one, trust, classes) for one in feeds]


def voting_from(
    paths: Sequence[Path], inputs: Sequence[str] | None, name: str | None, k: int | None
) -> Voting:
    """Return how versions vote: by ``--voter`` and ``--k``, else as the one place they are in says.

    That is a program's file, or a study's folder.

    Raises:
        InputError: the voter is unknown, or has no k.
    """
    from nversion.program import create_voter
    from nversion.program.importing import voting_in
    from nversion.program.voting import Voting

    if name is None and k is None and len(paths) == 1 and _names(paths[0], inputs):
        found = voting_in(paths[0])
        assert found is not None
        return found
    if name is None and k is None and len(paths) == 1 and is_study(paths[0]):
        name = _voter_of(paths[0])
    return Voting(create_voter(name or "mean-softmax", **({} if k is None else {"k": k})))


def _voter_of(study: Path) -> str | None:
    """Return the voter that a study's program votes by; None where it does not say."""
    from nversion.reading import read_toml

    program = read_toml(study / "study.toml").get("program")
    voter = program.get("voter") if isinstance(program, dict) else None
    return voter if isinstance(voter, str) else None


def _dataset_of(study: Path) -> str:
    """Return what a study says its images are; nothing where it does not."""
    from nversion.reading import read_toml

    dataset = read_toml(study / "study.toml").get("dataset")
    return dataset if isinstance(dataset, str) else ""


def _of(dataset: str, version: Version) -> Version:
    """Return a version that knows these images, if it was not trained on any here."""
    if version.record.dataset:
        return version
    record = dataclasses.replace(version.record, dataset=dataset)
    return dataclasses.replace(version, record=record)
