"""The configuration of a study: every choice, with its default, as data.

A study's ``study.toml`` holds the whole resolved configuration. A user's own file may hold any part
of it; command-line flags override the file, the file overrides the defaults for its dataset.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from nversion.adversarial import PerceptibilityRule
from nversion.attacks import Attack
from nversion.attacks import create as create_attack
from nversion.attacks.nearest_of_all import LEAST_PASSES
from nversion.attacks.registry import STUDY_ORDER
from nversion.device import Device
from nversion.errors import ConfigError, InputError, NVersionError
from nversion.files import write_text
from nversion.naming import did_you_mean, split_size
from nversion.program import certificate_of, create_voter
from nversion.reading import describe_validation_error, read_toml
from nversion.replication.arms import BASELINE, find_arm
from nversion.replication.settings import DEFAULT_ATTACKS as REPLICATION_ATTACKS
from nversion.versions import Precision, create_objective, load_recipe
from nversion.workers import Engine

__all__ = [
    "STUDY_FILE",
    "AttackSection",
    "CertificationSection",
    "DistillationSection",
    "EvaluationSection",
    "FaultsSection",
    "PerceptibilitySection",
    "ProgramSection",
    "ReliabilitySection",
    "ReplicationSection",
    "RunSection",
    "StudyConfig",
    "VersionsSection",
    "config_text",
    "load_config",
    "make_config",
    "save_config",
    "seen_from",
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

DEFAULT_ATTACKS = (*STUDY_ORDER, "square")
"""The ten attacks of the 2019 study, and one that needs no gradients, which it had none of."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _threshold(name: str) -> Any:
    """Return the default of one of the rule's thresholds, as the configuration writes it."""
    default = getattr(PerceptibilityRule(), name)
    return "off" if default is None else default


class VersionsSection(_Section):
    """The versions.

    Attributes:
        files: networks from elsewhere that are versions too: paths of files or folders. In a
            configuration's file, and in a study's folder, they are as seen from there.
        count: how many are trained, from the start of the catalogue; where there are files, none
            unless it is said.
        recipe: a recipe's name, or the path of a TOML file.
        architectures: "catalogue", or a folder of architecture text files.
        precision: of the arithmetic of training.
        inputs: how files are fed, as ``--input`` has it: "range=0:255" of all, or
            "model.onnx:range=0:255" of one.
        trust: whether code that comes with them may run.
    """

    # First, for whether the others are right depends on it.
    files: tuple[str, ...] = ()
    count: int = Field(default=10, ge=0)
    recipe: str = "fast"
    architectures: str = "catalogue"
    precision: Precision = "auto"
    inputs: tuple[str, ...] = ()
    trust: bool = False

    @field_validator("count")
    @classmethod
    def _some(cls, value: int, others: ValidationInfo) -> int:
        if value == 0 and not others.data.get("files"):
            raise ValueError("must be at least 1, or versions.files must name some")
        return value

    @field_validator("inputs")
    @classmethod
    def _of_files(cls, value: tuple[str, ...], others: ValidationInfo) -> tuple[str, ...]:
        if value and not others.data.get("files"):
            raise ValueError("say how versions.files are fed, and there are none")
        return value

    @field_validator("recipe")
    @classmethod
    def _known_recipe(cls, value: str) -> str:
        load_recipe(value)
        return value


class PerceptibilitySection(_Section):
    """Which attacks are in the adversarial set; "off" switches a threshold off.

    Attributes:
        largest_rms: the largest root mean square change per pixel value, of the pixel range.
        smallest_ssim: the smallest structural similarity to the original.
        largest_linf: the largest change of a single value.
    """

    largest_rms: Annotated[float, Field(ge=0, le=1)] | Literal["off"] = _threshold("largest_rms")
    smallest_ssim: Annotated[float, Field(ge=-1, le=1)] | Literal["off"] = _threshold(
        "smallest_ssim"
    )
    largest_linf: Annotated[float, Field(ge=0, le=1)] | Literal["off"] = _threshold("largest_linf")

    def rule(self) -> PerceptibilityRule:
        """Return the rule with these thresholds."""
        given = {name: getattr(self, name) for name in type(self).model_fields}
        return PerceptibilityRule(
            **{name: None if value == "off" else value for name, value in given.items()}
        )


class AttackSection(_Section):
    """The adversarial set.

    Attributes:
        names: the attacks, in the order of the tables.
        images: correctly classified test images per version, drawn with the study's seed.
        storable: whether the images must stay adversarial when they are stored in 8 bits a value.
        options: per attack, options in place of its defaults.
        perceptibility: the rule by which attacks that change too much are left out.
    """

    names: tuple[str, ...] = Field(default=DEFAULT_ATTACKS, min_length=1)
    images: int = Field(default=13, ge=1)
    storable: bool = True
    options: dict[str, dict[str, Any]] = Field(default_factory=dict)
    perceptibility: PerceptibilitySection = Field(default_factory=PerceptibilitySection)

    @field_validator("names")
    @classmethod
    def _distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError("an attack is named twice")
        return value


class ProgramSection(_Section):
    """The N-version program.

    Attributes:
        voter: how the versions' outputs become one verdict.
        orders: random orders of the versions behind the band of accuracy by N.
    """

    voter: str = "mean-softmax"
    orders: int = Field(default=1000, ge=1)

    @field_validator("voter")
    @classmethod
    def _known_voter(cls, value: str) -> str:
        create_voter(value)
        return value


class WholeSection(_Section):
    """Attacks on the program itself.

    Attributes:
        images: test images on which the vote is attacked, drawn with the study's seed; 0: none. An
            image costs about as much as to attack each version that votes once.
        norms: of the changes; 2 or "inf".
        sizes: programs of so many versions, the first ones, are attacked beside that of all.
        best: so many of the versions that do best on images made against others, likewise.
        checked_images: test images on which it is checked whether the attacks can be believed; 0:
            none.
        checked_versions: so many of the versions vote then, from the first on.
    """

    images: int = Field(default=30, ge=0)
    norms: tuple[Literal[2, "inf"], ...] = Field(default=(2, "inf"), min_length=1)
    sizes: tuple[Annotated[int, Field(ge=1)], ...] = (1, 3, 5, 10)
    best: int = Field(default=3, ge=1)
    checked_images: int = Field(default=10, ge=0)
    checked_versions: int = Field(default=5, ge=1)


class ReliabilitySection(_Section):
    """How the versions fail together, and which of them would be enough.

    Attributes:
        resamples: of the bootstrap intervals over test images.
        orders: random orders of the versions behind the band of a plurality's accuracy by n.
        training_images: so many, drawn with the study's seed, are those on which the smallest
            program is chosen; 0: none is.
        white_box_images: of these, so many are asked for gradients, to choose against an attacker
            who knows the program; 0: none.
    """

    resamples: int = Field(default=1000, ge=2)
    orders: int = Field(default=200, ge=1)
    training_images: int = Field(default=1500, ge=0)
    white_box_images: int = Field(default=100, ge=0)


class FaultsSection(_Section):
    """What the vote decides with 0, 1, 2, ... faulty versions.

    Attributes:
        images: test images that are voted on, drawn with the study's seed; 0: none.
        kinds: of faults: "silent", "constant", "stuck", "lying".
        voters: beside the program's own.
        counts: numbers of faulty versions; by default 0, 1, 2, ... to a little above half, of more
            than twelve versions about every tenth part.
        orders: random orders in which the versions fail.
    """

    images: int = Field(default=1000, ge=0)
    kinds: tuple[Literal["silent", "constant", "stuck", "lying"], ...] = Field(
        default=("silent", "constant", "stuck", "lying"), min_length=1
    )
    voters: tuple[str, ...] = ("plurality", "majority")
    counts: tuple[Annotated[int, Field(ge=0)], ...] = ()
    orders: int = Field(default=10, ge=1)

    @field_validator("kinds")
    @classmethod
    def _each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError("a kind of fault is named twice")
        return value

    @field_validator("voters")
    @classmethod
    def _known_voters(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            create_voter(name)
        return value


class DistillationSection(_Section):
    """Student and baseline.

    Attributes:
        recipe: for both; "" is the versions' recipe.
        objective: what the student minimises between the teacher's labels and its outputs.
    """

    recipe: str = ""
    objective: str = "mean-squared-error"

    @field_validator("objective")
    @classmethod
    def _known_objective(cls, value: str) -> str:
        create_objective(value)
        return value


class EvaluationSection(_Section):
    """What is measured on student and baseline.

    Attributes:
        frequency_images: correctly classified test images that every attack is run on.
    """

    frequency_images: int = Field(default=100, ge=1)


class CertificationSection(_Section):
    """Certified radii of student and baseline, and of the program's vote.

    Attributes:
        method: of the bounds: "interval" (loose), "linear", or "alpha" (tighter, slower).
        steps: how many times "alpha" improves its slopes.
        norms: of the radii; 1, 2 or "inf".
        images: the first so many test images.
        domains: "ball" is every perturbation in the ball, as CNN-Cert has it; "box" only those
            that leave a valid image, in [0, 1].
        random_target_images: the first so many of these images are also certified as the study of
            2019 did it, against one random class each, in the ball; 0: none.
        attack_passes: so many passes through the network, forwards and backwards, may the attack
            ``nearest`` take for each of these images, in each norm; 0: they are not attacked.
        program_images: the first so many test images on which the program's vote is certified, and
            its versions beside it; 0: none. An image costs three to four times as much as to
            certify each version on it.
        program_versions: so many of the versions vote then, from the first on.
        program_norms: of these radii, in the first of the domains.
    """

    method: Literal["interval", "linear", "alpha"] = "linear"
    steps: int = Field(default=40, ge=1)
    norms: tuple[Literal[1, 2, "inf"], ...] = Field(default=(1, 2), min_length=1)
    images: int = Field(default=200, ge=1)
    domains: tuple[Literal["ball", "box"], ...] = Field(default=("ball",), min_length=1)
    random_target_images: int = Field(default=50, ge=0)
    attack_passes: int = Field(default=600, ge=0)
    program_images: int = Field(default=8, ge=0)
    program_versions: int = Field(default=20, ge=1)
    program_norms: tuple[Literal[1, 2, "inf"], ...] = Field(default=(2,), min_length=1)

    @field_validator("attack_passes")
    @classmethod
    def _enough_or_none(cls, value: int) -> int:
        if 0 < value < LEAST_PASSES:
            raise ValueError(f"must be 0 or at least {LEAST_PASSES}")
        return value

    @property
    def steps_taken(self) -> int:
        """The steps of the method; 0 for those that take none."""
        return self.steps if self.method == "alpha" else 0


class ReplicationSection(_Section):
    """Students and baselines again and again, from versions that are drawn anew for each pair.

    Attributes:
        repeats: pairs, which are as many networks of each arm; 0: none.
        objectives: the arms beside the true labels: "label-smoothing", "one-teacher", "vote",
            "vote-temperature", or an objective's name.
        architecture: of every network: "student", a name from the catalogue, or a file's path.
        recipe: of every network; "" is that of student and baseline.
        radius_images: test images that are certified in L1 and L2, in the ball; 0: none.
        box_images: likewise for valid images, which costs two to three times as much.
        attack_images: test images that are attacked; 0: none.
        attacks: that make up the adversarial frequency.
    """

    repeats: int = Field(default=0, ge=0)
    objectives: tuple[str, ...] = ("label-smoothing", "one-teacher", "vote")
    architecture: str = "student"
    recipe: str = ""
    radius_images: int = Field(default=50, ge=0)
    box_images: int = Field(default=50, ge=0)
    attack_images: int = Field(default=50, ge=0)
    attacks: tuple[str, ...] = REPLICATION_ATTACKS

    @field_validator("objectives")
    @classmethod
    def _known_arms(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if BASELINE in value or len(set(value)) < len(value):
            raise ValueError("an arm is named twice; that of the true labels is always there")
        for name in value:
            find_arm(name)
        return value

    @field_validator("recipe")
    @classmethod
    def _known_recipe(cls, value: str) -> str:
        if value:
            load_recipe(value)
        return value

    @field_validator("attacks")
    @classmethod
    def _known_attacks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            create_attack(name)
        return value


class RunSection(_Section):
    """Where and how the work runs; nothing here but the device changes a result.

    Attributes:
        workers: how many, or "auto" for one per core.
        engine: "processes" of this machine, "threads" of the study's own process, "ray" for the
            workers of a Ray cluster, or "auto" for threads on a graphics card, else processes.
        address: of a running Ray cluster; "" starts Ray on this machine.
        device: of training, attacks and evaluation: "cpu", "cuda", or "auto" for CUDA where there
            is a card. Another device rounds otherwise, so what was made on one is made again.
    """

    workers: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    engine: Engine = "auto"
    address: str = ""
    device: Device = "cpu"


class StudyConfig(_Section):
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


def save_config(config: StudyConfig, path: Path) -> None:
    """Write the whole configuration as TOML, atomically."""
    write_text(path, config_text(config))


def config_text(config: StudyConfig) -> str:
    """Return the whole configuration as TOML."""
    return tomli_w.dumps(config.model_dump(mode="json"))
