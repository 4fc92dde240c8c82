"""How many units each stage of a study has, and what they take.

A new stage needs a method here that returns its :class:`StageWork`, and a place in
:meth:`Work.stages`.
"""

from __future__ import annotations

import dataclasses
import math
import resource
import sys
from collections.abc import Sequence

from nversion.architectures import Architecture, student_architecture
from nversion.datasets import Dataset
from nversion.study.config import StudyConfig
from nversion.study.planning.calibration import Rates
from nversion.study.stages.certifying import FEWEST_CLASSES
from nversion.study.stages.certifying import PART as CERTIFIED_AT_ONCE
from nversion.study.stages.certifying_votes import PART as VOTED_AT_ONCE
from nversion.study.stages.failing import LEAST_VERSIONS
from nversion.study.stages.planting import faulty_counts
from nversion.study.stages.whole import PART as ATTACKED_AT_ONCE
from nversion.study.stages.whole import subject_count
from nversion.study.units.teaching import PART as TAUGHT_AT_ONCE
from nversion.versions import Recipe, load_recipe

__all__ = ["StageWork", "Work"]

SUCCESSES = 0.9
"""Share of the attack runs that are taken to succeed, for the size of the adversarial set."""

VOTE_COST = 2
"""What certifying the vote on an image costs, in certificates of all versions that vote."""

BOX_COST = 2.5
"""What a certificate for valid images costs, in certificates of the ball."""

WHOLE_COST = 1500
"""What attacking a vote on one image costs in one norm, in evaluations of all members."""

MEASURED = 1e-5
"""Seconds that measures, votes of all voters and their curves take for an image and version."""

FAULTY = 2e-8
"""Seconds that a vote takes for an image, version and class, where some versions are faulty."""

ROW = 220
"""Bytes of an adversarial image's provenance: its columns, and its line of text."""


@dataclasses.dataclass(frozen=True)
class StageWork:
    """One stage.

    Attributes:
        name: of the stage, as the study's runner calls it.
        units: pieces of work, at least 1.
        seconds: of one core, for all of them.
        longest: seconds of the longest.
    """

    name: str
    units: int
    seconds: float
    longest: float


class Work:
    """The units of each stage, and what they take.

    Args:
        config: of the study.
        data: the dataset.
        architectures: of the versions.
        rates: how fast this machine is.
        loaded: names of the versions from files.

    Attributes:
        images: in the adversarial set, estimated.
    """

    def __init__(
        self,
        config: StudyConfig,
        data: Dataset,
        architectures: Sequence[Architecture],
        rates: Rates,
        loaded: Sequence[str] = (),
    ) -> None:
        self._config, self._data, self._rates = config, data, rates
        self._architectures = architectures
        self._trained = [str(architecture.name) for architecture in architectures]
        self._loaded = list(loaded)
        self._names = [*self._trained, *loaded]
        section = config.attacks
        runs = len(self._names) * len(section.names)
        self.images = round(runs * min(section.images, len(data.test)) * SUCCESSES)

    def stages(self) -> tuple[StageWork, ...]:
        """Return the work of all stages, in their order."""
        return (
            self._versions(),
            self._attacks(),
            self._program(),
            *self._reliability(),
            *self._faults(),
            self._distillation(),
            self._evaluation(),
            self._whole(),
            self._certification(),
            *self._replication(),
        )

    def _versions(self) -> StageWork:
        each = [self._training(name, self._config.versions.recipe) for name in self._trained]
        each += [self._rates.evaluation[name] * len(self._data.test) for name in self._loaded]
        return StageWork("versions", len(each), sum(each), max(each))

    def _attacks(self) -> StageWork:
        section = self._config.attacks
        each = [
            self._attacking(name, attack, section.images)
            for name in self._names
            for attack in section.names
        ]
        return StageWork("attacks", len(each) + 2, sum(each), max(each))

    def _program(self) -> StageWork:
        versions, orders = len(self._names), self._config.program.orders
        voting = self._rates.vote * self.images * versions * (orders + 1)
        evaluating = self._evaluating() * self.images
        return StageWork("program", versions + 1, evaluating + voting, voting)

    def _reliability(self) -> tuple[StageWork, ...]:
        """Return the work of measuring failures; none for a single version."""
        versions, section = len(self._names), self._config.reliability
        if versions < LEAST_VERSIONS:
            return ()
        measuring = MEASURED * (self.images + len(self._data.test)) * versions
        units, seconds, longest = 4, measuring, measuring / 2
        chosen_on = min(section.training_images, len(self._data.train))
        if chosen_on:
            asked = self._evaluating()
            attacked = min(section.white_box_images, chosen_on)
            gradients = asked * attacked * (1 + 2 * self._data.classes)
            units += versions + 1
            seconds += asked * chosen_on + gradients
            longest = max(longest, gradients)
        return (StageWork("reliability", units, seconds, longest),)

    def _faults(self) -> tuple[StageWork, ...]:
        """Return the work of voting with faulty versions; none for a single version."""
        versions, section = len(self._names), self._config.faults
        images = min(section.images, len(self._data.test))
        if versions < LEAST_VERSIONS or images == 0:
            return ()
        counts = len(faulty_counts(section.counts, versions))
        votes = counts * section.orders * (1 + len(section.voters))
        each = FAULTY * votes * images * versions * self._data.classes
        return (StageWork("faults", len(section.kinds), each * len(section.kinds), each),)

    def _distillation(self) -> StageWork:
        count = len(self._data.train)
        recipe = self._config.distillation.recipe or self._config.versions.recipe
        student = self._training("student", recipe)
        units = math.ceil(count / TAUGHT_AT_ONCE) + 3
        seconds = self._evaluating() * count + 2 * student
        return StageWork("distillation", units, seconds, student)

    def _evaluation(self) -> StageWork:
        images = self._config.evaluation.frequency_images
        names = self._config.attacks.names
        each = [self._attacking("student", attack, images) for attack in names]
        return StageWork("evaluation", 4 + 2 * len(each), 2 * sum(each), max(each))

    def _certification(self) -> StageWork:
        """Return the work of all certificates: of both networks, and of the vote."""
        section, each = self._config.certification, self._rates.certificate or 0.0
        certified = min(section.images, len(self._data.test))
        counts = [certified] * len(section.domains)
        if section.random_target_images and self._data.classes >= FEWEST_CLASSES:
            counts.append(min(section.random_target_images, certified))
        pairs = 2 * len(section.norms)
        units = pairs * sum(math.ceil(count / CERTIFIED_AT_ONCE) for count in counts)
        seconds = pairs * sum(counts) * each
        if section.attack_passes:
            units += pairs * math.ceil(certified / CERTIFIED_AT_ONCE)
            passes = pairs * certified * section.attack_passes
            seconds += passes * self._rates.evaluation["student"]
        voted = min(section.program_images, len(self._data.test))
        if voted:
            members = self._names[: section.program_versions]
            norms = len(section.program_norms)
            units += norms * (len(members) + math.ceil(voted / VOTED_AT_ONCE))
            student = self._rates.evaluation["student"]
            together = each * sum(self._rates.evaluation[name] / student for name in members)
            seconds += norms * voted * together * (1 + VOTE_COST)
        return StageWork("certification", units, seconds, seconds / units)

    def _replication(self) -> tuple[StageWork, ...]:
        """Return the work of all networks of a replication; none where it is not asked for."""
        section = self._config.replication
        if not section.repeats:
            return ()
        arms = section.repeats * (1 + len(section.objectives))
        recipe = section.recipe or self._config.distillation.recipe or self._config.versions.recipe
        certified = 2 * (section.radius_images + BOX_COST * section.box_images)
        network = (
            self._training("student", recipe)
            + certified * (self._rates.certificate or 0.0)
            + sum(
                self._attacking("student", name, section.attack_images)
                for name in section.attacks
                if name in self._rates.attacks
            )
        )
        asking = self._evaluating() * len(self._data.train)
        units = arms + len(self._names) + 1
        return (StageWork("replication", units, arms * network + asking, network),)

    def _whole(self) -> StageWork:
        section, versions = self._config.whole, len(self._names)
        images = min(section.images, len(self._data.test))
        counts = subject_count(section.sizes, section.best, versions) if images else []
        parts = math.ceil(images / ATTACKED_AT_ONCE) * len(section.norms)
        each = self._evaluating() / versions * WHOLE_COST * len(section.norms)
        seconds = [images * count * each for count in counts]
        longest = max(seconds, default=0.0) / max(parts, 1)
        beside = len(section.norms) + bool(section.checked_images) if images else 0
        return StageWork("whole", max(parts * len(counts) + beside, 1), sum(seconds), longest)

    def _evaluating(self) -> float:
        """Return the seconds of evaluating one image by every version."""
        return sum(self._rates.evaluation[name] for name in self._names)

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
        answering = len(networks) + len(self._loaded)
        logits = 4 * classes * len(data.test) * answering
        runs = (
            len(self._config.attacks.names)
            * (
                len(self._names) * self._config.attacks.images
                + 2 * self._config.evaluation.frequency_images
            )
            * self._image()
        )
        outputs = 4 * classes * self.images * answering
        chosen_on = min(self._config.reliability.training_images, len(data.train))
        outputs += 4 * classes * chosen_on * len(self._names)
        taught = 2 * 4 * classes * len(data.train)
        return weights + logits + runs + self.images * self._image() + outputs + taught

    def _image(self) -> int:
        return 4 * math.prod(self._data.shape) + ROW
