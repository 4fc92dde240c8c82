"""Take in the versions that the configuration names as files, beside those that are trained."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from nversion.architectures import Architecture
from nversion.datasets import Dataset
from nversion.errors import ConfigError, InputError, NVersionError, StudyError
from nversion.files import digest_of
from nversion.formats.classes import class_names_of
from nversion.formats.feed import Feed
from nversion.formats.loading import format_of
from nversion.formats.programs import program_facts
from nversion.formats.reference import REFERENCE, read_reference
from nversion.formats.source import Source, feed_for, is_named
from nversion.naming import did_you_mean
from nversion.study.config import StudyConfig
from nversion.study.context import Study
from nversion.study.stages.training import train_versions
from nversion.study.units.adopting import AdoptNetwork
from nversion.study.units.trained import TrainedVersion

__all__ = ["adopt_versions", "make_versions", "study_sources", "with_class_names"]


def study_sources(
    config: StudyConfig, data: Dataset, architectures: Sequence[Architecture] = ()
) -> dict[str, Source]:
    """Return the files that a study takes versions from, by the names of the versions.

    Where two files would have one name, the folder that each lies in comes before it.

    Raises:
        ConfigError: a file is not there, is none of a network's, or needs to be trusted; two
            versions would have one name; ``versions.inputs`` cannot be read, or names no file.
    """
    section = config.versions
    paths = [Path(file) for file in section.files]
    try:
        _check_inputs(section.inputs, paths)
        found = [
            Source(path, feed, section.trust).resolved()
            for path in paths
            for feed in _feeds(path, section.inputs)
        ]
        for source in found:
            _check_file(source)
        names = [source.name() for source in found]
    except InputError as error:
        raise ConfigError(f"versions.files: {error}") from error
    alike = Counter([*names, *(str(one.name) for one in architectures)])
    names = [
        name if alike[name] == 1 else f"{source.path.parent.name}-{name}"
        for name, source in zip(names, found, strict=True)
    ]
    taken = {str(one.name) for one in architectures}
    for place, name in enumerate(names):
        if name in taken or name in names[:place]:
            raise ConfigError(
                f"versions.files: two versions are called {name}; name this one otherwise, with "
                f"versions.inputs = ['{found[place].path.name}:name=...']"
            )
    classes = class_names_of(data.class_names, [_class_names(source) for source in found])
    return {
        name: dataclasses.replace(source, classes=classes)
        for name, source in zip(names, found, strict=True)
    }


def _class_names(source: Source) -> tuple[str, ...]:
    """Return what a file says its classes are called; nothing where it cannot be read.

    That it cannot is said when it is loaded, as one version's failure.
    """
    try:
        return source.class_names()
    except NVersionError:
        return ()


def with_class_names(data: Dataset, sources: Mapping[str, Source]) -> Dataset:
    """Return a data set with its classes called as the study's versions have it."""
    for source in sources.values():
        if source.classes != data.class_names:
            return dataclasses.replace(data, class_names=source.classes)
    return data


def _feeds(path: Path, inputs: Sequence[str]) -> list[Feed]:
    """Return how a file is fed; of a program's file, how each of its versions is."""
    feed = feed_for(path, inputs)
    facts = program_facts(path) if feed.key is None else None
    return [feed] if facts is None else [Feed(key=n, name=n).over(feed) for n in facts.versions]


def _check_inputs(inputs: Sequence[str], paths: Sequence[Path]) -> None:
    """Raise InputError where one is for a file that is not there."""
    for text in inputs:
        name, colon, _ = text.partition(":")
        if colon and "=" not in name and not any(is_named(path, name) for path in paths):
            hint = did_you_mean(name, sorted(path.name for path in paths))
            raise InputError(f"{text}: {name} is not among the files{hint}")


def _check_file(source: Source) -> None:
    if (source.path / REFERENCE).is_file():
        raise InputError(
            f"{source.path}: belongs to another study and only refers to a file; name that: "
            f"{read_reference(source.path).found_from(source.path)}"
        )
    if (source.path / "record.json").is_file():
        return
    form = format_of(source.path)
    if form.trust and not source.trust:
        raise InputError(
            f"{source.path}: a file of the format {form.name} comes with code that is run when it "
            "is loaded; if you trust whoever made it, say --trust (versions.trust = true)"
        )


def make_versions(study: Study) -> list[TrainedVersion]:
    """Return all versions that did not fail: the trained ones, then those from files.

    Raises:
        StudyError: every version failed.
    """
    versions = [*train_versions(study), *adopt_versions(study)]
    if not versions:
        raise StudyError(f"every version failed; the first: {study.units.failures[0][1]}")
    return versions


def adopt_versions(study: Study) -> list[TrainedVersion]:
    """Try the versions from files that are not known yet, and return those that did not fail."""
    units = {name: _unit(study, name, source) for name, source in study.sources.items()}
    if not units:
        return []
    entries = study.units.run("trying versions from files", list(units.values()))
    return [
        _adopted(study, unit, entries[unit.name].outputs)
        for unit in units.values()
        if unit.name in entries
    ]


def _unit(study: Study, name: str, source: Source) -> AdoptNetwork:
    return AdoptNetwork(
        name=f"versions/{name}",
        called=name,
        source=source,
        content=source.content(),
        shared=study.shared,
        device=study.device,
        folder=study.folder.version(name),
    )


def _adopted(study: Study, unit: AdoptNetwork, outputs: Mapping[str, str]) -> TrainedVersion:
    """Return the version that a unit tried; say aloud what is odd about it."""
    reference = read_reference(unit.folder)
    for doubt in reference.doubts:
        study.units.say(f"doubt: {doubt}")
    version = TrainedVersion(
        unit.called, "", unit.folder, Source(unit.folder, None, unit.source.trust)
    )
    logits = outputs[study.folder.relative(version.test_logits)]
    weights = digest_of(reference.sha256, reference.feed, reference.classes, logits)
    return TrainedVersion(unit.called, weights, unit.folder, version.source)
