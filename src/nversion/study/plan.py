"""What a study would do: units of work, time, memory and disk, before anything is started.

The counts are exact. Time is an estimate from a short calibration on one core
(:mod:`nversion.study.calibration`), memory and disk from what each stage holds and writes.
"""

from __future__ import annotations

import dataclasses
import math
import resource
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nversion.architectures import Architecture, student_architecture
from nversion.datasets import Dataset, load_dataset
from nversion.study.calibration import Rates, calibrate
from nversion.study.certify_stage import FEWEST_CLASSES
from nversion.study.certify_stage import PART as CERTIFIED_AT_ONCE
from nversion.study.config import StudyConfig
from nversion.study.folder import StudyFolder
from nversion.study.ledger import Ledger
from nversion.study.train_stage import study_architectures
from nversion.study.units.teaching import PART as TAUGHT_AT_ONCE
from nversion.study.vote_stage import PART as VOTED_AT_ONCE
from nversion.versions import Recipe, load_recipe
from nversion.workers import resolve_workers

__all__ = ["StagePlan", "StudyPlan", "plan_study"]

SUCCESSES = 0.9
"""Share of the attack runs that are taken to succeed, for the size of the adversarial set."""

VOTE_COST = 2
"""What certifying the vote on an image costs, in certificates of all versions that vote."""

ROW = 220
"""Bytes of an adversarial image's provenance: its columns, and its line of text."""


@dataclasses.dataclass(frozen=True)
class StagePlan:
    """One stage.

    Attributes:
        name: of the stage.
        units: pieces of work.
        done: of these, how many the folder's journal knows; their files are checked by the run.
        seconds: of one core for all units, estimated.
        wall_seconds: of the whole stage with the study's workers, for what is not done.
    """

    name: str
    units: int
    done: int
    seconds: float
    wall_seconds: float


@dataclasses.dataclass(frozen=True)
class StudyPlan:
    """A study, before it runs.

    Attributes:
        stages: in their order.
        workers: processes that share the work.
        at_least: attacks that the calibration cut short; their time is a lower bound.
        memory: bytes, of all processes together, estimated.
        disk: bytes that the study's folder takes in the end, estimated.
        images: in the adversarial set, estimated.
    """

    stages: tuple[StagePlan, ...]
    workers: int
    at_least: tuple[str, ...]
    memory: int
    disk: int
    images: int

    @property
    def wall_seconds(self) -> float:
        """Of the whole study."""
        return sum(stage.wall_seconds for stage in self.stages)

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return {**dataclasses.asdict(self), "wall_seconds": self.wall_seconds}


def plan_study(config: StudyConfig, folder: str | Path) -> StudyPlan:
    """Return what a study would do in `folder`, which is left alone; takes about 20 seconds.

    Raises:
        NVersionError: the dataset or an architecture is at fault.
    """
    data = load_dataset(config.dataset, root=config.data_dir or None)
    architectures = study_architectures(config, data)
    workers = resolve_workers(config.run.workers)
    rates = calibrate(config, data, architectures)
    work = _Work(config, data, architectures, rates)
    done = _done(Path(folder))
    stages = []
    for name, (prefixes, units, seconds, longest) in work.stages().items():
        known = min(sum(done.get(prefix, 0) for prefix in prefixes), units)
        rest = 1 - known / units
        wall = max(seconds * rest / workers, min(longest, seconds) * (rest > 0))
        stages.append(StagePlan(name, units, known, seconds, wall))
    return StudyPlan(
        tuple(stages),
        workers,
        tuple(name for name, rate in rates.attacks.items() if rate.at_least),
        work.memory(workers),
        work.disk(),
        work.images,
    )


def _done(folder: Path) -> dict[str, int]:
    """Return how many units the journal of a study knows, by the first part of their names."""
    counts: dict[str, int] = {}
    if (StudyFolder(folder).root / ".units").is_dir():
        for name in Ledger(StudyFolder(folder).root, read_only=True).names():
            start = name.partition("/")[0]
            if name.startswith(("attacks/baseline/", "attacks/student/")):
                start = "evaluation"
            counts[start] = counts.get(start, 0) + 1
    return counts


class _Work:
    """The units of each stage, and what they take."""

    def __init__(
        self,
        config: StudyConfig,
        data: Dataset,
        architectures: Sequence[Architecture],
        rates: Rates,
    ) -> None:
        self._config, self._data, self._rates = config, data, rates
        self._architectures = architectures
        self._names = [str(architecture.name) for architecture in architectures]
        section = config.attacks
        runs = len(architectures) * len(section.names)
        self.images = round(runs * min(section.images, len(data.test)) * SUCCESSES)

    def stages(self) -> dict[str, tuple[tuple[str, ...], int, float, float]]:
        """Return by stage: prefixes of the units' names, units, seconds, and the longest unit's."""
        config, data = self._config, self._data
        versions, attacks = len(self._names), len(config.attacks.names)
        training = [self._training(name, config.versions.recipe) for name in self._names]
        attacking = [
            self._attacking(name, attack, config.attacks.images)
            for name in self._names
            for attack in config.attacks.names
        ]
        each = [self._rates.evaluation[name] for name in self._names]
        teaching = sum(each) * len(data.train)
        parts = math.ceil(len(data.train) / TAUGHT_AT_ONCE)
        recipe = config.distillation.recipe or config.versions.recipe
        student = self._training("student", recipe)
        frequency = [
            self._attacking("student", attack, config.evaluation.frequency_images)
            for attack in config.attacks.names
        ]
        voting = self._rates.vote * self.images * versions * (config.program.orders + 1)
        certificate_units, certificates = self._certifying()
        return {
            "versions": (("versions",), versions, sum(training), max(training)),
            "attacks": (
                ("attacks", "adversarial"),
                versions * attacks + 2,
                sum(attacking),
                max(attacking),
            ),
            "program": (("program",), versions + 1, sum(each) * self.images + voting, voting),
            "distillation": (
                ("teacher", "distillation"),
                parts + 3,
                teaching + 2 * student,
                student,
            ),
            "evaluation": (("evaluation",), 4 + 2 * attacks, 2 * sum(frequency), max(frequency)),
            "certification": (
                ("certificates",),
                certificate_units,
                certificates,
                certificates / certificate_units,
            ),
        }

    def _certifying(self) -> tuple[int, float]:
        """Return units and seconds of all certificates: of both networks, and of the vote."""
        section, each = self._config.certification, self._rates.certificate or 0.0
        certified = min(section.images, len(self._data.test))
        counts = [certified] * len(section.domains)
        if section.random_target_images and self._data.classes >= FEWEST_CLASSES:
            counts.append(min(section.random_target_images, certified))
        pairs = 2 * len(section.norms)
        units = pairs * sum(math.ceil(count / CERTIFIED_AT_ONCE) for count in counts)
        seconds = pairs * sum(counts) * each
        voted = min(section.program_images, len(self._data.test))
        if voted:
            members = self._names[: section.program_versions]
            norms = len(section.program_norms)
            units += norms * (len(members) + math.ceil(voted / VOTED_AT_ONCE))
            student = self._rates.evaluation["student"]
            together = each * sum(self._rates.evaluation[name] / student for name in members)
            seconds += norms * voted * together * (1 + VOTE_COST)
        return units, seconds

    def _training(self, name: str, recipe_name: str) -> float:
        recipe = load_recipe(recipe_name)
        measured = min(len(self._data.train), 10_000) + len(self._data.test)
        evaluating = self._rates.evaluation[name] * measured
        return self._rates.step[name] * self._steps(recipe) + evaluating

    def _steps(self, recipe: Recipe) -> int:
        steps = math.ceil(len(self._data.train) / recipe.batch_size) * recipe.epochs
        return min(steps, recipe.max_steps or steps)

    def _attacking(self, name: str, attack: str, images: int) -> float:
        rate = self._rates.attacks[attack]
        dearer = self._rates.evaluation[name] - self._rates.small
        return images * max(rate.seconds + rate.evaluations * dearer, 0.0)

    def memory(self, workers: int) -> int:
        """Return bytes: what this process came to hold, once for each worker but for the data."""
        scale = 1 if sys.platform == "darwin" else 1024
        here = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
        dataset = 4 * math.prod(self._data.shape) * (len(self._data.train) + len(self._data.test))
        others = workers * max(here - dataset, 0) if workers > 1 else 0
        return here + others + 2 * self.images * self._image()

    def disk(self) -> int:
        """Return bytes of the study's folder."""
        data, classes = self._data, self._data.classes
        networks = [*self._architectures, student_architecture(), student_architecture()]
        weights = 4 * sum(a.parameters(data.shape, classes) for a in networks)
        logits = 4 * classes * len(data.test) * len(networks)
        runs = (
            len(self._config.attacks.names)
            * (
                len(self._names) * self._config.attacks.images
                + 2 * self._config.evaluation.frequency_images
            )
            * self._image()
        )
        outputs = 4 * classes * self.images * len(networks)
        taught = 2 * 4 * classes * len(data.train)
        return weights + logits + runs + self.images * self._image() + outputs + taught

    def _image(self) -> int:
        return 4 * math.prod(self._data.shape) + ROW
