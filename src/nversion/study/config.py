"""The configuration of a study: every choice, with its default, as data.

A study's ``study.toml`` holds the whole resolved configuration. A user's own file may hold any part
of it; command-line flags override the file, the file overrides the defaults for its dataset.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import tomli_w
from pydantic import (
    Field,
    ValidationError,
)

from nversion.attacks import Attack
from nversion.attacks import create as create_attack
from nversion.errors import ConfigError, InputError, NVersionError
from nversion.files import write_text
from nversion.naming import did_you_mean, split_size
from nversion.program import certificate_of, create_voter
from nversion.reading import describe_validation_error, read_toml
from nversion.study.settings import (
    AttackSection,
    CertificationSection,
    DistillationSection,
    EvaluationSection,
    FaultsSection,
    ProgramSection,
    ReliabilitySection,
    ReplicationSection,
    RunSection,
    SettingsSection,
    VersionsSection,
    WholeSection,
)

__all__ = [
    "STUDY_FILE",
    "StudyConfig",
    "config_text",
    "load_config",
    "make_config",
    "save_config",
    "seen_from",
    "without_folders",
]

STUDY_FILE = "study.toml"

SMALL_DATASETS = ("digits",)
"""Datasets of a few thousand images: the recipe ``small`` is their default, and fewer images are
certified and fewer programs attacked, so that a first study takes minutes."""

SMALL_DEFAULTS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "versions": {"recipe": "small"},
        "whole": {"sizes": (1, 3), "best": 1, "checked_images": 5},
        "certification": {"images": 50, "domains": ("ball", "box")},
    }
)
"""What differs for them from the defaults of the sections."""


class StudyConfig(SettingsSection):
    """One whole study."""

    name: str = Field(default="digits", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    dataset: str = "digits"
    data_dir: str = ""
    seed: int = Field(default=7, ge=0, lt=2**63)
    versions: VersionsSection = Field(default_factory=VersionsSection)
    attacks: AttackSection = Field(default_factory=AttackSection)
    program: ProgramSection = Field(default_factory=ProgramSection)
    whole: WholeSection = Field(default_factory=WholeSection)
    reliability: ReliabilitySection = Field(default_factory=ReliabilitySection)
    faults: FaultsSection = Field(default_factory=FaultsSection)
    distillation: DistillationSection = Field(default_factory=DistillationSection)
    evaluation: EvaluationSection = Field(default_factory=EvaluationSection)
    certification: CertificationSection = Field(default_factory=CertificationSection)
    replication: ReplicationSection = Field(default_factory=ReplicationSection)
    run: RunSection = Field(default_factory=RunSection)

    def create_attacks(self) -> dict[str, Attack]:
        """Return the study's attacks by name, with their options.

        Raises:
            ConfigError: an attack or an option is unknown or out of range.
        """
        unused = sorted(set(self.attacks.options) - set(self.attacks.names))
        if unused:
            raise ConfigError(
                f"attacks.options: {unused[0]!r} is not among attacks.names"
                f"{did_you_mean(unused[0], self.attacks.names)}"
            )
        try:
            return {
                name: create_attack(name, **self.attacks.options.get(name, {}))
                for name in self.attacks.names
            }
        except InputError as error:
            raise ConfigError(f"attacks: {error}") from error

    def what_matters(self) -> dict[str, Any]:
        """Return the configuration without the parts that change no result."""
        return self.model_dump(mode="json", exclude={"run", "name", "data_dir"})


def make_config(
    values: Mapping[str, Any],
    source: str = "the configuration",
    origins: Mapping[str, str] = MappingProxyType({}),
) -> StudyConfig:
    """Return a configuration from nested values, with the defaults for its dataset filled in.

    Args:
        values: sections and their keys.
        source: where they are from, for messages.
        origins: by key, what else gave it, such as an option of the command line.

    Raises:
        ConfigError: a key is unknown or a value is wrong; one line per problem.
    """
    dataset = values.get("dataset", "digits")
    plain = split_size(str(dataset))[0]
    filled = {"name": Path(plain).stem, **values}
    if isinstance(named := values.get("versions"), Mapping) and named.get("files"):
        filled["versions"] = {"count": 0, **named}
    for section, defaults in SMALL_DEFAULTS.items() if plain in SMALL_DATASETS else ():
        given = filled.get(section, {})
        if isinstance(given, Mapping):
            filled[section] = {**defaults, **given}
    try:
        config = StudyConfig(**filled)
    except ValidationError as error:
        said = describe_validation_error(source, error, StudyConfig, origins)
        raise ConfigError(said) from error
    except NVersionError as error:
        raise ConfigError(f"{source}: {error}") from error
    config.create_attacks()
    _check_certificate(config, source)
    return config


def _check_certificate(config: StudyConfig, source: str) -> None:
    """Raise unless the vote can be certified, or is not to be: hours before it is."""
    if config.certification.program_images == 0:
        return
    try:
        certificate_of(create_voter(config.program.voter))
    except InputError as error:
        raise ConfigError(
            f"{source}: program.voter: {error}; or set certification.program_images to 0"
        ) from error


def load_config(path: Path) -> dict[str, Any]:
    """Return the nested values of a TOML configuration file, unchecked.

    Raises:
        ConfigError: the file is missing or is not TOML.
    """
    return read_toml(path, ConfigError)


def seen_from(values: Mapping[str, Any], folder: Path, to: Path) -> dict[str, Any]:
    """Return values with the files of ``versions.files``, as seen from `folder`, as seen from `to`.

    Whole paths stay as they are. So what a study's folder holds names files as they lie beside it,
    and says nothing of the machine, unless whole paths were given.
    """
    section = values.get("versions")
    if not isinstance(section, Mapping):
        return dict(values)
    changed = dict(section)
    for key, moved in (("files", _moved), ("inputs", _moved_input)):
        texts = section.get(key)
        if isinstance(texts, list | tuple) and all(isinstance(one, str) for one in texts):
            changed[key] = [moved(one, folder, to) for one in texts]
    return {**values, "versions": changed}


def _moved(file: str, folder: Path, to: Path) -> str:
    if Path(file).is_absolute():
        return file
    return Path(os.path.relpath((folder / file).resolve(), to.resolve())).as_posix()


def _moved_input(text: str, folder: Path, to: Path) -> str:
    """Move the name of a file that ``--input`` is for, where it is more than its last part."""
    name, colon, rest = text.partition(":")
    if not colon or "=" in name or Path(name).name == name:
        return text
    return f"{_moved(name, folder, to)}:{rest}"


def without_folders(value: Any) -> Any:
    """Return a JSON value in which every whole path is its last part: what results may tell.

    Whole paths say where things lie on one machine, and who works there.
    """
    if isinstance(value, Mapping):
        return {key: without_folders(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_folders(item) for item in value]
    if isinstance(value, str) and Path(value).is_absolute():
        return Path(value).name
    return value


def save_config(config: StudyConfig, path: Path) -> None:
    """Write the whole configuration as TOML, atomically."""
    write_text(path, config_text(config))


def config_text(config: StudyConfig) -> str:
    """Return the whole configuration as TOML."""
    return tomli_w.dumps(config.model_dump(mode="json"))
