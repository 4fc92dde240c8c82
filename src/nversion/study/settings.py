"""The sections of a study's configuration: their keys, with defaults, and what each may be.

:mod:`nversion.study.config` puts them together, and reads and writes them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)

from nversion.adversarial import PerceptibilityRule
from nversion.attacks import create as create_attack
from nversion.attacks.nearest_of_all import LEAST_PASSES
from nversion.attacks.registry import STUDY_ORDER
from nversion.device import Device
from nversion.program import create_voter
from nversion.replication.arms import BASELINE, DEFAULT_ARMS, find_arm
from nversion.replication.settings import DEFAULT_ATTACKS as REPLICATION_ATTACKS
from nversion.versions import Precision, create_objective, load_recipe
from nversion.workers import Engine

__all__ = [
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
    "SettingsSection",
    "VersionsSection",
    "WholeSection",
]

DEFAULT_ATTACKS = (*STUDY_ORDER, "square")
"""The ten attacks of the 2019 study, and one that needs no gradients, which it had none of."""


class SettingsSection(BaseModel):
    """A part of the configuration: it cannot be changed, and takes no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _threshold(name: str) -> Any:
    """Return the default of one of the rule's thresholds, as the configuration writes it."""
    default = getattr(PerceptibilityRule(), name)
    return "off" if default is None else default


class VersionsSection(SettingsSection):
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


class PerceptibilitySection(SettingsSection):
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


class AttackSection(SettingsSection):
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


class ProgramSection(SettingsSection):
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


class WholeSection(SettingsSection):
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


class ReliabilitySection(SettingsSection):
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


class FaultsSection(SettingsSection):
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


class DistillationSection(SettingsSection):
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


class EvaluationSection(SettingsSection):
    """What is measured on student and baseline.

    Attributes:
        frequency_images: correctly classified test images that every attack is run on.
    """

    frequency_images: int = Field(default=100, ge=1)


class CertificationSection(SettingsSection):
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


class ReplicationSection(SettingsSection):
    """Students and baselines again and again, from versions that are drawn anew for each pair.

    Attributes:
        repeats: pairs, which are as many networks of each arm; 0: none.
        objectives: the arms beside the true labels: "label-smoothing", "squared-error",
            "one-teacher", "vote", "vote-temperature", or an objective's name.
        architecture: of every network: "student", a name from the catalogue, or a file's path.
        recipe: of every network; "" is that of student and baseline.
        radius_images: test images that are certified in L1 and L2, in the ball; 0: none.
        box_images: likewise for valid images, which costs two to three times as much.
        attack_images: test images that are attacked; 0: none.
        attacks: that make up the adversarial frequency.
    """

    repeats: int = Field(default=0, ge=0)
    objectives: tuple[str, ...] = DEFAULT_ARMS
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


class RunSection(SettingsSection):
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
